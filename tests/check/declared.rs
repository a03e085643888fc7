//! Ports that a Pod's manifest names, with somebody who listens there or not.

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::time::Duration;

use podnet::netns::Handle;
use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::case::assert_healthy;
use crate::docker::{Docker, container, sandbox};
use crate::kube::{PODS, Scene, called, on, wants};
use crate::node::{Kind, Node};
use crate::proof::{Proven, proofs};
use crate::support::listener::Listener;
use crate::support::shell::wait_for;

proofs![pn_sock_004, pn_sock_005, pn_kube_009];

/// A node whose pods are those of Kubernetes; web has its sandbox by Docker.
fn with_web(kind: Kind) -> Option<(Node, ApiServer)> {
    let node = Node::new(kind)?;
    let server = on(&node);
    let addresses = ["web", "db"].map(|name| (name, node.run(&format!(". /run/pods/{name}; echo $IP4"))));
    server.change(PODS, |pods| {
        let noted = |(name, address): &(&str, String)| {
            let mut pod = called(pods, "web1").clone();
            pod["metadata"]["name"] = json!(name);
            pod["metadata"]["uid"] = json!(name);
            pod["status"]["podIP"] = json!(address.trim());
            pod["status"]["podIPs"] = json!([{"ip": address.trim()}]);
            pod
        };
        *pods = addresses.iter().map(noted).collect();
    });
    let web = sandbox(&node.container_id("web"), "demo", "web");
    Docker::on(&node).has(&[web, container(&node.container_id("db"), "db")]);
    Some((node, server))
}

/// In a pod, until it is dropped.
pub fn listen(node: &Node, pod: &str, address: &'static str) -> Listener<TcpListener> {
    let inside = Handle::open(&node.machine.root(&format!("run/netns/{pod}"))).unwrap();
    inside.run(move || Listener(TcpListener::bind(address).unwrap())).unwrap()
}

/// Its only container declares the port.
fn declares(server: &ApiServer, port: Value) {
    server.change(PODS, |pods| wants(called(pods, "web"), port.clone()));
}

fn ready(server: &ApiServer, word: &str) {
    server.change(PODS, |pods| {
        let conditions = called(pods, "web")["status"]["conditions"].as_array_mut().unwrap();
        conditions
            .iter_mut()
            .filter(|condition| condition["type"] == "Ready")
            .for_each(|ready| ready["status"] = json!(word));
    });
}

fn nobody_listens(kind: Kind) -> Option<Proven> {
    let (node, server) = with_web(kind)?;
    let listener = RefCell::new(None);
    let proven = node.proves(
        "PN-SOCK-004",
        || declares(&server, json!({"containerPort": 8080})),
        || drop(listener.replace(Some(listen(&node, "web", "0.0.0.0:8080")))),
    );
    drop(listener.take());
    // One that says itself that it is not ready, and a port of another protocol.
    ready(&server, "False");
    assert_healthy(&node, "not ready");
    ready(&server, "True");
    declares(&server, json!({"containerPort": 8080, "protocol": "UDP"}));
    assert_healthy(&node, "UDP");
    Some(proven)
}

fn pn_sock_004() -> Option<Proven> {
    nobody_listens(Kind::Bridge)
}

#[test]
fn pn_sock_004_by_ptp() {
    let _ = nobody_listens(Kind::Ptp);
}

#[test]
fn pn_sock_004_on_macvlan() {
    let _ = nobody_listens(Kind::Macvlan);
}

#[test]
fn pn_sock_004_of_cilium() {
    let Some(scene) = Scene::new() else { return };
    let _ = scene.proves("PN-SOCK-004", PODS, |pods| wants(called(pods, "web1"), json!({"containerPort": 8080})));
}

/// gVisor listens in its own network, and takes the addresses out of the namespace.
#[test]
fn a_pod_that_listens_elsewhere_is_well() {
    let Some((node, server)) = with_web(Kind::Bridge) else { return };
    declares(&server, json!({"containerPort": 8080}));
    node.run("pod ip addr flush dev eth0 scope global");
    assert!(!node.codes().iter().any(|code| code.starts_with("PN-SOCK")));
}

fn listens_inside(kind: Kind) -> Option<Proven> {
    let (node, server) = with_web(kind)?;
    let listener = RefCell::new(None);
    let listens = |address| {
        drop(listener.take());
        listener.replace(Some(listen(&node, "web", address)));
    };
    let breaks = || {
        declares(&server, json!({"containerPort": 8080}));
        listens("127.0.0.1:8080");
    };
    let proven = node.proves("PN-SOCK-005", breaks, || listens("[::]:8080"));
    listens("127.0.0.1:8080");
    let _proxy = listen(&node, "web", "0.0.0.0:8443");
    assert_healthy(&node, "with a proxy before it");
    Some(proven)
}

fn pn_sock_005() -> Option<Proven> {
    listens_inside(Kind::Bridge)
}

#[test]
fn pn_sock_005_routed() {
    let _ = listens_inside(Kind::Routed);
}

/// A program of the node, by its name.
fn serve(node: &Node, name: &str) -> u32 {
    let listen = "my $socket = IO::Socket::INET->new(Listen => 5, LocalAddr => \"0.0.0.0:8080\") or die; sleep 600";
    let pid = node
        .machine
        .leave(&format!("ln -sf $(command -v perl) /run/{name}; /run/{name} -MIO::Socket::INET -e '{listen}'"));
    wait_for("it to listen", Duration::from_secs(20), || node.machine.run("ss -lnt").contains(":8080").then_some(()));
    pid
}

fn end(node: &Node, pid: u32) {
    node.machine.run(&format!("kill {pid}"));
    wait_for("it to end", Duration::from_secs(20), || (!node.machine.run("ss -lnt").contains(":8080")).then_some(()));
}

fn host_port_is_taken(node: &Node) -> Proven {
    let program = Cell::new(0);
    let proven = node.proves("PN-KUBE-009", || program.set(serve(node, "webserver")), || end(node, program.get()));
    // Who holds it for the pod.
    let holder = serve(node, "crio");
    assert_healthy(node, "held on behalf");
    end(node, holder);
    proven
}

fn pn_kube_009() -> Option<Proven> {
    let (node, server) = with_web(Kind::Ptp).filter(|_| crate::support::prerequisite::root_and(&["perl", "ss"]))?;
    let _listener = listen(&node, "web", "0.0.0.0:80");
    declares(&server, json!({"containerPort": 80, "hostPort": 8080}));
    Some(host_port_is_taken(&node))
}

#[test]
fn pn_kube_009_of_cilium() {
    let Some(scene) = Scene::new() else { return };
    if !crate::support::prerequisite::root_and(&["perl", "ss"]) {
        return;
    }
    let _listener = listen(&scene.cilium.node, "web", "0.0.0.0:80");
    scene.server.change(PODS, |pods| wants(called(pods, "web1"), json!({"containerPort": 80, "hostPort": 8080})));
    let _ = host_port_is_taken(&scene.cilium.node);
}
