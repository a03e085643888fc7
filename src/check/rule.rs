//! A rule: what it looks for, in words and in code.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::hit::Hit;
use super::pod::Pod;

/// A rule is a value that never changes; `podnet check --list`, `podnet explain` and the manual are made from it.
#[derive(Debug)]
pub struct Rule {
    /// `PN-FAMILY-NUMBER`. Once given it means this for ever.
    pub code: &'static str,
    pub severity: Severity,
    /// What is wrong, in the user's words.
    pub sentence: &'static str,
    /// What that means for the pod.
    pub meaning: &'static str,
    /// How it comes about.
    pub origin: &'static str,
    /// What confirms it: a command, or what to look at.
    pub confirm: &'static str,
    pub fix: &'static str,
    /// What must have been read for it to be judged.
    pub needs: &'static [Need],
    /// Codes of deeper faults: where one of them is found too, it explains this one.
    pub follows: &'static [&'static str],
    pub run: Run,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does not work, or will not the next time.
    Error,
    /// It works for now, or for some packets only.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// The worst first.
impl Ord for Severity {
    fn cmp(&self, other: &Self) -> Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

impl PartialOrd for Severity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whom it is asked of.
#[derive(Clone, Copy)]
pub enum Run {
    /// Each pod by itself, and what the node has for it.
    Pod(fn(&Pod<'_>) -> Vec<Hit>),
    /// Something of the node that every pod needs; asked whoever is looked at.
    Host(fn(&Facts<'_>, &[Pod<'_>]) -> Vec<Hit>),
    /// The node's things beside each other; what it finds of others is not told to who asks for one pod.
    Node(fn(&Facts<'_>, &[Pod<'_>]) -> Vec<Hit>),
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Run::Pod(_) => "Pod",
            Run::Host(_) => "Host",
            Run::Node(_) => "Node",
        })
    }
}

/// A source, or one table of a namespace. Links and addresses go without saying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Routes,
    Rules,
    Neighbours,
    Sysctls,
    /// What the machine as a whole is set to.
    Host,
    /// That every process could be seen: without that nobody is known to be gone.
    Processes,
    /// … and every namespace be read.
    Everyone,
    /// A second look, some time later.
    Earlier,
    /// libcni's cache.
    Attachments,
    /// The CNI configurations.
    Networks,
    /// What runtimes say, over the CRI, of their own network.
    NetworkStatus,
    /// A runtime that answered: without that no container is known to be gone.
    Runtimes,
    /// resolv.conf and hosts, as processes see them.
    Names,
    /// The pod's listeners.
    Sockets,
    /// The node's own listeners.
    HostSockets,
    /// The packet filter.
    Firewall,
    /// The address stores.
    Stores,
    /// The Cilium agent's own answers.
    Agent,
    /// Cilium's endpoints, by whoever knows them.
    Endpoints,
    /// Cilium's pinned maps.
    Datapath,
    /// BPF programs on interfaces.
    Programs,
    /// The API server.
    Kubernetes,
}

/// `PN-LINK-003` → `link`.
pub fn family(code: &str) -> String {
    code.split('-').nth(1).unwrap_or_default().to_lowercase()
}

/// What `podnet check --list` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleList {
    pub api_version: String,
    pub kind: String,
    pub items: Vec<Explanation>,
}

/// What `podnet explain CODE` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub api_version: String,
    pub kind: String,
    pub code: String,
    pub severity: Severity,
    pub sentence: String,
    pub meaning: String,
    pub origin: String,
    pub confirm: String,
    pub fix: String,
    /// Codes of deeper faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explained_by: Vec<String>,
}

impl Rule {
    pub fn explanation(&self) -> Explanation {
        Explanation {
            api_version: "podnet/v1".to_owned(),
            kind: "Rule".to_owned(),
            code: self.code.to_owned(),
            severity: self.severity,
            sentence: self.sentence.to_owned(),
            meaning: self.meaning.to_owned(),
            origin: self.origin.to_owned(),
            confirm: self.confirm.to_owned(),
            fix: self.fix.to_owned(),
            explained_by: self.follows.iter().map(|code| (*code).to_owned()).collect(),
        }
    }
}

/// The rules that are wanted, each with what there is to say.
pub fn list(rules: impl Iterator<Item = &'static Rule>) -> RuleList {
    RuleList {
        api_version: "podnet/v1".to_owned(),
        kind: "RuleList".to_owned(),
        items: rules.map(Rule::explanation).collect(),
    }
}
