//! What somebody is to keep, and has lost: chains of the firewall, a namespace, a key.

use std::cell::RefCell;
use std::net::UdpSocket;
use std::time::Duration;

use podnet::netns::Handle;
use serde_json::json;

use crate::case::assert_healthy;
use crate::cilium::Cilium;
use crate::docker::{Docker, container};
use crate::kube::{Scene, called};
use crate::node::{Kind, Node};
use crate::proof::{Proven, proofs};
use crate::support::shell::wait_for;

proofs![pn_ns_009, pn_fw_006, pn_fw_007, pn_cil_042];

/// A socket in a namespace that is gone otherwise; whose it is cannot be seen from the machine.
fn namespace_of_a_socket(kind: Kind) -> Option<Proven> {
    let node = Node::new(kind)?;
    let numbers = || node.machine.run("ip netns list-id | wc -l");
    let before = numbers();
    let socket = RefCell::new(None);
    let breaks = || {
        node.run("ip netns add lost; ip link add s0 type veth peer name eth0 netns /run/netns/lost");
        let inside = Handle::open(&node.machine.root("run/netns/lost")).unwrap();
        socket.replace(Some(inside.run(|| UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap()));
        node.run("ip link del s0; ip netns del lost");
    };
    let mends = || {
        drop(socket.take());
        wait_for("its number to go", Duration::from_secs(20), || (numbers() == before).then_some(()));
    };
    Some(node.proves("PN-NS-009", breaks, mends))
}

fn pn_ns_009() -> Option<Proven> {
    namespace_of_a_socket(Kind::Bridge)
}

#[test]
fn pn_ns_009_by_ptp() {
    let _ = namespace_of_a_socket(Kind::Ptp);
}

#[test]
fn pn_ns_009_nested() {
    let _ = namespace_of_a_socket(Kind::Nested);
}

#[test]
fn pn_ns_009_with_the_nodes_own_network_only() {
    let _ = namespace_of_a_socket(Kind::Host);
}

fn pn_fw_006() -> Option<Proven> {
    let cilium = Cilium::new()?;
    cilium.is_well();
    cilium.say(|_, config| config["status"]["daemonConfigurationMap"]["InstallIptRules"] = json!(true));
    let chains = "nft -f - <<'EOF'
        table ip filter {
          chain CILIUM_INPUT { counter; }
          chain CILIUM_OUTPUT { counter; }
          chain CILIUM_FORWARD { counter accept; }
          chain INPUT { type filter hook input priority 0; jump CILIUM_INPUT; }
          chain OUTPUT { type filter hook output priority 0; jump CILIUM_OUTPUT; }
          chain FORWARD { type filter hook forward priority 0; jump CILIUM_FORWARD; }
        }
EOF";
    cilium.node.run(chains);
    let proven = cilium.breaks("PN-FW-006", "nft flush ruleset", chains);
    let _ = cilium.breaks(
        "PN-FW-006",
        "nft flush chain ip filter FORWARD; nft delete chain ip filter CILIUM_FORWARD",
        "nft add chain ip filter CILIUM_FORWARD; nft add rule ip filter CILIUM_FORWARD counter accept
         nft add rule ip filter FORWARD jump CILIUM_FORWARD",
    );
    Some(proven)
}

/// A program called dockerd, with these words behind.
fn dockerd(node: &Node, words: &str) -> u32 {
    let pid =
        node.machine.leave(&format!("ln -sf $(command -v perl) /run/dockerd; /run/dockerd -e 'sleep 600' -- {words}"));
    let is_it = || node.machine.run(&format!("cat /proc/{pid}/comm")).contains("dockerd");
    wait_for("it to start", Duration::from_secs(20), || is_it().then_some(()));
    pid
}

/// What iptables-nft writes for Docker.
const DOCKERS: &str = "nft -f - <<'EOF'
        table ip nat {
          chain DOCKER { counter; }
          chain PREROUTING { type nat hook prerouting priority dstnat; fib daddr type local jump DOCKER; }
          chain POSTROUTING { type nat hook postrouting priority srcnat; ip saddr 10.88.0.0/24 oifname != br0 masquerade; }
        }
        table ip filter {
          chain DOCKER { counter; }
          chain DOCKER-USER { counter; }
          chain FORWARD { type filter hook forward priority 0; jump DOCKER-USER; oifname br0 jump DOCKER; }
        }
EOF";

fn pn_fw_007() -> Option<Proven> {
    let node = Node::new(Kind::Bridge).filter(|_| crate::support::prerequisite::root_and(&["perl"]))?;
    let on_bridge = |name: &str, address: &str| {
        let mut container = container(&node.container_id(name), name);
        container["NetworkSettings"] =
            json!({"Networks": {"bridge": {"IPAddress": address, "Gateway": "10.88.0.1", "IPPrefixLen": 24}}});
        container
    };
    Docker::on(&node).has(&[on_bridge("web", "10.88.0.7"), on_bridge("db", "10.88.0.8")]);
    let daemon = dockerd(&node, "");
    node.run(DOCKERS);
    let proven = node.proves_by("PN-FW-007", "nft flush ruleset", DOCKERS);
    node.run("nft flush ruleset; mkdir -p /etc/docker; echo '{\"iptables\": false}' >/etc/docker/daemon.json");
    assert_healthy(&node, "told not to by its file");
    node.run("rm /etc/docker/daemon.json");
    node.machine
        .run(&format!("kill {daemon}; while grep -qs 'State:.[RS]' /proc/{daemon}/status; do sleep 0.02; done"));
    dockerd(&node, "--iptables=false");
    assert_healthy(&node, "told not to when it was started");
    Some(proven)
}

const NODES: &str = "/apis/cilium.io/v2/ciliumnodes";

fn pn_cil_042() -> Option<Proven> {
    let scene = Scene::new()?;
    let key = "w6Yd0mCmZXOTe0hW2v1oUL5V8vSgJ0ol8vZlJmq4FVI=";
    scene.cilium.say(|healthz, _| {
        healthz["encryption"] = json!({"mode": "Wireguard", "wireguard": {"interfaces": [
            {"name": "cilium_wg0", "public-key": key, "listen-port": 51871, "peer-count": 1}]}});
    });
    let noted = |key: &'static str| {
        scene.server.change(NODES, |nodes| {
            called(nodes, "vm")["metadata"]["annotations"]["network.cilium.io/wg-pub-key"] = json!(key);
        });
    };
    assert_healthy(&scene.cilium.node, "where none is noted");
    noted(key);
    let proven = scene.proves("PN-CIL-042", NODES, |nodes| {
        called(nodes, "vm")["metadata"]["annotations"]["network.cilium.io/wg-pub-key"] =
            json!("3mPFoLVM9zXx8ZJmTGdG0tB2b3eYHqk0wXkqYH7iUk4=");
    });
    Some(proven)
}
