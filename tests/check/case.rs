//! A way to break a node, and what it is called.

use serde_json::Value;

use crate::node::{Kind, Node, found};
use crate::proof::Proven;

/// Shell commands that know pods.sh and the values of the pod `web`.
#[derive(Clone, Copy)]
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
            let case: $crate::case::Case = $case;
            $crate::proof::assert_is_of(stringify!($name), case.prove());
        })*
    };
}
pub(crate) use cases;

impl Case {
    /// Healthy, broken, mended, on the first kind of network.
    pub fn prove(&self) -> Option<Proven> {
        let node = Node::new(self.on[0])?;
        let run = |script: &str| {
            node.run(script);
        };
        Some(node.proves_beside(self.code, self.beside, || run(self.broken), || run(self.mended)))
    }

    /// Breaks it, looks, and mends it. What was not seen, and what was without being there.
    pub fn try_on(&self, node: &Node) -> Vec<String> {
        node.run(self.broken);
        let report = node.report();
        node.run(self.mended);
        wrong(self.code, self.beside, &report)
    }
}

/// What a report lacks or has too much that should tell of one code, and at most warn of these beside it.
pub fn wrong(code: &str, beside: &[&str], report: &Value) -> Vec<String> {
    let found = found(report);
    let missed = !found.iter().any(|(each, _)| each == code);
    let mut wrong: Vec<String> = found
        .into_iter()
        .filter(|(each, severity)| each != code && !(beside.contains(&each.as_str()) && severity != "error"))
        .map(|(each, _)| format!("{code}: a false alarm: {each}"))
        .collect();
    wrong.extend(missed.then(|| format!("{code} was not seen")));
    if !wrong.is_empty() {
        wrong.push(shown(report));
    }
    wrong
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
