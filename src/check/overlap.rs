//! PN-ROUTE and PN-IPAM: networks, and pools, that have addresses in common.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::facts::Facts;
use super::hit::Hit;
use super::loops::{devices_of, is_routed_here, own_ranges};
use super::pod::{Pod, family_of};
use super::route::{TABLES, is_link_local, text};
use super::rule::{Need, Rule, Run, Severity};
use super::sysctl::{largest, name as setting, value};
use crate::model::address::Family;
use crate::model::address_store::{AddressRange, AddressStore, StoredNetwork};
use crate::model::fib::MAIN;
use crate::model::netns::NetnsState;
use crate::model::route::Route;

pub static OVERLAPPING: Rule = Rule {
    code: "PN-ROUTE-014",
    severity: Severity::Warning,
    sentence: "A pod network of this node overlaps another network that it is connected to.",
    meaning: "An address in the overlap is sent to one of the two only: pods with such addresses, or the machines that \
              had them first, cannot be reached.",
    origin: "the range was chosen without knowing the other one: docker0's 172.17.0.0/16 and a company network, a VPN, a \
             second bridge",
    confirm: "ip route on the node: two prefixes of which one lies in the other, by different interfaces",
    fix: "give the pod network another range (Docker: bip and default-address-pools in daemon.json)",
    needs: TABLES,
    follows: &[],
    run: Run::Host(overlapping),
};

fn overlapping(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let bridges: BTreeSet<u32> = pods
        .iter()
        .flat_map(|pod| &pod.ends)
        .filter_map(|end| end.pair().filter(|far| far.state.netns.is_host)?.master())
        .map(|bridge| bridge.ifindex)
        .collect();
    // What is reached directly, or taken out of a pod network by a longer prefix.
    let all: Vec<&Route> = host.routes.iter().filter(|route| is_of_network(route)).collect();
    let own = all.iter().filter(|route| direct(route) && device(route).is_some_and(|device| bridges.contains(&device)));
    let mut hits = Vec::new();
    for own in own {
        for other in all.iter().filter(|other| device(other) != device(own) && device(other).is_some()) {
            let taken = own.destination.contains(&other.destination);
            let takes = other.destination.contains(&own.destination) && direct(other);
            let told = taken && takes && bridges.contains(&device(other).unwrap_or(0)) && device(own) > device(other);
            if (taken || takes) && !told {
                hits.push(Hit::new().saw("pod network", text(own), "kernel").saw(
                    "the other network",
                    text(other),
                    "kernel",
                ));
            }
        }
    }
    hits
}

/// Not of single addresses, which are made on purpose, nor of what every interface has.
fn is_of_network(route: &Route) -> bool {
    let bits = route.destination.max_prefix_len() - route.destination.prefix_len();
    let usual = route.table == MAIN && route.kind == "unicast" && !route.is_default();
    usual && bits > 1 && !is_link_local(route.destination)
}

fn device(route: &Route) -> Option<u32> {
    route.next_hops.first().and_then(|hop| hop.ifindex)
}

fn direct(route: &Route) -> bool {
    route.next_hops.iter().all(|hop| hop.gateway.is_none())
}

pub static RANGE_OF_ANOTHER: Rule = Rule {
    code: "PN-ROUTE-025",
    severity: Severity::Warning,
    sentence: "The node gives its pods addresses of a range that belongs to a network which it is in itself.",
    meaning: "A pod and a machine of that network can have the same address: the node reaches the pod, and the machine is cut \
              off from the node and all its pods. Pods without a route of their own are looked for on that network.",
    origin: "the pods' range was chosen without knowing the other one: docker0's 172.17.0.0/16, libvirt's, the machines' own \
             network; or a bridge of an earlier CNI (cni0) was left behind",
    confirm: "ip route on the node: a prefix of proto kernel that holds the range, or lies in it",
    fix: "give the pods another range, or take the other network away where it is left over",
    needs: TABLES,
    follows: &[],
    run: Run::Host(range_of_another),
};

fn range_of_another(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let of_pods = devices_of(pods);
    let is_of_pods = |route: &Route| device(route).is_some_and(|device| of_pods.contains(&device));
    let meets = |route: &Route, range: IpNet| range.contains(&route.destination) || route.destination.contains(&range);
    // By an address of the node's own. Where the node answers for pods on it, they are meant to be of that network.
    let connected = || {
        let all = host.routes.iter().filter(|route| is_of_network(route) && direct(route));
        all.filter(|route| route.protocol == "kernel" && !answers_for_others(host, route))
    };
    let mut told = BTreeSet::new();
    let mut hits = Vec::new();
    for (range, what, source) in own_ranges(facts) {
        // A bridge with pods is told of by what else overlaps its own network.
        let bridged = connected().any(|route| is_of_pods(route) && meets(route, range));
        let Some(pod) = pods.iter().find(|pod| is_routed_here(pod, range)).filter(|_| !bridged) else { continue };
        for route in connected().filter(|route| !is_of_pods(route) && meets(route, range)) {
            if told.insert((route.destination, device(route))) {
                hits.push(
                    Hit::new()
                        .saw(what.clone(), range.to_string(), &source)
                        .saw("a pod in it", pod.name.clone(), "kernel")
                        .saw("network of the node", text(route), "kernel"),
                );
            }
        }
    }
    hits
}

fn answers_for_others(host: &NetnsState, route: &Route) -> bool {
    let Some(name) = device(route).and_then(|ifindex| host.link(ifindex)).map(|link| &link.name) else { return false };
    match route.family {
        Family::Ipv4 => largest(host, name, "proxy_arp") == Some(1),
        Family::Ipv6 => value(host, &setting("ipv6", name, "proxy_ndp")) == Some("1"),
    }
}

pub static POOLS_OVERLAP: Rule = Rule {
    code: "PN-IPAM-013",
    severity: Severity::Warning,
    sentence: "Two pools that pods of this node have addresses from can give out the same addresses.",
    meaning: "Each believes that it alone gives them out: sooner or later two pods have one address, and each gets a part of \
              what is meant for the other.",
    origin: "two networks were given the same range, or one that lies in the other: a copied configuration, a pool of podnet \
             beside a network of CNI",
    confirm: "podnet ipam; «ranges» in /etc/cni/net.d, podnet ipam pool list",
    fix: "give one of them another range, and make its pods anew",
    needs: &[Need::Stores, Need::Routes, Need::Rules],
    follows: &[],
    run: Run::Host(pools_overlap),
};

fn pools_overlap(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    // Networks that the node does not route for may well be apart from each other, as VLANs are.
    let is_used = |network: &StoredNetwork| {
        let routed = |subnet: &&IpNet| {
            pods.iter().any(|pod| {
                let held = pod.addresses().any(|(_, own)| network.held.iter().any(|held| held.address == own.address));
                held && is_routed_here(pod, **subnet)
            })
        };
        network.subnets.iter().find(routed).is_some()
    };
    let networks =
        facts.node.address_stores.iter().flat_map(|store| store.networks.iter().map(move |network| (store, network)));
    let used: Vec<(&AddressStore, &StoredNetwork)> = networks.filter(|(_, network)| is_used(network)).collect();
    let mut hits = Vec::new();
    for (nth, one) in used.iter().enumerate() {
        for other in used.iter().skip(nth + 1) {
            let both =
                given(one.1).into_iter().flat_map(|range| given(other.1).into_iter().map(move |more| (range, more)));
            if let Some((range, more)) = both.into_iter().find(|(range, more)| share(range, more)) {
                let shown = |hit: Hit, (store, network): &(&AddressStore, &StoredNetwork), range: AddressRange| {
                    let value = format!("{}: {} to {}", range.subnet, range.first, range.last);
                    hit.saw(format!("{} {}", store.kind, network.name), value, &store.kind)
                };
                hits.push(shown(shown(Hit::new(), one, range), other, more));
            }
        }
    }
    hits
}

/// What it gives addresses from: all of its subnets, where it is not told otherwise.
fn given(network: &StoredNetwork) -> Vec<AddressRange> {
    let whole = |subnet: &IpNet| AddressRange {
        subnet: *subnet,
        first: subnet.network(),
        last: subnet.broadcast(),
        gateway: None,
    };
    if network.ranges.is_empty() { network.subnets.iter().map(whole).collect() } else { network.ranges.clone() }
}

fn share(one: &AddressRange, other: &AddressRange) -> bool {
    let family = family_of(&one.subnet) == family_of(&other.subnet);
    family && one.first <= other.last && other.first <= one.last
}
