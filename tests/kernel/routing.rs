//! Routes, nexthop objects, rules and neighbours, as they were added.

use podnet::collect::kernel::Want;
use podnet::model::netns::NetnsState;
use podnet::model::route::{NextHop, Route};
use podnet::model::rule::Rule;

use crate::read_one;
use crate::support::netns::TestNetns;
use crate::support::prerequisite;
use crate::support::shell::run;

const ROUTING: Want = Want {
    statistics: false,
    routing: true,
    sysctls: false,
    firewall: false,
    sockets: podnet::collect::kernel::Sockets::None,
    programs: podnet::collect::kernel::Programs::OfNone,
};

/// A pod with `eth0` (10.1.0.2/24, fd00:1::2/64) whose other end is up, and these `ip` commands on top.
fn pod<'a>(commands: impl IntoIterator<Item = &'a str>) -> NetnsState {
    let (host, pod) = (TestNetns::new(), TestNetns::new());
    host.ip(&format!("link add lxc1 type veth peer name eth0 netns {}", pod.path()));
    host.ip("link set lxc1 up");
    pod.ip_all([
        "link set lo up",
        "link set eth0 up",
        "addr add 10.1.0.2/24 dev eth0",
        "addr add fd00:1::2/64 dev eth0 nodad",
    ]);
    pod.ip_all(commands);
    read_one(&pod, &ROUTING)
}

/// In the words and the order of `ip route`.
fn route(route: &Route) -> String {
    let mut words = vec![route.kind.clone(), route.destination.to_string()];
    words.extend(route.source_prefix.map(|net| format!("from {net}")));
    words.extend(route.tos.map(|tos| format!("tos {tos:#x}")));
    words.extend(route.nexthop_id.map(|id| format!("nhid {id}")));
    let hops: Vec<String> = route.next_hops.iter().map(hop).collect();
    words.push(hops.join(" | "));
    words.push(format!("table {} proto {} scope {}", route.table, route.protocol, route.scope));
    words.extend(route.preferred_source.map(|source| format!("src {source}")));
    words.extend(route.metric.map(|metric| format!("metric {metric}")));
    words.extend(route.mtu.map(|mtu| format!("mtu {mtu}")));
    words.extend(route.advmss.map(|advmss| format!("advmss {advmss}")));
    words.extend(route.metrics.iter().map(|(name, value)| format!("{name} {value}")));
    words.extend(route.preference.as_ref().map(|preference| format!("pref {preference}")));
    words.extend(route.flags.iter().cloned());
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn hop(hop: &NextHop) -> String {
    let mut words = Vec::new();
    words.extend(hop.encap.as_ref().map(|encap| format!("encap {encap}")));
    words.extend(hop.gateway.map(|gateway| format!("via {gateway}")));
    words.extend(hop.interface.as_ref().map(|name| format!("dev {name}")));
    words.extend(hop.weight.map(|weight| format!("weight {weight}")));
    words.extend(hop.flags.iter().cloned());
    words.join(" ")
}

/// Each must be there once.
fn assert_shown(shown: &[String], expected: &[&str]) {
    for line in expected {
        let count = shown.iter().filter(|shown| shown == line).count();
        assert_eq!(count, 1, "«{line}» in\n{}", shown.join("\n"));
    }
}

#[test]
fn routes_of_every_type_and_table() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let state = pod([
        "route add default via 10.1.0.254 mtu 1400 advmss 1360 proto static",
        "route add 10.2.0.0/16 via 10.1.0.253 dev eth0 metric 7 src 10.1.0.2 proto bgp",
        "route add 10.3.0.0/16 nexthop via 10.1.0.10 weight 1 nexthop via 10.1.0.11 weight 5",
        "route add 169.254.9.9 dev eth0 scope link",
        "route add default via 10.9.9.9 dev eth0 onlink table 100",
        "route add 10.4.0.0/16 via inet6 fd00:1::1 dev eth0",
        "route add blackhole 10.5.0.0/16",
        "route add unreachable 10.6.0.0/16 metric 4",
        "route add prohibit 10.7.0.0/16",
        "route add throw 10.8.0.0/16 table 2005",
        "route add default via fd00:1::1 dev eth0 metric 5 proto ra mtu 1280",
        "route add fd00:3::/64 nexthop via fd00:1::10 nexthop via fd00:1::11 weight 3",
        "route add blackhole fd00:5::/64",
    ]);
    let shown: Vec<String> = state.routes.iter().map(route).collect();
    assert_shown(
        &shown,
        &[
            "unicast 0.0.0.0/0 via 10.1.0.254 dev eth0 table 254 proto static scope global mtu 1400 advmss 1360",
            "unicast 10.2.0.0/16 via 10.1.0.253 dev eth0 table 254 proto bgp scope global src 10.1.0.2 metric 7",
            "unicast 10.3.0.0/16 via 10.1.0.10 dev eth0 weight 1 | via 10.1.0.11 dev eth0 weight 5 table 254 proto boot scope global",
            "unicast 169.254.9.9/32 dev eth0 table 254 proto boot scope link",
            "unicast 0.0.0.0/0 via 10.9.9.9 dev eth0 onlink table 100 proto boot scope global",
            "unicast 10.4.0.0/16 via fd00:1::1 dev eth0 table 254 proto boot scope global",
            "blackhole 10.5.0.0/16 table 254 proto boot scope global",
            "unreachable 10.6.0.0/16 table 254 proto boot scope global metric 4",
            "prohibit 10.7.0.0/16 table 254 proto boot scope global",
            "throw 10.8.0.0/16 table 2005 proto boot scope global",
            // The kernel made these.
            "unicast 10.1.0.0/24 dev eth0 table 254 proto kernel scope link src 10.1.0.2",
            "local 10.1.0.2/32 dev eth0 table 255 proto kernel scope host src 10.1.0.2",
            "broadcast 10.1.0.255/32 dev eth0 table 255 proto kernel scope link src 10.1.0.2",
            "unicast ::/0 via fd00:1::1 dev eth0 table 254 proto ra scope global metric 5 mtu 1280",
        ],
    );
    let ipv6_of =
        |net: &str| state.routes.iter().filter(|route| route.destination.to_string() == net).collect::<Vec<_>>();
    let [ecmp] = ipv6_of("fd00:3::/64")[..] else { panic!("one route of two hops in {shown:#?}") };
    assert_eq!(
        ecmp.next_hops.iter().map(hop).collect::<Vec<_>>(),
        ["via fd00:1::10 dev eth0 weight 1", "via fd00:1::11 dev eth0 weight 3"]
    );
    assert_eq!(ipv6_of("fd00:5::/64")[0].kind, "blackhole");
}

#[test]
fn what_a_route_prescribes_and_the_tunnels_it_leads_through() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let state = pod([
        "route add default via 10.1.0.254 mtu lock 1400 window 10000 rtt 80ms rttvar 40ms ssthresh 7 cwnd 8 reordering 3 \
         hoplimit 64 initcwnd 20 initrwnd 30 features ecn rto_min 5ms quickack 1 congctl reno",
        "route add 10.4.0.0/16 tos 0x10 via 10.1.0.253",
        "route add fd00:4::/64 via fd00:1::1 pref high hoplimit 3",
        "route add 10.5.0.0/16 encap ip id 7 dst 10.0.0.9 ttl 9 via 10.1.0.253 dev eth0",
        "route add 10.6.0.0/16 encap ip6 id 7 src fd00:1::2 dst fd00::9 hoplimit 3 tc 4 via 10.1.0.253 dev eth0",
        "route add fd00:6::/64 encap seg6 mode encap segs fd00:9::1,fd00:9::2 dev eth0",
        "route add fd00:7::/64 nexthop via fd00:1::10 nexthop encap seg6 mode inline segs fd00:9::1 via fd00:1::11",
        "nexthop add id 10 encap ip id 3 dst 10.0.0.8 via 10.1.0.10 dev eth0",
        "route add 10.8.0.0/16 nhid 10",
    ]);
    assert_shown(
        &state.routes.iter().map(route).collect::<Vec<_>>(),
        &[
            "unicast 0.0.0.0/0 via 10.1.0.254 dev eth0 table 254 proto boot scope global mtu 1400 congctl reno cwnd 8 \
             features ecn hoplimit 64 initcwnd 20 initrwnd 30 lock mtu,rto_min quickack 1 reordering 3 rto_min 5ms \
             rtt 80ms rttvar 40ms ssthresh 7 window 10000",
            "unicast 10.4.0.0/16 tos 0x10 via 10.1.0.253 dev eth0 table 254 proto boot scope global",
            "unicast fd00:4::/64 via fd00:1::1 dev eth0 table 254 proto boot scope global metric 1024 hoplimit 3 pref high",
            "unicast 10.5.0.0/16 encap ip id 7 dst 10.0.0.9 ttl 9 via 10.1.0.253 dev eth0 table 254 proto boot scope global",
            "unicast 10.6.0.0/16 encap ip6 id 7 dst fd00::9 src fd00:1::2 tc 0x4 hoplimit 3 via 10.1.0.253 dev eth0 \
             table 254 proto boot scope global",
            "unicast fd00:6::/64 encap seg6 mode encap segs fd00:9::1,fd00:9::2 dev eth0 table 254 proto boot scope \
             global metric 1024",
            "unicast fd00:7::/64 via fd00:1::10 dev eth0 weight 1 | encap seg6 mode inline segs fd00:9::1,:: via \
             fd00:1::11 dev eth0 weight 1 table 254 proto boot scope global metric 1024",
            "unicast 10.8.0.0/16 nhid 10 encap ip id 3 dst 10.0.0.8 via 10.1.0.10 dev eth0 table 254 proto boot scope global",
        ],
    );
    assert_eq!(state.problems, Vec::<String>::new());
}

#[test]
fn nexthop_objects_and_the_routes_by_them() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let state = pod([
        "nexthop add id 10 via 10.1.0.10 dev eth0",
        "nexthop add id 11 via 10.1.0.11 dev eth0",
        "nexthop add id 20 group 10/11,3",
        "nexthop add id 30 blackhole",
        "route add 10.20.0.0/16 nhid 10",
        "route add 10.21.0.0/16 nhid 20",
    ]);
    let ids: Vec<_> =
        state.nexthops.iter().map(|nexthop| (nexthop.id, nexthop.blackhole, nexthop.group.as_slice())).collect();
    assert_eq!(ids, [(10, false, &[][..]), (11, false, &[]), (20, false, &[(10, 1), (11, 3)]), (30, true, &[])]);
    assert_eq!(hop(&state.nexthops[0].hop), "via 10.1.0.10 dev eth0");
    assert_shown(
        &state.routes.iter().map(route).collect::<Vec<_>>(),
        &[
            "unicast 10.20.0.0/16 nhid 10 via 10.1.0.10 dev eth0 table 254 proto boot scope global",
            "unicast 10.21.0.0/16 nhid 20 via 10.1.0.10 dev eth0 weight 1 | via 10.1.0.11 dev eth0 weight 3 table 254 proto boot scope global",
        ],
    );
}

/// In the words of `ip rule`.
fn rule(rule: &Rule) -> String {
    let mut words = vec![format!("{:?} {}:", rule.family, rule.priority)];
    words.extend(rule.inverted.then(|| "not".to_owned()));
    words.extend(rule.from.map(|net| format!("from {net}")));
    words.extend(rule.to.map(|net| format!("to {net}")));
    words.extend(rule.mark.map(|mark| format!("fwmark {mark:#x}/{:#x}", rule.mark_mask.unwrap())));
    words.extend(rule.input_interface.as_ref().map(|name| format!("iif {name}")));
    words.extend(rule.output_interface.as_ref().map(|name| format!("oif {name}")));
    words.push(rule.table.map_or_else(|| rule.action.clone(), |table| format!("lookup {table}")));
    words.join(" ")
}

#[test]
fn rules_in_the_order_in_which_they_are_tried() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let pod = TestNetns::new();
    pod.ip_all([
        "rule add priority 9 fwmark 0x200/0xf00 lookup 2004",
        "rule add priority 100 from 10.1.0.2 lookup 100",
        "rule add priority 101 to 10.9.0.0/16 iif eth0 blackhole",
        "rule add priority 102 not from 10.0.0.0/8 oif eth0 prohibit",
        "rule add priority 103 from all unreachable",
        "rule add priority 104 ipproto tcp dport 80-90 uidrange 0-5 lookup main suppress_prefixlength 0",
        "rule add priority 105 tos 0x10 goto 32766",
    ]);
    let ipv6 = ["-6", "rule", "add", "priority", "50", "from", "fd00:1::/64", "lookup", "5000"];
    pod.handle().run(|| run("ip", &ipv6)).unwrap();
    let state = read_one(&pod, &ROUTING);
    let shown: Vec<String> = state.rules.iter().map(rule).collect();
    let narrowed: Vec<_> =
        state.rules.iter().filter(|rule| rule.narrowed).map(|rule| rule.selectors.join(" ")).collect();
    assert_eq!(narrowed, ["uidrange 0-5 dport 80-90 ipproto tcp", "tos 0x10"]);
    assert_eq!(
        shown,
        [
            "Ipv4 0: lookup 255",
            "Ipv4 9: fwmark 0x200/0xf00 lookup 2004",
            "Ipv4 100: from 10.1.0.2/32 lookup 100",
            "Ipv4 101: to 10.9.0.0/16 iif eth0 blackhole",
            "Ipv4 102: not from 10.0.0.0/8 oif eth0 prohibit",
            "Ipv4 103: unreachable",
            "Ipv4 104: lookup 254",
            "Ipv4 105: goto",
            "Ipv4 32766: lookup 254",
            "Ipv4 32767: lookup 253",
            "Ipv6 0: lookup 255",
            "Ipv6 50: from fd00:1::/64 lookup 5000",
            "Ipv6 32766: lookup 254",
        ]
    );
}

#[test]
fn neighbours_with_their_state() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let state = pod([
        "neigh add 10.1.0.50 lladdr 02:00:00:00:00:50 dev eth0 nud permanent",
        "neigh add 10.1.0.51 lladdr 02:00:00:00:00:51 dev eth0 nud stale",
        "neigh add fd00:1::50 lladdr 02:00:00:00:00:52 dev eth0 nud stale router extern_learn",
    ]);
    let mut shown: Vec<String> = state
        .neighbours
        .iter()
        .map(|neighbour| {
            let mac = neighbour.mac.map(|mac| mac.to_string()).unwrap_or_default();
            let interface = neighbour.interface.as_deref().unwrap();
            format!("{} {mac} {interface} {} {}", neighbour.address, neighbour.state, neighbour.flags.join(" "))
        })
        .collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "10.1.0.50 02:00:00:00:00:50 eth0 permanent ",
            "10.1.0.51 02:00:00:00:00:51 eth0 stale ",
            "fd00:1::50 02:00:00:00:00:52 eth0 stale router extern_learn",
        ]
    );
}
