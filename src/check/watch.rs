//! Looking again and again: what appeared and went since the last look.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::{CheckReport, Finding};
use super::rule::Severity;

/// A line of `podnet check --watch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckChange {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    /// Of the look that showed it.
    pub at: Timestamp,
    pub change: Change,
    /// As that look, or the last one that had it, told it.
    pub finding: Finding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Appeared,
    Went,
}

/// What stands, by code and target: the values that a message tells may change from look to look.
#[derive(Debug, Default)]
pub struct Watch {
    standing: BTreeMap<(String, String), Finding>,
}

impl Watch {
    /// Takes a look, and tells what is another than in the last one: first what went.
    pub fn look(&mut self, report: &CheckReport) -> Vec<CheckChange> {
        let key = |finding: &Finding| (finding.code.clone(), finding.target.clone());
        let mut before = std::mem::take(&mut self.standing);
        let mut appeared = Vec::new();
        for finding in &report.findings {
            let known = before.remove(&key(finding)).is_some();
            let again = self.standing.insert(key(finding), finding.clone()).is_some();
            if !known && !again {
                appeared.push(change(report, Change::Appeared, finding.clone()));
            }
        }
        let mut went = Vec::new();
        for (key, finding) in before {
            // What could not be judged this time is not known to be mended.
            if could_not_judge(report, &finding) {
                self.standing.insert(key, finding);
            } else {
                went.push(change(report, Change::Went, finding));
            }
        }
        went.into_iter().chain(appeared).collect()
    }

    /// Whether an error stands.
    pub fn has_error(&self) -> bool {
        self.standing.values().any(|finding| finding.severity == Severity::Error)
    }
}

fn could_not_judge(report: &CheckReport, finding: &Finding) -> bool {
    report.skipped.iter().any(|skipped| {
        let of_code = skipped.code == finding.code || skipped.code == "*";
        of_code && skipped.target.as_ref().is_none_or(|target| *target == finding.target)
    })
}

fn change(report: &CheckReport, change: Change, finding: Finding) -> CheckChange {
    CheckChange {
        api_version: "podnet/v1".to_owned(),
        kind: "CheckChange".to_owned(),
        node: report.node.clone(),
        at: report.collected_at,
        change,
        finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Skipped;

    fn report(findings: &[(&str, &str)], skipped: &[(&str, Option<&str>)]) -> CheckReport {
        let finding = |(code, target): &(&str, &str)| Finding {
            code: (*code).to_owned(),
            severity: Severity::Error,
            target: (*target).to_owned(),
            netns: None,
            message: String::new(),
            evidence: Vec::new(),
            cause: String::new(),
            fix: String::new(),
            fix_is_command: false,
            explains: Vec::new(),
        };
        let skip = |(code, target): &(&str, Option<&str>)| Skipped {
            code: (*code).to_owned(),
            why: String::new(),
            target: target.map(str::to_owned),
            again_in_seconds: None,
        };
        CheckReport {
            api_version: String::new(),
            kind: String::new(),
            node: String::new(),
            collected_at: Timestamp::UNIX_EPOCH,
            targets: Vec::new(),
            findings: findings.iter().map(finding).collect(),
            ignored: Vec::new(),
            skipped: skipped.iter().map(skip).collect(),
            summary: Default::default(),
            sources: Vec::new(),
        }
    }

    fn told(changes: Vec<CheckChange>) -> Vec<(Change, String)> {
        changes.into_iter().map(|change| (change.change, change.finding.code)).collect()
    }

    #[test]
    fn only_what_is_new_or_gone_is_told() {
        let mut watch = Watch::default();
        let of = |change, code: &str| (change, code.to_owned());
        let both = [("A", "web"), ("B", "web")];
        assert_eq!(told(watch.look(&report(&both, &[]))), [of(Change::Appeared, "A"), of(Change::Appeared, "B")]);
        assert_eq!(told(watch.look(&report(&both, &[]))), []);
        assert!(watch.has_error());
        let other = [("A", "web"), ("C", "db"), ("C", "db")];
        assert_eq!(told(watch.look(&report(&other, &[]))), [of(Change::Went, "B"), of(Change::Appeared, "C")]);
        assert_eq!(told(watch.look(&report(&[], &[]))), [of(Change::Went, "A"), of(Change::Went, "C")]);
        assert!(!watch.has_error());
    }

    #[test]
    fn what_was_not_judged_has_not_gone() {
        let mut watch = Watch::default();
        watch.look(&report(&[("A", "web"), ("B", "web"), ("C", "web")], &[]));
        let silent = report(&[], &[("A", None), ("B", Some("web")), ("C", Some("db"))]);
        assert_eq!(told(watch.look(&silent)), [(Change::Went, "C".to_owned())]);
        assert_eq!(told(watch.look(&report(&[], &[("*", Some("web"))]))), []);
        assert!(watch.has_error());
        assert_eq!(told(watch.look(&report(&[], &[]))).len(), 2);
    }
}
