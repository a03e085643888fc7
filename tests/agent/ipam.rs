//! `podnet ipam`: who gives addresses here, how many are left, and who has which.

use std::time::Duration;

use serde_json::{Value, json};

use crate::openapi;
use crate::stand_in::{Setup, StandIn, recording};
use crate::support::podnet::Podnet;
use crate::support::prerequisite::root_and;
use crate::support::scratch::Scratch;
use crate::support::shell::wait_for;

fn answer(document: &Value) -> &str {
    document["answer"].as_str().unwrap()
}

/// podnet on a node with these files below `/var/lib/cni` and `/etc/cni/net.d`, and no others.
fn with_cni(scratch: &Scratch, socket: &str) -> Podnet {
    const ON_NODE: &str = r#"
        mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/cni && cp -r "$0"/cni/. /var/lib/cni
        mount -t tmpfs tmpfs /etc && mkdir -p /etc/cni/net.d && cp "$0"/net.d/* /etc/cni/net.d
        exec "$@""#;
    Podnet::with(&[("CILIUM_SOCK", socket.to_owned())]).through(&[
        "unshare",
        "--mount",
        "sh",
        "-ec",
        ON_NODE,
        scratch.path().to_str().unwrap(),
    ])
}

#[test]
fn the_agents_pools_come_first_with_their_figures() {
    let agent = StandIn::recorded("k8s");
    let document = agent.podnet().json(&["ipam"]);
    assert_eq!((&document["ruledBy"], &document["mode"]), (&json!("cilium agent"), &json!("kubernetes")));
    assert_eq!(document["canTakeAnother"], true);
    assert_eq!(
        answer(&document),
        "pods get addresses from 10.244.1.0/24 (cilium agent, kubernetes): 5 of 254 used; it can take another pod"
    );
    let family = &document["items"][0]["families"][0];
    assert_eq!(
        (&family["subnets"], &family["size"], &family["used"], &family["free"]),
        (&json!(["10.244.1.0/24"]), &json!(254), &json!(5), &json!(249))
    );
    let text = agent.podnet().env("COLUMNS", "80".into()).run(&["ipam"]).stdout;
    let row = text.lines().find(|line| line.starts_with("default")).unwrap_or_default();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells.join(" "), "default cilium agent 10.244.1.0/24 254 5 249 ▮▯▯▯▯▯▯▯▯▯ 1%", "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_node_that_is_full_says_so() {
    let full = Setup::recorded("kvstore").answer("/healthz", recording("kvstore/ipam-exhausted-healthz"));
    let document = StandIn::start(full).podnet().json(&["ipam"]);
    assert_eq!(document["canTakeAnother"], false);
    assert!(answer(&document).contains("254 of 254 used; it cannot take another pod"), "{document}");
}

#[test]
fn every_pool_of_several_is_listed() {
    let document = StandIn::recorded("multipool").podnet().json(&["ipam", "--no-kube"]);
    let used = |name: &str| {
        let pools = document["items"].as_array().unwrap();
        pools.iter().find(|pool| pool["name"] == name).unwrap()["uncounted"][0]["used"].clone()
    };
    assert_eq!((used("default"), used("blue")), (json!(2), json!(1)));
    assert!(answer(&document).contains("blue 1 used, default 2 used; how many more, nobody here tells"), "{document}");
    assert_eq!(document.get("canTakeAnother"), None, "the operator knows the sizes, and was not asked");
}

#[test]
fn addresses_are_listed_with_whose_they_are() {
    let agent = StandIn::recorded("multipool");
    let document = agent.podnet().json(&["ipam", "list"]);
    let held: Vec<_> = document["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|held| {
            (
                held["address"].as_str().unwrap(),
                held["pool"].as_str().unwrap(),
                held["owner"].as_str().unwrap(),
                held["by"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(held[0], ("10.20.0.11", "blue", "demo/mp2", "cilium agent"));
    assert_eq!(held.len(), 3);
    let one = agent.podnet().json(&["ipam", "list", "--pool", "blue"]);
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let shown = agent.podnet().json(&["ipam", "show", "10.20.0.11"]);
    assert_eq!((&shown["state"], &shown["holder"]["owner"]), (&json!("held"), &json!("demo/mp2")));
    assert_eq!(agent.podnet().json(&["ipam", "show", "203.0.113.9"])["state"], "unknown");
}

#[test]
fn host_local_rules_where_the_network_in_force_names_it() {
    if !root_and(&["unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("cni/networks/net/10.1.0.2", "c0ffee\r\neth0");
    scratch.write("cni/networks/net/10.1.0.3", "beef\r\neth0");
    let plugin = r#"{"type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/29"}]]}}"#;
    scratch
        .write("net.d/10-net.conflist", &format!(r#"{{"cniVersion": "1.0.0", "name": "net", "plugins": [{plugin}]}}"#));
    let document = with_cni(&scratch, &scratch.text("none.sock")).json(&["ipam", "--no-kube"]);
    assert_eq!(document["ruledBy"], "host-local");
    assert_eq!(
        answer(&document),
        "pods get addresses from 10.1.0.0/29 (host-local): 2 of 5 used; it can take another pod"
    );
    let list = with_cni(&scratch, &scratch.text("none.sock")).json(&["ipam", "list", "--no-kube"]);
    assert_eq!(
        list["items"][0],
        json!({"address": "10.1.0.2", "by": "host-local", "pool": "net", "containerId": "c0ffee", "ifname": "eth0", "since": list["items"][0]["since"]})
    );
}

#[test]
fn every_mode_of_the_agent_is_told_with_its_figures() {
    for mode in ["cluster-pool", "crd", "eni", "azure", "alibabacloud"] {
        let mut health = recording("k8s/healthz");
        health["ipam"]["status"] = json!("IPv4: 10/10 allocated, ");
        let full = Setup::recorded("k8s").configured("/status/ipam-mode", json!(mode)).answer("/healthz", health);
        let document = StandIn::start(full).podnet().json(&["ipam", "--no-kube"]);
        assert_eq!((&document["ruledBy"], &document["mode"]), (&json!("cilium agent"), &json!(mode)));
        assert_eq!(document["canTakeAnother"], false);
        let end = if mode == "cluster-pool" { "delete pods, or give it another subnet" } else { "gives it more" };
        assert!(answer(&document).contains("10 of 10 used"), "{document}");
        assert!(answer(&document).ends_with(end), "{document}");
    }
}

#[test]
fn an_agent_that_leaves_addresses_to_a_plugin_does_not_rule() {
    if !root_and(&["unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("cni/networks/cilium/10.1.0.2", "c0ffee\r\neth0");
    let plugin = r#"{"type": "cilium-cni", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/30"}]]}}"#;
    let list = format!(r#"{{"cniVersion": "1.0.0", "name": "cilium", "plugins": [{plugin}]}}"#);
    scratch.write("net.d/05-cilium.conflist", &list);
    let setup = Setup::recorded("k8s").configured("/status/ipam-mode", json!("delegated-plugin"));
    let agent = StandIn::start(setup);
    let document = with_cni(&scratch, agent.socket.to_str().unwrap()).json(&["ipam", "--no-kube"]);
    assert_eq!(document["ruledBy"], "host-local");
    assert_eq!(document["canTakeAnother"], false, "{document}");
    assert!(answer(&document).contains("from 10.1.0.0/30 (host-local): 1 of 1 used"), "{document}");
}

#[test]
fn podnets_own_store_rules_where_its_network_is_in_force() {
    if !root_and(&["unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("cni/nothing", "");
    scratch.write("own/networks/default/10.42.0.7", "c0ffee\r\neth0");
    let list = r#"{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "podnet"}]}"#;
    scratch.write("net.d/10-podnet.conflist", list);
    let own = scratch.text("own");
    let podnet = || with_cni(&scratch, &scratch.text("none.sock"));
    let document = podnet().json(&["ipam", "--no-kube", "--root", &own]);
    assert_eq!((&document["ruledBy"], &document["canTakeAnother"]), (&json!("podnet"), &json!(true)));
    assert!(answer(&document).contains("10.42.0.0/24"), "{document}");
    let held = podnet().json(&["ipam", "list", "--no-kube", "--root", &own]);
    assert_eq!((&held["items"][0]["address"], &held["items"][0]["by"]), (&json!("10.42.0.7"), &json!("podnet")));
}

#[test]
fn what_only_the_cache_of_cni_knows_is_listed_as_such() {
    if !root_and(&["unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    let config =
        r#"{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "macvlan", "ipam": {"type": "dhcp"}}]}"#;
    scratch.write("net.d/10-net.conflist", config);
    let address = |address: &str| json!({"address": address});
    let result = json!({"cniVersion": "1.0.0", "ips": [address("10.7.0.9/24"), address("127.0.0.1/8")]});
    let cached = json!({
        "kind": "cniCacheV1", "containerId": "c0ffee", "ifName": "eth0", "networkName": "net", "netns": "/run/netns/x",
        "config": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, config), "result": result,
        "cniArgs": [["K8S_POD_NAMESPACE", "demo"], ["K8S_POD_NAME", "web-0"]],
    });
    scratch.write("cni/results/net-c0ffee-eth0", &cached.to_string());
    let podnet = || with_cni(&scratch, &scratch.text("none.sock"));
    let list = podnet().json(&["ipam", "list", "--no-kube"]);
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "nobody gives the addresses of lo: {items:#?}");
    let held = &items[0];
    assert_eq!((&held["address"], &held["by"]), (&json!("10.7.0.9"), &json!("cni cache")));
    assert_eq!((&held["owner"], &held["containerId"]), (&json!("demo/web-0"), &json!("c0ffee")));
    let document = podnet().json(&["ipam", "--no-kube"]);
    assert_eq!(answer(&document), "dhcp gives pods their addresses; podnet does not read its books");
}

#[test]
fn an_agent_that_is_down_gives_nobody_an_address() {
    if !root_and(&["unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    scratch.write("cni/nothing", "");
    scratch.write(
        "net.d/05-cilium.conflist",
        r#"{"cniVersion": "0.3.1", "name": "cilium", "plugins": [{"type": "cilium-cni"}]}"#,
    );
    let document = with_cni(&scratch, &scratch.text("none.sock")).json(&["ipam", "--no-kube"]);
    assert_eq!((&document["ruledBy"], &document["canTakeAnother"]), (&json!("cilium agent"), &json!(false)));
    assert!(answer(&document).contains("does not answer"), "{document}");
}

#[test]
fn an_address_that_leaked_is_given_back_and_no_other() {
    for version in ["1.9", "1.15"] {
        let agent = StandIn::start(Setup::stateful(version, 5));
        // As a plugin does that is killed before the endpoint.
        let mut stream = std::os::unix::net::UnixStream::connect(&agent.socket).unwrap();
        let question = "POST /v1/ipam?owner=demo%2Fgone HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
        std::io::Write::write_all(&mut stream, question.as_bytes()).unwrap();
        std::io::Read::read(&mut stream, &mut [0; 64]).unwrap();
        assert_eq!(agent.state()["addresses"]["10.244.1.10"]["owner"], "demo/gone");
        // The agent's books are seconds old where they can be read.
        let listed = || agent.podnet().json(&["ipam", "show", "10.244.1.10"])["state"] == "held";
        wait_for("the address in the agent's books", Duration::from_secs(60), || listed().then_some(()));
        let router = agent.podnet().run(&["ipam", "release", "10.244.1.217", "--agent"]);
        assert!(router.status == 1 && router.stderr.contains("is the agent's own (router)"), "{}", router.stderr);
        let released = agent.podnet().json(&["ipam", "release", "10.244.1.10", "--agent"]);
        assert_eq!(released["addresses"], json!(["10.244.1.10"]));
        assert_eq!(agent.state()["addresses"].get("10.244.1.10"), None);
        let Some(document) = openapi::document(version) else { continue };
        agent.requests().iter().for_each(|request| document.validate(request));
    }
}
