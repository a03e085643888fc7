//! Every kind of network that is well: nothing is found. Every rule on every kind that can have the fault: it is found, and
//! nothing else. The false alarms are counted, and there are none.

use std::collections::BTreeSet;

use crate::case::assert_healthy;
use crate::node::{Kind, Node};
use crate::proof::code_of;
use crate::rules::all;

/// What is proven without a case.
const PROVEN: [&[&str]; 10] = [
    crate::containerd::PROVEN,
    crate::elsewhere::PROVEN,
    crate::runtime::PROVEN,
    crate::networks::PROVEN,
    crate::cilium_rules::PROVEN,
    crate::cilium_node::PROVEN,
    crate::kube::PROVEN,
    crate::declared::PROVEN,
    crate::lost::PROVEN,
    crate::ways::PROVEN,
];

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

/// A rule without a proof is a promise that nobody has seen kept.
#[test]
fn every_rule_is_proven() {
    let by_hand = PROVEN.iter().flat_map(|names| names.iter()).map(|name| code_of(name));
    let proven: BTreeSet<String> = all().map(|case| case.code.to_owned()).chain(by_hand).collect();
    let rules: BTreeSet<String> = podnet::check::RULES.iter().map(|rule| rule.code.to_owned()).collect();
    assert_eq!(rules.difference(&proven).collect::<Vec<_>>(), Vec::<&String>::new(), "rules that nobody tries");
    assert_eq!(proven.difference(&rules).collect::<Vec<_>>(), Vec::<&String>::new(), "codes that are no rule's");
}
