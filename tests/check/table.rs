//! Every kind of network that is well: nothing is found. Every rule on every kind that can have the fault: it is found, and
//! nothing else. The false alarms are counted, and there are none.

use crate::case::assert_healthy;
use crate::node::{Kind, Node};
use crate::rules::{ELSEWHERE, all};

fn all_on(kind: Kind) {
    let Some(node) = Node::new(kind) else { return };
    assert_healthy(&node, "as it was made");
    let others = all().filter(|case| case.on.contains(&kind) && case.on[0] != kind);
    let wrong: Vec<String> = others.flat_map(|case| case.try_on(&node)).collect();
    assert!(wrong.is_empty(), "{kind:?}\n{}", wrong.join("\n"));
    assert_healthy(&node, "after all was mended");
}

#[test]
fn bridge() {
    all_on(Kind::Bridge);
}

#[test]
fn ptp() {
    all_on(Kind::Ptp);
}

#[test]
fn routed() {
    all_on(Kind::Routed);
}

#[test]
fn macvlan() {
    all_on(Kind::Macvlan);
}

#[test]
fn nested() {
    all_on(Kind::Nested);
}

#[test]
fn host() {
    all_on(Kind::Host);
}

/// A rule without a case is a promise that nobody has seen kept.
#[test]
fn every_rule_has_a_case() {
    for rule in podnet::check::RULES {
        let files =
            [ELSEWHERE, crate::cilium::TRIED, crate::cilium_node::TRIED, crate::kube::TRIED, crate::networks::TRIED];
        let by_hand = files.iter().any(|codes| codes.contains(&rule.code));
        let tried = all().any(|case| case.code == rule.code) || by_hand;
        assert!(tried, "{} has no test that breaks a node and sees it", rule.code);
    }
}
