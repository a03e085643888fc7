//! The other end of a veth, against what the test itself connected.

use std::collections::BTreeMap;

use podnet::collect::kernel::Want;
use podnet::model::netns::{Inode, NetnsState};
use podnet::model::peer::{Peer, Peers, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::read;
use crate::support::netns::TestNetns;
use crate::support::prerequisite;

/// Which veth is where: the other end of each, by name, is what the generator built.
#[derive(Clone, Debug)]
struct Pair {
    /// Where it is made, and with which ifindexes if those are free.
    born: usize,
    ifindexes: (u32, u32),
    /// Where its ends are in the end: the first is moved there, the second made there.
    ends: (usize, usize),
}

#[derive(Clone, Debug)]
struct Plan {
    namespaces: usize,
    pairs: Vec<Pair>,
    /// Known by a handle, but not read.
    unread: Option<usize>,
    /// Known to nobody but the kernel: podnet found no handle.
    unheld: Option<usize>,
}

fn plans() -> impl Strategy<Value = Plan> {
    (2..5usize).prop_flat_map(|namespaces| {
        // Few numbers, so that ends in different namespaces share them all the time.
        let place = 0..namespaces;
        let pair = (place.clone(), (2..7u32, 2..7u32), (place.clone(), place));
        let pair = pair.prop_map(|(born, ifindexes, ends)| Pair { born, ifindexes, ends });
        let missing = || prop::option::weighted(0.3, 1..namespaces);
        (prop::collection::vec(pair, 1..6), missing(), missing()).prop_map(move |(pairs, unread, unheld)| Plan {
            namespaces,
            pairs,
            unread: unread.filter(|_| unheld.is_none()),
            unheld,
        })
    })
}

/// The names of the two ends of each pair say which it is.
fn name(pair: usize, end: char) -> String {
    format!("p{pair}{end}")
}

/// The wanted ifindex, or the next that is free.
fn free_from(wanted: u32, taken: &[u32]) -> u32 {
    (wanted..).find(|ifindex| !taken.contains(ifindex)).unwrap()
}

fn taken(namespace: &TestNetns) -> Vec<u32> {
    crate::read_one(namespace, &Want::default()).links.iter().map(|link| link.ifindex).collect()
}

fn build(plan: &Plan) -> Vec<TestNetns> {
    let namespaces: Vec<TestNetns> = (0..plan.namespaces).map(|_| TestNetns::new()).collect();
    for (number, pair) in plan.pairs.iter().enumerate() {
        let (born, there) = (&namespaces[pair.born], &namespaces[pair.ends.1]);
        // The second end is born where it stays, so both ends may get the same number.
        let first = free_from(pair.ifindexes.0, &taken(born));
        let mut taken_there = taken(there);
        if pair.ends.1 == pair.born {
            taken_there.push(first);
        }
        let second = free_from(pair.ifindexes.1, &taken_there);
        let (a, b, path) = (name(number, 'a'), name(number, 'b'), there.path());
        born.ip(&format!("link add {a} index {first} type veth peer name {b} index {second} netns {path}"));
        if pair.ends.0 != pair.born {
            born.ip(&format!("link set {a} netns {}", namespaces[pair.ends.0].path()));
        }
    }
    namespaces
}

fn verdicts(states: &[NetnsState]) -> BTreeMap<String, Peer> {
    let peers = Peers::new(states);
    let of = |state: &NetnsState| {
        let inode = state.netns.inode;
        let links = state.links.iter().filter(|link| link.is_paired());
        links.map(|link| (link.name.clone(), peers.of(inode, link).unwrap())).collect::<Vec<_>>()
    };
    states.iter().flat_map(of).collect()
}

fn agrees(plan: &Plan) {
    let namespaces = build(plan);
    let known: Vec<&TestNetns> =
        (0..plan.namespaces).filter(|place| plan.unheld != Some(*place)).map(|place| &namespaces[place]).collect();
    let (unread, visited): (Vec<&TestNetns>, Vec<&TestNetns>) = known
        .into_iter()
        .partition(|known| plan.unread.is_some_and(|unread| namespaces[unread].inode() == known.inode()));
    let states = read(&visited, &unread, &Want::default());
    let found = verdicts(&states);
    let is_read = |place: usize| plan.unheld != Some(place) && plan.unread != Some(place);
    for (number, pair) in plan.pairs.iter().enumerate() {
        let ends = [('a', pair.ends.0, 'b', pair.ends.1), ('b', pair.ends.1, 'a', pair.ends.0)];
        for (own, _, other, there) in ends.into_iter().filter(|(_, here, _, _)| is_read(*here)) {
            let peer = &found[&name(number, own)];
            let inode = peer.netns.as_ref().map(|netns| netns.inode);
            if plan.unheld == Some(there) {
                assert_eq!((peer.verdict, inode), (Verdict::None, None), "{peer:?}");
            } else if plan.unread == Some(there) {
                assert_eq!((peer.verdict, inode), (Verdict::OneSided, Some(namespaces[there].inode())), "{peer:?}");
            } else {
                assert_eq!(peer.verdict, Verdict::Confirmed, "{} {peer:?}", name(number, own));
                assert_eq!(inode, Some(namespaces[there].inode()), "{peer:?}");
                assert_eq!(peer.name, Some(name(number, other)));
                assert_eq!(peer.netns.as_ref().unwrap().is_host, there == 0);
            }
            assert_eq!(peer.why.is_some(), peer.verdict != Verdict::Confirmed, "{peer:?}");
        }
    }
}

#[test]
fn every_veth_finds_the_end_that_it_was_made_with() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let config = Config { cases: 24, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&plans(), |plan| {
        agrees(&plan);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Reads all of them and gives the peer of `interface` in the last one.
fn peer_of(namespaces: &[&TestNetns], interface: &str) -> Peer {
    let states = read(namespaces, &[], &Want::default());
    let last = states.last().unwrap();
    let link = last.links.iter().find(|link| link.name == interface).unwrap();
    Peers::new(&states).of(last.netns.inode, link).unwrap()
}

fn inode(peer: &Peer) -> Option<Inode> {
    peer.netns.as_ref().map(|netns| netns.inode)
}

/// github.com/cilium/cilium/pull/23787: kind's eth0 was deleted as the «host end» of a pod, because the number of
/// the pod's real parent, in another netns, was eth0's in this one.
#[test]
fn cilium_23787_the_parent_ifindex_belongs_to_another_netns() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (node, kind, pod) = (TestNetns::new(), TestNetns::new(), TestNetns::new());
    node.ip("link add eth0 index 7 type veth peer name elsewhere index 8");
    kind.ip(&format!("link add lxc1 index 7 type veth peer name eth0 index 2 netns {}", pod.path()));
    let peer = peer_of(&[&node, &kind, &pod], "eth0");
    assert_eq!(
        (peer.verdict, inode(&peer), peer.name.as_deref()),
        (Verdict::Confirmed, Some(kind.inode()), Some("lxc1"))
    );
    // Without a way to know kind's namespace it must not become the node's eth0.
    let peer = peer_of(&[&node, &pod], "eth0");
    assert_eq!((peer.verdict, inode(&peer), peer.name), (Verdict::None, None, None));
}

/// github.com/micahculpepper/dockerveth issue 7: the same veth for every pod, whose eth0 all have the same ifindex.
#[test]
fn dockerveth_7_every_pod_has_a_veth_of_its_own() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let host = TestNetns::new();
    let pods: Vec<TestNetns> = (0..4).map(|_| TestNetns::new()).collect();
    for (number, pod) in pods.iter().enumerate() {
        host.ip(&format!("link add lxc{number} type veth peer name eth0 index 3 netns {}", pod.path()));
    }
    for (number, pod) in pods.iter().enumerate() {
        let peer = peer_of(&[&host, pod], "eth0");
        assert_eq!((peer.verdict, peer.name), (Verdict::Confirmed, Some(format!("lxc{number}"))));
    }
}

/// 42 ⇄ 42, the case in which kernels before 4.0 left `IFLA_LINK` out.
#[test]
fn both_ends_may_have_the_same_ifindex() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (host, pod) = (TestNetns::new(), TestNetns::new());
    host.ip(&format!("link add lxc1 index 42 type veth peer name eth0 index 42 netns {}", pod.path()));
    let peer = peer_of(&[&host, &pod], "eth0");
    assert_eq!((peer.verdict, peer.ifindex, inode(&peer)), (Verdict::Confirmed, Some(42), Some(host.inode())));
}

/// Asking which namespace an id means must not make ids.
#[test]
fn reading_allots_no_nsid() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (host, pod, stranger) = (TestNetns::new(), TestNetns::new(), TestNetns::new());
    host.ip(&format!("link add lxc1 type veth peer name eth0 netns {}", pod.path()));
    let ids = || [&host, &pod, &stranger].map(|namespace| namespace.ip_json("netns list-id"));
    read(&[&host, &pod, &stranger], &[], &Want::default());
    let before = ids();
    read(&[&host, &pod, &stranger], &[], &Want::default());
    assert_eq!(ids(), before);
    assert_eq!(before.map(|list| list.as_array().unwrap().len()), [1, 1, 0]);
}

/// The lower device of a macvlan is told by the same pair of numbers, but cannot point back.
#[test]
fn a_macvlan_in_a_pod_is_led_to_its_parent() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (host, pod) = (TestNetns::new(), TestNetns::new());
    host.ip("link add eth0 type veth peer name uplink");
    host.ip("link add link eth0 name net1 type macvlan mode bridge");
    host.ip(&format!("link set net1 netns {}", pod.path()));
    let lower = peer_of(&[&host, &pod], "net1");
    assert_eq!((lower.name.as_deref(), inode(&lower)), (Some("eth0"), Some(host.inode())));
    assert_ne!(lower.verdict, Verdict::Confirmed);
}
