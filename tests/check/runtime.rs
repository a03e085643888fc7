//! Rules that go by what a container runtime says beside what is there.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use podnet::netns::Handle;
use serde_json::json;

use crate::docker::{Docker, container, sandbox};
use crate::node::{Kind, Node};
use crate::proof::{Proven, proofs};
use crate::support::listener::Listener;

proofs![
    pn_ns_001,
    pn_ns_005,
    pn_ns_006,
    pn_cni_012,
    pn_cni_019,
    pn_cni_020,
    pn_sock_001,
    pn_sock_002,
    pn_sock_003,
    pn_fw_004,
];

/// A mount that Docker would have made, and knows nothing of.
fn pn_ns_001() -> Option<Proven> {
    let node = Node::new(Kind::Bridge)?;
    Docker::on(&node).has(&[]);
    Some(node.proves_by(
        "PN-NS-001",
        "mkdir -p /run/docker/netns; touch /run/docker/netns/0123456789ab
         unshare --net=/run/docker/netns/0123456789ab true",
        "umount /run/docker/netns/0123456789ab; rm /run/docker/netns/0123456789ab",
    ))
}

/// A pod of cri-dockerd: its sandbox, and a container that went to the other pod's namespace.
fn pn_ns_005() -> Option<Proven> {
    let node = Node::new(Kind::Bridge)?;
    let (web, app) = (node.container_id("web"), node.container_id("app"));
    let mut member = container(&app, "k8s_app_web");
    member["Labels"] = json!({"io.kubernetes.pod.namespace": "demo", "io.kubernetes.pod.name": "web",
        "io.kubernetes.sandbox.id": web, "io.kubernetes.container.name": "app"});
    Docker::on(&node).has(&[sandbox(&web, "demo", "web"), member]);
    let enter = |netns: &str| {
        node.run(&format!(
            "nsenter --net=/run/netns/{netns} sleep infinity </dev/null >/dev/null 2>&1 & app=$!
            echo $app >/run/pid.app
            until [ \"$(cat /proc/$app/comm)\" = sleep ]; do sleep 0.01; done
            echo \"0::/kubepods/pod/{app}\" >/run/cgroup.app; mount --bind /run/cgroup.app /proc/$app/cgroup"
        ));
    };
    let leave = || {
        node.run("umount /proc/$(cat /run/pid.app)/cgroup; kill $(cat /run/pid.app)");
    };
    let move_to = |netns: &str| {
        leave();
        enter(netns);
    };
    enter("web");
    Some(node.proves("PN-NS-005", || move_to("db"), || move_to("web")))
}

/// `docker run --network container:web`, then `docker restart web`; and db restarted, too, which is in web's new one then.
fn pn_ns_006() -> Option<Proven> {
    let node = Node::new(Kind::Bridge)?;
    let (web, db, side) = (node.container_id("web"), node.container_id("db"), node.container_id("side"));
    let docker = Docker::on(&node);
    let mut joined = container(&side, "side");
    joined["HostConfig"]["NetworkMode"] = json!(format!("container:{web}"));
    docker.has(&[container(&web, "web"), container(&db, "db"), joined]);
    let start = |netns: &str| {
        node.run(&format!(
            "nsenter --net=/run/netns/{netns} sleep infinity </dev/null >/dev/null 2>&1 & side=$!
            echo $side >/run/pid.side
            until [ \"$(cat /proc/$side/comm)\" = sleep ]; do sleep 0.01; done
            echo \"0::/docker/{side}\" >/run/cgroup.side; mount --bind /run/cgroup.side /proc/$side/cgroup"
        ));
    };
    let stop = || {
        node.run("umount /proc/$(cat /run/pid.side)/cgroup; kill $(cat /run/pid.side)");
    };
    let restart_in = |netns: &str| {
        stop();
        start(netns);
    };
    start("web");
    Some(node.proves("PN-NS-006", || restart_in("db"), || restart_in("web")))
}

/// The runtime was killed before it tore down a pod whose netns is gone.
fn pn_cni_019() -> Option<Proven> {
    let node = Node::new(Kind::Bridge)?;
    Docker::on(&node).has(&[container(&node.container_id("web"), "web"), container(&node.container_id("db"), "db")]);
    let gone = node.container_id("gone");
    let copy = format!("s/$(container_id web)/{gone}/; s,netns/web,netns/gone,g");
    let breaks = format!("sed \"{copy}\" \"$(record web)\" >\"$(record gone)\"");
    Some(node.proves_by("PN-CNI-019", &breaks, "rm \"$(record gone)\""))
}

/// Beside the one that may not be executed: one that is not there.
fn pn_cni_012() -> Option<Proven> {
    let (away, back) = ("mv /opt/cni/bin/host-local /run/host-local", "mv /run/host-local /opt/cni/bin/host-local");
    Some(Node::new(Kind::Ptp)?.proves_by("PN-CNI-012", away, back))
}

/// A sandbox of cri-dockerd that CNI has nothing of on record.
fn pn_cni_020() -> Option<Proven> {
    let node = Node::new(Kind::Bridge)?;
    let (web, db) = (node.container_id("web"), node.container_id("db"));
    Docker::on(&node).has(&[sandbox(&web, "demo", "web"), container(&db, "db")]);
    let (away, back) = ("mv \"$(record web)\" /run/record", "mv /run/record \"$(record web)\"");
    Some(node.proves_by("PN-CNI-020", away, back))
}

/// Far longer than a connection takes to be taken by the kernel, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node whose Docker publishes port 80 of web as 8080, and the namespace of web.
fn publishing() -> Option<(Node, Handle)> {
    let node = Node::new(Kind::Bridge)?;
    let mut web = container(&node.container_id("web"), "web");
    web["Ports"] = json!([{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]);
    Docker::on(&node).has(&[web, container(&node.container_id("db"), "db")]);
    let inside = Handle::open(&node.machine.root("run/netns/web")).unwrap();
    Some((node, inside))
}

fn listen(inside: &Handle, address: &'static str) -> Listener<TcpListener> {
    inside.run(move || Listener(TcpListener::bind(address).unwrap())).unwrap()
}

fn pn_sock_001() -> Option<Proven> {
    let (node, inside) = publishing()?;
    let listener = RefCell::new(Some(listen(&inside, "0.0.0.0:80")));
    let start = || {
        listener.replace(Some(listen(&inside, "0.0.0.0:80")));
    };
    Some(node.proves("PN-SOCK-001", || drop(listener.take()), start))
}

fn pn_sock_002() -> Option<Proven> {
    let (node, inside) = publishing()?;
    let listener = RefCell::new(Some(listen(&inside, "0.0.0.0:80")));
    let listen_at = |address| {
        drop(listener.take());
        listener.replace(Some(listen(&inside, address)));
    };
    Some(node.proves("PN-SOCK-002", || listen_at("127.0.0.1:80"), || listen_at("0.0.0.0:80")))
}

/// A program that takes no connection, and more of them than may wait.
fn pn_sock_003() -> Option<Proven> {
    let (node, inside) = publishing()?;
    let listener = listen(&inside, "0.0.0.0:80");
    nix::sys::socket::listen(&listener.0, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let connect = || {
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        TcpStream::connect_timeout(&address, PATIENCE).unwrap()
    };
    let waiting = RefCell::new(Vec::new());
    let breaks = || {
        waiting.replace(inside.run(move || vec![connect(), connect()]).unwrap());
    };
    let mends = || {
        listener.0.set_nonblocking(true).unwrap();
        waiting.take().iter().for_each(|_| drop(listener.0.accept().unwrap()));
    };
    Some(node.proves("PN-SOCK-003", breaks, mends))
}

/// kube-proxy's rules: without br_netfilter, and with it as it is before somebody sets it. Where the machine has not got the
/// module, it is not there to be taken away.
fn pn_fw_004() -> Option<Proven> {
    let node = Node::new(Kind::Bridge)?;
    let (web, db) = (node.container_id("web"), node.container_id("db"));
    Docker::on(&node).has(&[sandbox(&web, "demo", "web"), container(&db, "db")]);
    let rules = "nft add table ip nat; nft add chain ip nat KUBE-SERVICES
        nft 'add chain ip nat PREROUTING { type nat hook prerouting priority -100; }'
        nft add rule ip nat PREROUTING jump KUBE-SERVICES
        nft add rule ip nat KUBE-SERVICES ip daddr 10.96.0.1 counter return";
    if !node.machine.root("proc/sys/net/bridge").exists() {
        return Some(node.proves_by("PN-FW-004", rules, "nft delete table ip nat"));
    }
    node.run(rules);
    let set = |value: u8| format!("sysctl -qw net.bridge.bridge-nf-call-iptables={value}");
    node.run(&set(1));
    let _ = node.proves_by("PN-FW-004", "mount -t tmpfs tmpfs /proc/sys/net/bridge", "umount /proc/sys/net/bridge");
    Some(node.proves_by("PN-FW-004", &set(0), &set(1)))
}
