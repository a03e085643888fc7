//! Packets that come one way and go another, and a range that is led away.

use crate::case::{Case, assert_healthy, cases};
use crate::cilium::Cilium;
use crate::node::Kind::{Bridge, Nested, Ptp, Routed};
use crate::node::{Kind, Node};
use crate::proof::{Proven, proofs};

proofs![pn_route_023];

/// A second interface, with a gateway of its own.
const SECOND: &str = "router ip link add second0 type veth peer name eth1 netns /run/netns/$NAME
    router ip addr add 10.77.0.1/24 dev second0; router ip link set second0 up
    pod ip link set eth1 up; pod ip addr add 10.77.0.7/24 dev eth1
    echo '{\"kind\":\"cniCacheV1\",\"containerId\":\"'$(container_id $NAME)'\",\"ifName\":\"eth1\",\"networkName\":\"second\",
      \"result\":{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"eth1\",\"sandbox\":\"/var/run/netns/'$NAME'\"}],
      \"ips\":[{\"address\":\"10.77.0.7/24\",\"interface\":0}]}}' >/var/lib/cni/results/second-$(container_id $NAME)-eth1";

cases! {
    pn_route_022: Case {
        code: "PN-ROUTE-022",
        on: &[Ptp, Routed],
        broken: "ip route add ${IP4%.*}.0/24 via 198.51.100.1; ip -6 route add ${IP6%::*}::/64 via 2001:db8:51::1",
        mended: "ip route del ${IP4%.*}.0/24 via 198.51.100.1; ip -6 route del ${IP6%::*}::/64 via 2001:db8:51::1",
        beside: &[],
    },
    pn_route_024: Case {
        code: "PN-ROUTE-024",
        on: &[Ptp, Bridge, Routed, Nested],
        broken: "if [ -n \"$ROUTER\" ]; then gateway=10.88.0.1; else gateway=198.51.100.1; fi
            router ip route add default via $gateway dev eth0 table 77; router ip rule add pref 50 iif eth0 lookup 77",
        mended: "router ip rule del pref 50; router ip route flush table 77",
        beside: &[],
    },
}

fn answers_elsewhere(kind: Kind) -> Option<Proven> {
    let node = Node::new(kind)?;
    node.run(SECOND);
    let elsewhere = "pod ip route add 10.77.0.1 via $GW4 dev eth0";
    let proven = node.proves_by("PN-ROUTE-023", elsewhere, "pod ip route del 10.77.0.1 via $GW4 dev eth0");
    node.run(elsewhere);
    node.run("pod ip rule add pref 10 from 10.77.0.7 lookup 77; pod ip route add 10.77.0.0/24 dev eth1 table 77");
    assert_healthy(&node, "with a rule for it");
    Some(proven)
}

fn pn_route_023() -> Option<Proven> {
    answers_elsewhere(Kind::Bridge)
}

#[test]
fn pn_route_023_by_ptp() {
    let _ = answers_elsewhere(Kind::Ptp);
}

#[test]
fn pn_route_023_routed() {
    let _ = answers_elsewhere(Kind::Routed);
}

#[test]
fn pn_route_023_nested() {
    let _ = answers_elsewhere(Kind::Nested);
}

/// The one route of Cilium for all its pods, taken by the network's own routing.
#[test]
fn pn_route_022_of_cilium() {
    let Some(cilium) = Cilium::new() else { return };
    let _ = cilium.breaks(
        "PN-ROUTE-022",
        "ip route replace 10.244.1.0/24 via 198.51.100.1",
        "ip route replace 10.244.1.0/24 via 10.244.1.217 dev cilium_host src 10.244.1.217",
    );
}

/// Several uplinks, each with a table for what comes in by it that has the routes to the pods, too; a fabric that is told
/// of all ranges at once; a router with a network of macvlan's; pods of the node's own network.
#[test]
fn what_looks_like_it_and_is_well() {
    for kind in [Ptp, Bridge, Routed, Kind::Macvlan] {
        let Some(node) = Node::new(kind) else { return };
        node.run(
            "ip rule add pref 50 iif eth0 lookup 77; ip route add default via 198.51.100.1 table 77
             if [ -n \"$HOSTIF\" ]; then ip route add $IP4 dev $GATE table 77; . /run/pods/db; ip route add $IP4 dev $GATE table 77; fi
             ip route add ${IP4%.*.*}.0.0/16 via 198.51.100.1
             if [ $KIND = ptp ] || [ $KIND = routed ]; then
               ip addr add ${IP4%.*}.254/25 dev eth0; sysctl -qw net.ipv4.conf.eth0.proxy_arp=1
             fi
             if [ $KIND = macvlan ]; then ip route add ${IP4%.*}.0/24 via 198.51.100.1; fi",
        );
        assert_healthy(&node, "well");
    }
}
