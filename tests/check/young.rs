//! Pods that are too young to be judged: nothing is said to hold for them, and when to ask again is told.

use serde_json::Value;

use crate::node::{Kind, Node};

const GRACE: u64 = 3600;

fn report(node: &Node, grace: &str) -> Value {
    serde_json::from_str(&node.machine.podnet(&["check", "--grace", grace, "-o", "json"]).stdout).unwrap()
}

fn count(report: &Value, what: &str) -> u64 {
    report["summary"][what].as_u64().unwrap()
}

#[test]
fn no_rule_holds_for_nobody() {
    let Some(node) = Node::new(Kind::Ptp) else { return };
    let (young, old) = (report(&node, &GRACE.to_string()), report(&node, "0"));
    let sum = |report: &Value| ["held", "withoutPod", "notRun"].map(|what| count(report, what)).iter().sum::<u64>();
    assert_eq!(count(&old, "withoutPod"), 0, "{old:#}");
    assert_eq!((count(&young, "errors"), sum(&young)), (0, sum(&old)), "{young:#}");
    assert!(count(&young, "withoutPod") > 50 && count(&young, "held") < count(&old, "held"), "{young:#}");
    let again = |skipped: &&Value| skipped["againInSeconds"].as_u64().is_some_and(|seconds| seconds <= GRACE);
    let passed_over = young["skipped"].as_array().unwrap().iter().filter(again);
    assert_eq!(passed_over.map(|skipped| &skipped["code"]).collect::<Vec<_>>(), ["*", "*"]);

    let said = node.machine.podnet(&["check", "--grace", &GRACE.to_string(), "-o", "wide"]).stdout;
    assert!(said.contains("2 pods were passed over as too young: ask again in 3"), "{said}");
    let not_run = young["skipped"].as_array().unwrap().iter().filter(|skipped| skipped["target"].is_null());
    for skipped in not_run {
        let (code, why) = (skipped["code"].as_str().unwrap(), skipped["why"].as_str().unwrap());
        let reason = said.lines().find(|line| line.starts_with(&format!("not run ({why}): ")));
        assert!(reason.is_some_and(|line| line.contains(code)), "{code}: {said}");
    }
}
