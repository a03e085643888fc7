//! How `podnet status` sees an agent.

use serde_json::Value;

use crate::stand_in::{Fault, Setup, StandIn};

/// The part of that name.
fn part(document: &Value, name: &str) -> Value {
    let parts = document["parts"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name} in {parts:#?}")).clone()
}

fn fact(part: &Value, name: &str) -> String {
    let facts = part["facts"].as_array().unwrap();
    let found = facts.iter().find(|fact| fact["name"] == name).unwrap_or_else(|| panic!("{name} in {facts:#?}"));
    found["value"].as_str().unwrap().to_owned()
}

fn why(part: &Value) -> Vec<&str> {
    part["why"].as_array().unwrap().iter().map(|why| why.as_str().unwrap()).collect()
}

#[test]
fn its_mode_and_how_full_it_is() {
    let agent = StandIn::recorded("k8s");
    let document = agent.podnet().json(&["status"]);
    let told = part(&document, "cilium agent");
    assert_eq!(fact(&told, "version"), "1.15.0-dev");
    for (name, value) in [
        ("datapath", "veth"),
        ("routing", "tunnel"),
        ("kube-proxy replacement", "False"),
        ("host routing", "Legacy"),
        ("ipam", "kubernetes"),
    ] {
        assert_eq!(fact(&told, name), value, "{name}");
    }
    let ipam = part(&document, "ipam");
    assert_eq!((&ipam["state"], fact(&ipam, "IPv4").as_str()), (&"ok".into(), "5 of 254 used from 10.244.1.0/24"));
}

#[test]
fn what_ails_it_is_told() {
    let agent = StandIn::recorded("kvstore");
    let told = part(&agent.podnet().json(&["status"]), "cilium agent");
    assert_eq!(told["state"], "degraded");
    assert!(why(&told).iter().any(|why| why.starts_with("kvstore Failure")), "{told:#}");
    let full =
        Setup::recorded("kvstore").answer("/healthz", crate::stand_in::recording("kvstore/ipam-exhausted-healthz"));
    let ipam = part(&StandIn::start(full).podnet().json(&["status"]), "ipam");
    assert_eq!(ipam["state"], "degraded");
    assert!(why(&ipam)[0].starts_with("no IPv4 address is free"), "{ipam:#}");
}

#[test]
fn one_that_is_silent_is_no_agent_that_is_absent() {
    let agent = StandIn::start(Setup::recorded("k8s").fault("*", Fault::Silent));
    let document = agent.podnet().json(&["status", "--timeout", "0.3"]);
    assert_eq!(part(&document, "cilium agent")["state"], "degraded", "{document:#}");
}
