//! A way to break a node, and what it is called.

use serde_json::Value;

use crate::node::{Kind, Node, found};

/// Shell commands that know pods.sh and the values of the pod `web`.
pub struct Case {
    pub code: &'static str,
    /// On the first of them it is tried by itself, on all of them in the table.
    pub on: &'static [Kind],
    pub broken: &'static str,
    pub mended: &'static str,
    /// Codes that rightly stand beside it, none of them of an error.
    pub beside: &'static [&'static str],
}

/// Cases, and a test of each by its code.
macro_rules! cases {
    ($($name:ident: $case:expr,)*) => {
        pub static CASES: &[Case] = &[$($case),*];
        $(#[test]
        fn $name() {
            let code = stringify!($name).replace('_', "-").to_uppercase();
            CASES.iter().find(|case| case.code == code).unwrap().prove();
        })*
    };
}
pub(crate) use cases;

impl Case {
    /// Healthy, broken, mended.
    pub fn prove(&self) {
        let Some(node) = Node::new(self.on[0]) else { return };
        assert_healthy(&node, "before");
        let wrong = self.try_on(&node);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_healthy(&node, "after");
    }

    /// Breaks it, looks, and mends it. What was not seen, and what was without being there.
    pub fn try_on(&self, node: &Node) -> Vec<String> {
        node.run(self.broken);
        let report = node.report();
        node.run(self.mended);
        let found = found(&report);
        let missed = !found.iter().any(|(code, _)| code == self.code);
        let mut wrong: Vec<String> = found
            .into_iter()
            .filter(|(code, severity)| {
                let expected = self.beside.contains(&code.as_str()) && severity != "error";
                code != self.code && !expected
            })
            .map(|(code, _)| format!("{}: a false alarm: {code}", self.code))
            .collect();
        wrong.extend(missed.then(|| format!("{} was not seen", self.code)));
        if !wrong.is_empty() {
            wrong.push(shown(&report));
        }
        wrong
    }
}

pub fn assert_healthy(node: &Node, when: &str) {
    let report = node.report();
    assert!(found(&report).is_empty(), "{when}: {}", shown(&report));
}

/// What a failing test prints of a report.
fn shown(report: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let finding = |finding: &Value| {
        let evidence = finding["evidence"].as_array().unwrap().iter();
        let evidence: Vec<String> =
            evidence.map(|each| format!("    {}: {}", text(&each["what"]), text(&each["value"]))).collect();
        format!(
            "{} {} {}\n{}",
            text(&finding["target"]),
            text(&finding["code"]),
            finding["explains"],
            evidence.join("\n")
        )
    };
    let findings: Vec<String> = report["findings"].as_array().unwrap().iter().map(finding).collect();
    format!("\n{}\n{}\n{}", findings.join("\n"), report["skipped"], report["summary"])
}
