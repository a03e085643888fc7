//! Nodes with all that the makers of pod networks leave on them: they are well, and what is wrong there is found as
//! anywhere, and nothing else.

use std::cell::Cell;
use std::path::Path;

use podnet::netns::Handle;

use crate::case::{Case, assert_healthy};
use crate::cilium::Cilium;
use crate::containerd::Containerd;
use crate::dockerd::Dockerd;
use crate::node::{Kind, Node};
use crate::rules::all;
use crate::support::{bpf, prerequisite};

/// Cases of another kind that cannot be tried here, each with why.
type Except<'a> = &'a [(&'static str, &'static str)];

const NO_MOUNT: &str = "no mount is at the name that the case knows";
const NO_RANGE: &str = "nothing on the node says which range is its own";

/// What is tried with tables of the case's own.
const SHARED_TABLES: Except<'static> = &[("PN-FW-003", NOT_ITS_OWN), ("PN-FW-005", NOT_ITS_OWN)];
const NOT_ITS_OWN: &str = "the tables are not the case's own here";

/// What a store of addresses would show.
const NO_STORE: Except<'static> = &[
    ("PN-IPAM-001", ELSEWHERE),
    ("PN-IPAM-002", ELSEWHERE),
    ("PN-IPAM-003", ELSEWHERE),
    ("PN-IPAM-004", ELSEWHERE),
    ("PN-IPAM-005", ELSEWHERE),
    ("PN-IPAM-006", ELSEWHERE),
    ("PN-IPAM-007", ELSEWHERE),
    ("PN-IPAM-008", ELSEWHERE),
    ("PN-IPAM-009", ELSEWHERE),
    ("PN-IPAM-013", ELSEWHERE),
];
const ELSEWHERE: &str = "addresses come from no store on the node";

/// What can be wrong where pods are connected likewise.
fn like(kind: Kind, except: &[Except<'_>]) -> Vec<Case> {
    let except = except.concat();
    let tried = all().filter(|case| case.on.contains(&kind));
    let (left_out, cases): (Vec<Case>, Vec<Case>) =
        tried.copied().partition(|case| except.iter().any(|(code, _)| *code == case.code));
    for (code, why) in &except {
        assert!(left_out.iter().any(|case| case.code == *code), "{code} would not be tried anyway: {why}");
    }
    cases
}

/// What can be wrong on this node alone.
fn here(code: &'static str, broken: &'static str, mended: &'static str) -> Case {
    Case { code, on: &[], broken, mended, beside: &[] }
}

/// Has a code stand rightly beside another one here.
fn beside(cases: &mut [Case], code: &str, other: &'static [&'static str]) {
    cases.iter_mut().find(|case| case.code == code).unwrap().beside = other;
}

/// Whether the rules that makers of networks leave can be written as they write them.
fn has_iptables() -> bool {
    prerequisite::has(&["iptables", "iptables-restore", "bridge"])
}

fn try_all(node: &Node, cases: &[Case]) {
    assert_healthy(node, "as it was made");
    let wrong: Vec<String> = cases.iter().flat_map(|case| case.try_on(node)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_healthy(node, "after all was mended");
}

#[test]
fn flannel() {
    let Some(node) = has_iptables().then(|| Node::new(Kind::Flannel)).flatten() else { return };
    let mut cases = like(Kind::Bridge, &[SHARED_TABLES]);
    beside(&mut cases, "PN-LINK-008", &["PN-LINK-009"]);
    cases.push(here(
        "PN-FW-003",
        "iptables -D FORWARD -m comment --comment 'flanneld forward' -j FLANNEL-FWD",
        "iptables -A FORWARD -m comment --comment 'flanneld forward' -j FLANNEL-FWD",
    ));
    try_all(&node, &cases);
}

#[test]
fn calico() {
    let Some(node) = has_iptables().then(|| Node::new(Kind::Calico)).flatten() else { return };
    let mut cases =
        like(Kind::Routed, &[SHARED_TABLES, NO_STORE, &[("PN-ROUTE-022", NO_RANGE), ("PN-ROUTE-025", NO_RANGE)]]);
    beside(&mut cases, "PN-LINK-008", &["PN-LINK-009"]);
    cases.push(here(
        "PN-FW-003",
        "iptables -D FORWARD -m comment --comment cali:wUHhoiAYhphO9Mso -j cali-FORWARD",
        "iptables -I FORWARD -m comment --comment cali:wUHhoiAYhphO9Mso -j cali-FORWARD",
    ));
    try_all(&node, &cases);
}

/// IPv4 only; routes and rules of its own; pods that a program delivers to, and answers the gateway's ARP for.
const CILIUM: Except<'static> = &[
    ("PN-ROUTE-022", "a route for the range is there already"),
    ("PN-ROUTE-024", BY_PROGRAM),
    ("PN-LINK-010", NO_IPV6),
    ("PN-LINK-021", NO_IPV6),
    ("PN-ADDR-002", NO_IPV6),
    ("PN-ADDR-005", NO_IPV6),
    ("PN-SYS-003", NO_IPV6),
    ("PN-SYS-006", NO_IPV6),
    ("PN-LINK-014", BY_PROGRAM),
    ("PN-ROUTE-015", "the rule of the local table has another priority"),
    ("PN-ROUTE-016", "the rule of the local table has another priority"),
    ("PN-SYS-004", "the devices are there"),
    ("PN-SYS-007", BY_PROGRAM),
    ("PN-FW-001", BY_PROGRAM),
    ("PN-FW-002", BY_PROGRAM),
    ("PN-CNI-005", "told by what the endpoint has for its MAC"),
    ("PN-CNI-006", "the packet filter knows the node's ends by their names"),
];
const NO_IPV6: &str = "the recorded pods have no IPv6";
const BY_PROGRAM: &str = "a program decides";

fn ciliums(cases: &mut Vec<Case>) {
    cases.push(here(
        "PN-FW-003",
        "iptables -D FORWARD -m comment --comment 'cilium-feeder: CILIUM_FORWARD' -j CILIUM_FORWARD",
        "iptables -I FORWARD -m comment --comment 'cilium-feeder: CILIUM_FORWARD' -j CILIUM_FORWARD",
    ));
    cases.push(here("PN-ROUTE-015", "ip rule del pref 100", "ip rule add pref 100 lookup local"));
}

#[test]
fn docker() {
    let Some(dockerd) = Dockerd::new() else { return };
    let mut cases = like(Kind::Bridge, &[SHARED_TABLES, &[("PN-NS-002", NO_MOUNT)]]);
    // There is no CNI, and what a container's resolver is told is the container's own.
    cases.retain(|case| !["PN-CNI", "PN-IPAM", "PN-DNS"].iter().any(|family| case.code.starts_with(family)));
    cases.extend([
        here(
            "PN-FW-003",
            "iptables -D FORWARD -j DOCKER-USER; iptables -A DOCKER-USER -s 192.0.2.1 -j DROP",
            "iptables -I FORWARD -j DOCKER-USER; iptables -D DOCKER-USER -s 192.0.2.1 -j DROP",
        ),
        here("PN-FW-005", "iptables-save -t nat >/run/nat; nft delete table ip nat", "iptables-restore </run/nat"),
        here(
            "PN-SOCK-001",
            "docker run --detach --name deaf --publish 8082:80 $(docker inspect --format '{{.Config.Image}}' db)",
            "docker rm --force deaf",
        ),
        // `side` shares the network of `web`.
        here("PN-NS-006", "docker restart --time 0 web", "docker restart --time 0 side; docker_pod web app app0"),
    ]);
    try_all(&dockerd.node, &cases);
}

/// The reference plugins, as a real containerd runs them.
#[test]
fn containerd() {
    let Some(containerd) = Containerd::with_pods() else { return };
    let mut cases = like(
        Kind::Ptp,
        &[&[
            ("PN-CNI-004", "this plugin notes no MTU"),
            ("PN-LINK-019", "another pair is not the one on record"),
            ("PN-NS-002", NO_MOUNT),
        ]],
    );
    // What a container's resolver is told is the container's own.
    cases.retain(|case| !case.code.starts_with("PN-DNS"));
    // The case takes db's record away, which containerd's sandbox should have.
    beside(&mut cases, "PN-IPAM-013", &["PN-CNI-020"]);
    cases.push(here(
        "PN-NS-002",
        "for mount in /run/netns/cni-*; do
           if [ $mount -ef /run/netns/web ]; then umount $mount; echo $mount >/run/lost; fi
         done",
        "mount --bind /proc/$(cat /run/pid.web)/ns/net $(cat /run/lost)",
    ));
    try_all(&containerd.node, &cases);
}

#[test]
fn cilium() {
    let Some(cilium) = has_iptables().then(Cilium::new).flatten() else { return };
    cilium.node.run("cilium_node");
    let by_program = [("PN-ROUTE-006", BY_PROGRAM), ("PN-ROUTE-007", BY_PROGRAM), ("PN-ROUTE-009", BY_PROGRAM)];
    let mut cases = like(Kind::Routed, &[SHARED_TABLES, NO_STORE, CILIUM, &by_program]);
    ciliums(&mut cases);
    // The way back is by cilium_host.
    cases.push(here(
        "PN-SYS-004",
        "sysctl -qw net.ipv4.conf.$HOSTIF.rp_filter=1",
        "sysctl -qw net.ipv4.conf.$HOSTIF.rp_filter=0",
    ));
    try_all(&cilium.node, &cases);
}

/// As since Linux 6.6: the programs are no filters of tc's.
#[test]
fn cilium_by_tcx() {
    let Some(cilium) = has_iptables().then(Cilium::new).flatten() else { return };
    let host = Handle::open(Path::new(&cilium.node.machine.netns())).unwrap();
    let attach = |ifindex: u32| host.run(|| bpf::attach_tcx(&cilium.from_container, ifindex)).unwrap();
    let Some(of_db) = attach(DB_IFINDEX) else {
        prerequisite::skip("the kernel has no tcx");
        return;
    };
    let of_web = Cell::new(attach(WEB_IFINDEX));
    cilium.node.run("cilium_node; for name in web db; do . /run/pods/$name; tc qdisc del dev $HOSTIF clsact; done");
    let _ = cilium.node.proves("PN-CIL-013", || drop(of_web.take()), || of_web.set(attach(WEB_IFINDEX)));
    drop(of_db);
}

/// Of the node's ends, as recorded.
const WEB_IFINDEX: u32 = 50;
const DB_IFINDEX: u32 = 56;

#[test]
fn cilium_with_endpoint_routes() {
    let Some(cilium) = has_iptables().then(Cilium::with_endpoint_routes).flatten() else { return };
    cilium.node.run("cilium_node");
    let mut cases = like(Kind::Routed, &[SHARED_TABLES, NO_STORE, CILIUM]);
    ciliums(&mut cases);
    try_all(&cilium.node, &cases);
}
