//! The report: what was found, what was left out on purpose, and what could not be judged.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Severity;
use crate::model::netns::Inode;
use crate::model::source::Asked;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    pub collected_at: Timestamp,
    /// What was judged, as podnet takes it for a target.
    pub targets: Vec<String>,
    /// By target, the worst first.
    pub findings: Vec<Finding>,
    /// Found, and not counted because somebody said so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Ignored>,
    /// What did not run, and why. It is not known to be right.
    pub skipped: Vec<Skipped>,
    pub summary: Summary,
    pub sources: Vec<Asked>,
}

impl CheckReport {
    /// Whether it tells of the same fault, by itself or behind a deeper one.
    pub fn has(&self, finding: &Finding) -> bool {
        let same = |own: &Finding| own.code == finding.code || own.explains.contains(&finding.code);
        self.findings.iter().any(|own| own.target == finding.target && same(own))
            || self.ignored.iter().any(|own| own.target == finding.target && own.code == finding.code)
            || self.findings.iter().any(|own| own.target == super::engine::NODE && own.explains.contains(&finding.code))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub code: String,
    pub severity: Severity,
    /// Whose network it is, as podnet takes it for a target; `node` for what concerns all.
    pub target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Inode>,
    pub message: String,
    pub evidence: Vec<Evidence>,
    pub cause: String,
    /// What mends it.
    pub fix: String,
    /// Whether `fix` is a command that can be run as it is.
    pub fix_is_command: bool,
    /// Codes of rules that found something that follows from this, and is not told by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explains: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    pub what: String,
    pub value: String,
    /// Who says so: kernel, proc, a runtime, the CNI cache, a file.
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ignored {
    pub code: String,
    pub target: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// `*` where a target was not judged at all.
    pub code: String,
    pub why: String,
    /// Absent where it did not run for anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of a target that is too young: in so many seconds it can be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_in_seconds: Option<u64>,
}

/// Numbers of findings by severity, and of rules by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub errors: usize,
    pub warnings: usize,
    pub infos: usize,
    /// Findings that were ignored.
    pub ignored: usize,
    /// Rules that ran and found nothing.
    pub held: usize,
    /// Rules about pods, where there was no pod to judge.
    #[serde(default)]
    pub without_pod: usize,
    /// Rules that did not run for anybody.
    pub not_run: usize,
}
