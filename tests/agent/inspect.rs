//! What the agent believes, beside what the kernel shows: every disagreement is marked.

use serde_json::{Value, json};

use crate::pod::{ADDRESS, ENDPOINT, Pod};
use crate::stand_in::{Setup, StandIn, recording};
use crate::support::podnet::source;
use crate::support::prerequisite;

fn inspect(setup: Setup, target: &str) -> Value {
    StandIn::start(setup).podnet().json(&["inspect", target, "--runtime", "none"])
}

/// What the section differs in, and who says what.
fn differences(section: &Value) -> Vec<(String, Vec<(String, String)>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = |told: &Value| (text(&told["by"]), text(&told["value"]));
    let one = |each: &Value| (text(&each["what"]), each["told"].as_array().unwrap().iter().map(told).collect());
    section["disagreements"].as_array().map(|all| all.iter().map(one).collect()).unwrap_or_default()
}

#[test]
fn an_agent_that_is_right_is_not_contradicted() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let pod = Pod::new();
    let endpoint = pod.endpoint();
    let agent = StandIn::start(pod.agent(&endpoint));
    for target in [
        pod.target(),
        format!("ep:{ENDPOINT}"),
        "cep:demo/web1".into(),
        "identity:44460".into(),
        format!("dev:{}", pod.interface),
    ] {
        let document = agent.podnet().json(&["inspect", &target, "--runtime", "none"]);
        assert_eq!(document["netns"]["inode"], pod.namespace.inode(), "{target}");
        assert_eq!(document["endpoint"]["id"], ENDPOINT, "{target}");
        assert_eq!(document["endpoint"]["identity"], 44460);
        assert_eq!(differences(&document["endpoint"]), [], "{target}");
        assert_eq!(differences(&document["ipam"]), [], "{target}");
        let handed = &document["ipam"]["addresses"][0];
        assert_eq!(
            *handed,
            json!({"address": ADDRESS, "by": "cilium agent", "mode": "kubernetes", "pool": "default", "owner": "demo/web1", "cidr": "10.244.1.0/24", "used": 5, "size": 254})
        );
        assert_eq!(source(&document, "cilium agent")["status"], "present");
    }
    let text = agent.podnet().env("COLUMNS", "80".into()).run(&["inspect", &pod.target(), "--runtime", "none"]).stdout;
    assert!(text.contains("\nENDPOINT 1408   ready   identity 44460   policy none   revision 2\n"), "{text}");
    assert!(text.contains("10.244.1.249   cilium agent (kubernetes)   pool default   10.244.1.0/24"), "{text}");
    assert!(!text.contains("!"), "{text}");
}

#[test]
fn every_difference_is_marked_with_both_values() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let pod = Pod::new();
    let right = pod.endpoint();
    let networking = right["status"]["networking"].clone();
    let text = |name: &str| networking[name].as_str().map_or_else(|| networking[name].to_string(), str::to_owned);
    for (field, wrong, what, seen) in [
        ("mac", json!("02:00:00:00:00:01"), "MAC", text("mac")),
        ("host-mac", json!("02:00:00:00:00:02"), "host MAC", text("host-mac")),
        ("interface-index", json!(99_999), "ifindex", text("interface-index")),
        ("interface-name", json!("lxcelsewhere"), "interface", pod.interface.clone()),
        ("container-interface-name", json!("net1"), "pod interface", "lo eth0".into()),
        ("addressing", json!([{"ipv4": "10.244.1.7"}]), "addresses", ADDRESS.into()),
    ] {
        let mut endpoint = right.clone();
        endpoint["status"]["networking"][field] = wrong;
        // The pod is found by its sandbox no more than by its interface: by the address, or the endpoint by its name.
        let document = inspect(pod.agent(&endpoint), &pod.target());
        let found = differences(&document["endpoint"]);
        if document["endpoint"].is_null() {
            panic!("{field}: the endpoint was not found");
        }
        let (_, told) = found.iter().find(|(named, _)| named == what).unwrap_or_else(|| panic!("{what} in {found:?}"));
        assert_eq!((told[0].0.as_str(), told[0].1.as_str()), ("kernel", seen.as_str()), "{what}");
        assert_eq!(told[1].0, "agent");
        assert_ne!(told[1].1, seen);
    }
}

#[test]
fn a_gateway_and_mtus_of_another_time_are_marked() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let pod = Pod::new();
    let mut config = recording("k8s/config");
    config["status"]["addressing"]["ipv4"]["ip"] = json!("10.244.1.1");
    config["status"]["deviceMTU"] = json!(9001);
    config["status"]["routeMTU"] = json!(8951);
    let document = inspect(pod.agent(&pod.endpoint()).answer("/config", config), &pod.target());
    let found: Vec<String> = differences(&document["endpoint"]).into_iter().map(|(what, _)| what).collect();
    assert_eq!(found, ["MTU", "pod MTU", "gateway", "route MTU"]);
}

#[test]
fn an_endpoint_whose_pod_is_gone_is_shown_alone() {
    let agent = StandIn::start(Setup::recorded("k8s"));
    let document = agent.podnet().json(&["inspect", "ep:1408", "--runtime", "none"]);
    assert_eq!(document.get("netns"), None);
    assert_eq!(document["endpoint"]["pod"], json!({"namespace": "demo", "name": "web1"}));
    let [(what, told)] = differences(&document["endpoint"]).try_into().unwrap();
    assert_eq!((what.as_str(), told[0].1.as_str()), ("interface", "no such interface on the host"));
    let names = agent.podnet().run(&["inspect", "ep:1408", "--runtime", "none", "-o", "name"]);
    assert_eq!(names.stdout, "ep:1408\n");
}

#[test]
fn an_address_that_nobody_gave_is_marked() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let pod = Pod::new();
    let mut health = recording("k8s/healthz");
    health["ipam"]["allocations"].as_object_mut().unwrap().remove(ADDRESS);
    let document = inspect(pod.agent(&pod.endpoint()).answer("/healthz", health), &pod.target());
    let [(what, told)] = differences(&document["ipam"]).try_into().unwrap();
    assert_eq!((what.as_str(), told[0].0.as_str(), told[1].1.as_str()), ("allocation", "endpoint", "not allocated"));

    let without = Setup::recorded("k8s").answer("/endpoint", json!([]));
    let document = inspect(without, &pod.target());
    assert_eq!(document.get("endpoint"), None);
    assert_eq!(document["ipam"]["addresses"][0]["unclaimed"], true);
}

#[test]
fn a_number_that_means_several_things_is_told_apart() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let pod = Pod::new();
    let endpoint = pod.endpoint();
    let ifindex = endpoint["status"]["networking"]["interface-index"].clone();
    let mut other = recording("k8s/endpoint-list")[1].clone();
    other["id"] = ifindex.clone();
    let agent = StandIn::start(Setup::recorded("k8s").answer("/endpoint", json!([endpoint, other])));
    let ran = agent.podnet().run(&["inspect", &ifindex.to_string(), "--runtime", "none"]);
    assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
    for spelling in [format!("ep:{ifindex}"), format!("dev:{}", pod.interface)] {
        assert!(ran.stderr.contains(&spelling), "{}", ran.stderr);
        assert_eq!(agent.podnet().run(&["inspect", &spelling, "--runtime", "none"]).status, 0);
    }
    let entered = agent.podnet().run(&["exec", "ep:1408", "--", "ip", "-br", "addr"]);
    assert!(entered.stdout.contains(ADDRESS), "{}{}", entered.stdout, entered.stderr);
}
