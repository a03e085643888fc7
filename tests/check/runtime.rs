//! Rules that go by what a container runtime says beside what is there.

use std::net::{SocketAddr, TcpListener, TcpStream};

use podnet::netns::Handle;
use serde_json::json;

use crate::case::assert_healthy;
use crate::docker::{Docker, container};
use crate::node::{Kind, Node};

/// The runtime was killed before it tore down a pod whose netns is gone.
#[test]
fn pn_cni_019() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    Docker::on(&node).has(&[container(&node.container_id("web"), "web"), container(&node.container_id("db"), "db")]);
    assert_healthy(&node, "before");
    let gone = node.container_id("gone");
    let copy = format!("s/$(container_id web)/{gone}/; s,netns/web,netns/gone,g");
    node.run(&format!("sed \"{copy}\" \"$(record web)\" >\"$(record gone)\""));
    assert_eq!(node.codes(), ["PN-CNI-019"]);
    node.run("rm \"$(record gone)\"");
    assert_healthy(&node, "after");
}

/// Beside the one that may not be executed: one that is not there.
#[test]
fn pn_cni_012() {
    let Some(node) = Node::new(Kind::Ptp) else { return };
    assert_healthy(&node, "before");
    node.run("mv /opt/cni/bin/host-local /run/host-local");
    assert_eq!(node.codes(), ["PN-CNI-012"]);
    node.run("mv /run/host-local /opt/cni/bin/host-local");
    assert_healthy(&node, "after");
}

/// A sandbox of cri-dockerd that CNI has nothing of on record.
#[test]
fn pn_cni_020() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    let (web, db) = (node.container_id("web"), node.container_id("db"));
    let mut sandbox = container(&web, "k8s_POD_web");
    sandbox["Labels"] = json!({"io.kubernetes.pod.namespace": "demo", "io.kubernetes.pod.name": "web",
        "io.kubernetes.sandbox.id": web, "io.kubernetes.container.name": "POD"});
    Docker::on(&node).has(&[sandbox, container(&db, "db")]);
    assert_healthy(&node, "before");
    node.run("mv \"$(record web)\" /run/record");
    assert_eq!(node.codes(), ["PN-CNI-020"]);
    node.run("mv /run/record \"$(record web)\"");
    assert_healthy(&node, "after");
}

/// A node whose Docker publishes port 80 of web as 8080, and the namespace of web.
fn publishing() -> Option<(Node, Handle)> {
    let node = Node::new(Kind::Bridge)?;
    let mut web = container(&node.container_id("web"), "web");
    web["Ports"] = json!([{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]);
    Docker::on(&node).has(&[web, container(&node.container_id("db"), "db")]);
    let inside = Handle::open(&node.machine.root("run/netns/web")).unwrap();
    Some((node, inside))
}

fn listen(inside: &Handle, address: &'static str) -> TcpListener {
    inside.run(move || TcpListener::bind(address).unwrap()).unwrap()
}

#[test]
fn pn_sock_001() {
    let Some((node, inside)) = publishing() else { return };
    assert_eq!(node.codes(), ["PN-SOCK-001"]);
    let _listener = listen(&inside, "0.0.0.0:80");
    assert_healthy(&node, "after");
}

#[test]
fn pn_sock_002() {
    let Some((node, inside)) = publishing() else { return };
    let local = listen(&inside, "127.0.0.1:80");
    assert_eq!(node.codes(), ["PN-SOCK-002"]);
    drop(local);
    let _listener = listen(&inside, "0.0.0.0:80");
    assert_healthy(&node, "after");
}

/// A program that takes no connection, and more of them than may wait.
#[test]
fn pn_sock_003() {
    let Some((node, inside)) = publishing() else { return };
    let listener = listen(&inside, "0.0.0.0:80");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    assert_healthy(&node, "before");
    let connect = || {
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        TcpStream::connect(address).unwrap()
    };
    let waiting = inside.run(move || [connect(), connect()]).unwrap();
    assert_eq!(node.codes(), ["PN-SOCK-003"]);
    let taken = [listener.accept().unwrap(), listener.accept().unwrap()];
    assert_healthy(&node, "after");
    drop((waiting, taken));
}

/// kube-proxy's rules, and br_netfilter as it is before somebody sets it.
#[test]
fn pn_fw_004() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    if !node.machine.root("proc/sys/net/bridge").exists() {
        eprintln!("skipped: br_netfilter is not loaded");
        return;
    }
    let (web, db) = (node.container_id("web"), node.container_id("db"));
    let mut sandbox = container(&web, "k8s_POD_web");
    sandbox["Labels"] = json!({"io.kubernetes.pod.namespace": "demo", "io.kubernetes.pod.name": "web",
        "io.kubernetes.sandbox.id": web, "io.kubernetes.container.name": "POD"});
    Docker::on(&node).has(&[sandbox, container(&db, "db")]);
    node.run(
        "nft add table ip nat; nft add chain ip nat KUBE-SERVICES
        nft 'add chain ip nat PREROUTING { type nat hook prerouting priority -100; }'
        nft add rule ip nat PREROUTING jump KUBE-SERVICES
        nft add rule ip nat KUBE-SERVICES ip daddr 10.96.0.1 counter return
        sysctl -qw net.bridge.bridge-nf-call-iptables=1",
    );
    assert_healthy(&node, "before");
    node.run("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
    assert_eq!(node.codes(), ["PN-FW-004"]);
    node.run("sysctl -qw net.bridge.bridge-nf-call-iptables=1");
    assert_healthy(&node, "after");
}
