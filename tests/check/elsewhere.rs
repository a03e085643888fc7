//! Rules that need more than a shell to be broken: somebody outside of the machine, time.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use podnet::netns::Handle;

use crate::case::assert_healthy;
use crate::node::{Kind, Node};
use crate::proof::{Proven, proofs};
use crate::support::shell::{succeed, wait_for};

proofs![pn_link_001, pn_link_012, pn_route_019, pn_fw_005];

/// The other end in a namespace that only a process outside of the machine holds.
fn pn_link_001() -> Option<Proven> {
    let node = Node::new(Kind::Ptp)?;
    node.run("ip netns add lost");
    let held = RefCell::new(Some(Handle::open(&node.machine.root("run/netns/lost")).unwrap()));
    node.run("ip netns del lost");
    let here = node.machine.netns();
    let there = format!("/proc/{}/fd/{}", std::process::id(), held.borrow().as_ref().unwrap().as_fd().as_raw_fd());
    let to = |netns: &str| {
        let ip = || succeed(std::process::Command::new("ip").args(["link", "set", "vethweb", "netns", netns]));
        if netns == here { held.borrow().as_ref().unwrap().run(ip).unwrap() } else { own(&node).run(ip).unwrap() }
    };
    let breaks = || {
        to(&there);
    };
    let mends = || {
        to(&here);
        node.run("restore_router; restore");
        let numbers = || node.machine.run("ip netns list-id | wc -l");
        let before = numbers();
        drop(held.take());
        wait_for("the namespace to go", Duration::from_secs(20), || (numbers() != before).then_some(()));
    };
    Some(node.proves("PN-LINK-001", breaks, mends))
}

fn own(node: &Node) -> Handle {
    Handle::open(std::path::Path::new(&node.machine.netns())).unwrap()
}

/// What the pod sends is dropped below its interface as long as it is looked at. One look shows no growth, and a second is
/// taken where something is found, so something harmless stands beside it, or where a pod is named.
fn pn_link_012() -> Option<Proven> {
    let node = Node::new(Kind::Macvlan)?;
    let script = |script: &str| {
        node.run(script);
    };
    let dropped = "ip -n web -s -j link show dev eth0 | sed 's/.*\"tx\":{[^}]*\"dropped\":\\([0-9]*\\).*/\\1/'";
    let breaks = format!(
        "router_mac=$(ip -n world -j link show dev mac1 | sed 's/.*\"address\":\"\\([^\"]*\\)\".*/\\1/')
        pod ip neigh replace $GW4 lladdr $router_mac dev eth0 nud permanent
        tc qdisc add dev mac0 root tbf rate 8bit burst 1 limit 1
        echo note >$STORE/README
        nsenter --net=/run/netns/web ping -q -i 0.01 $GW4 </dev/null >/dev/null 2>&1 & echo $! >/run/pinging
        until [ \"$({dropped})\" -gt 0 ]; do sleep 0.02; done"
    );
    let mends = "kill $(cat /run/pinging); tc qdisc del dev mac0 root; rm $STORE/README
        pod ip neigh del $GW4 dev eth0";
    let breaks = || {
        script(&breaks);
        let named = node.machine.podnet(&["check", "web", "--grace", "0", "--rule", "PN-LINK-012", "-o", "name"]);
        assert!(named.stdout.contains("PN-LINK-012"), "{}{}", named.stdout, named.stderr);
    };
    Some(node.proves_beside("PN-LINK-012", &["PN-IPAM-009"], breaks, || script(mends)))
}

/// Of two ways to other nodes' pods one is dead.
fn pn_route_019() -> Option<Proven> {
    let node = Node::new(Kind::Bridge)?;
    node.run(
        "ip link add up2 type veth peer name up2 netns /run/netns/world
        ip addr add 198.51.102.2/24 dev up2; ip link set up2 up; ip -n world link set up2 up
        ip route add 10.200.0.0/16 nexthop via 198.51.100.1 nexthop via 198.51.102.1
        until ! ip route show 10.200.0.0/16 | grep -q linkdown; do sleep 0.02; done",
    );
    Some(node.proves_by(
        "PN-ROUTE-019",
        "ip -n world link set up2 down; until ip route show 10.200.0.0/16 | grep -q linkdown; do sleep 0.02; done",
        "ip -n world link set up2 up; until ! ip route show 10.200.0.0/16 | grep -q linkdown; do sleep 0.02; done",
    ))
}

/// The operator's own chain may be there before Docker is, and is no part of what Docker has lost.
fn pn_fw_005() -> Option<Proven> {
    let node = Node::new(Kind::Bridge)?;
    node.run("nft add table ip filter; nft add chain ip filter DOCKER-USER");
    let proven = node.proves_by(
        "PN-FW-005",
        "nft add chain ip filter DOCKER-FORWARD",
        "nft add table ip nat; nft add chain ip nat DOCKER",
    );
    node.run("nft delete chain ip filter DOCKER-USER");
    assert_healthy(&node, "without the operator's chain");
    Some(proven)
}
