//! The networks that a container may have instead of one of its own, and namespaces without a container.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::docker::Docker;
use crate::support::facts;
use crate::support::namespace::{Namespace, unique};
use crate::support::podman::Podman;
use crate::support::podnet::{Podnet, interface, on_docker, on_podman};
use crate::support::prerequisite;
use crate::support::shell::{run, wait_for};

#[test]
fn docker_network_modes() {
    let Some(docker) = Docker::start() else { return };
    let first = docker.run("mode-first");
    let joined = docker.run_with("mode-joined", &["--network", "container:mode-first"], &[]);
    docker.run_with("mode-none", &["--network", "none"], &[]);
    docker.run_with("mode-host", &["--network", "host"], &[]);
    let podnet = on_docker(docker.socket());

    let screen = podnet.run(&["inspect", "mode-joined"]).stdout;
    assert!(screen.contains(&format!("network container:{}\n", &first[..12])), "{screen}");
    let document = podnet.inspect("mode-joined");
    assert_eq!(document["workload"]["id"], joined);
    assert_eq!(document["netns"]["inode"], facts::netns(docker.pid("mode-first")));
    assert_eq!(document["sharedWith"][0]["id"], first);
    assert_eq!(interface(&document, "eth0")["peer"]["verdict"], "confirmed");

    // Docker's resolver for networks of one's own listens inside, and dockerd holds it from outside.
    let sockets = document["sockets"]["listeners"].as_array().unwrap();
    let resolver = |socket: &&Value| socket["local"].as_str().unwrap().starts_with("127.0.0.11:");
    let held: Vec<&Value> = sockets.iter().filter(resolver).map(|socket| &socket["process"]["name"]).collect();
    assert!(!held.is_empty() && held.iter().all(|name| **name == "dockerd"), "{sockets:#?}");

    let namespaces = |options: &[&str]| {
        let list = podnet.json(&[&["list", "--netns-only"], options].concat());
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["netns"]["inode"].as_u64().unwrap()).collect::<BTreeSet<u64>>()
    };
    let own = ["mode-first", "mode-none", "mode-host"].map(|name| facts::netns(docker.pid(name)));
    let bare = Namespace::new();
    // Those of tests beside this one are seen too.
    for (options, of_docker, uninhabited) in
        [(&[][..], true, true), (&["--runtime", "docker"], true, false), (&["--runtime", "cri-o"], false, false)]
    {
        let found = namespaces(options);
        assert!(own.iter().all(|inode| found.contains(inode) == of_docker), "{options:?}: {found:?}");
        assert_eq!(found.contains(&bare.inode()), uninhabited, "{options:?}: {found:?}");
    }

    let document = podnet.inspect("mode-none");
    assert_eq!(document["netns"]["inode"], facts::netns(docker.pid("mode-none")));
    assert_eq!(document["interfaces"][0]["name"], "lo");
    assert!(document["interfaces"].as_array().unwrap().iter().all(|link| link["kind"] != "veth"), "{document:#}");

    assert_eq!(podnet.inspect("mode-host")["netns"]["isHost"], true);
}

#[test]
fn a_stopped_docker_container_is_said_to_be_so() {
    let Some(docker) = Docker::start() else { return };
    let id = docker.run("was-here");
    docker.cli(&["kill", "was-here"]);
    let workload = on_docker(docker.socket()).inspect("was-here")["workload"].clone();
    assert_eq!(workload["id"], id);
    assert_eq!(workload["state"], "stopped");
    assert_eq!(workload["pid"], serde_json::Value::Null);
    assert_eq!(workload["exitCode"], 137);
}

#[test]
fn stopped_containers_of_the_others_are_found_too() {
    let Some(podman) = Podman::start() else { return };
    let id = podman.run("was-there");
    podman.cli(&["kill", "was-there"]);
    // Its service tells more, but its files are enough.
    let podnet = on_podman(podman.storage(), None);
    let document = wait_for("the container to end", Duration::from_secs(30), || {
        let document = podnet.inspect("was-there");
        (document["workload"]["state"] == "stopped").then_some(document)
    });
    assert_eq!(document["workload"]["id"], id);
    assert_eq!(document["netns"], Value::Null);
}

#[test]
fn a_namespace_without_a_process_is_found_by_its_path_and_its_peer() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let netns = Namespace::new();
    let veth = netns.veth_from_host();
    let podnet = Podnet::default();
    for handle in [netns.path(), format!("netns:{}", netns.inode()), format!("dev:{veth}")] {
        let document = podnet.inspect(&handle);
        assert_eq!(document["netns"]["inode"], netns.inode(), "{handle}");
        assert_eq!(document["netns"]["paths"][0], netns.path(), "{handle}");
        assert_eq!(interface(&document, "eth0")["peer"]["name"], veth, "{handle}");
    }
    let list = podnet.json(&["list"]);
    let items = list["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["netns"]["inode"] == netns.inode()).unwrap();
    assert_eq!(item["hostInterface"], veth);
}

#[test]
fn both_ends_of_a_pair_may_have_one_number() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (pod, veth) = (Namespace::new(), unique());
    let number = (2_000_000 + std::process::id()).to_string();
    let peer = ["type", "veth", "peer", "name", "eth0", "index", &number, "netns", &pod.name];
    run("ip", &[&["link", "add", &veth, "index", &number][..], &peer].concat());
    for handle in [pod.path(), format!("dev:{veth}"), format!("ifindex:{number}")] {
        let document = Podnet::default().inspect(&handle);
        assert_eq!(document["netns"]["inode"], pod.inode(), "{handle}");
        let peer = &interface(&document, "eth0")["peer"];
        assert_eq!(
            (&peer["verdict"], &peer["name"]),
            (&"confirmed".into(), &veth.as_str().into()),
            "{handle}: {peer:#}"
        );
        assert_eq!(peer["netns"]["isHost"], true, "{handle}");
    }
}

#[test]
fn a_peer_in_a_third_namespace_is_told_from_a_host_link_of_the_same_number() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    // As in kind: `node` has a pod of its own, and the host has a pair of the same numbers.
    let (node, pod, other) = (Namespace::new(), Namespace::new(), Namespace::new());
    let number = 1_000_000 + 2 * std::process::id();
    let (outer, inner) = (number.to_string(), (number + 1).to_string());
    let (lxc, decoy) = (unique(), unique());
    let peer = |netns| ["type", "veth", "peer", "name", "eth0", "index", &inner, "netns", netns];
    run("ip", &[&["-n", &node.name, "link", "add", &lxc, "index", &outer][..], &peer(&pod.name)].concat());
    run("ip", &[&["link", "add", &decoy, "index", &outer][..], &peer(&other.name)].concat());
    let podnet = Podnet::default();
    let document = podnet.inspect(&pod.path());
    let peer = &interface(&document, "eth0")["peer"];
    assert_eq!(peer["verdict"], "confirmed", "{peer:#}");
    assert_eq!(peer["name"], lxc);
    assert_eq!(peer["ifindex"], number);
    assert_eq!(peer["netns"]["inode"], node.inode());
    assert_eq!(peer["netns"]["isHost"], false);
    assert_eq!(peer["netns"]["path"], node.path());

    let document = podnet.inspect(&format!("ifindex:{outer}"));
    assert_eq!(document["netns"]["inode"], other.inode(), "the host's own pair of that number");
    assert_eq!(interface(&document, "eth0")["peer"]["name"], decoy);
}
