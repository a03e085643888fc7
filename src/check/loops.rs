//! PN-ROUTE: the node's own pod range, sent to somebody else.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::cilium::AGENT;
use super::facts::Facts;
use super::hit::Hit;
use super::kube::{API, kubernetes};
use super::pod::{Pod, family_of};
use super::route::{TABLES, ip, text};
use super::rule::{Rule, Run, Severity};
use crate::model::fib::{self, MAIN};
use crate::model::netns::NetnsState;
use crate::model::route::{NextHop, Route};

pub static OWN_RANGE_LED_AWAY: Rule = Rule {
    code: "PN-ROUTE-022",
    severity: Severity::Warning,
    sentence: "The node gives its pods addresses of a range, and has a route that leads this range away to a router.",
    meaning: "What comes for an address that no pod has just now goes back to the router, which sends it here again: it \
              circles until its time to live is over. A pod whose own route is missing is lost the same way.",
    origin: "a route from when the range was another node's, or one that a routing daemon (BGP) learnt of its own \
             announcement",
    confirm: "ip route get ADDRESS on the node, for an address of the range that nobody has",
    fix: "ip route del RANGE; where it comes back, keep the routing daemon from taking the node's own range",
    needs: TABLES,
    follows: &[],
    run: Run::Host(own_range_led_away),
};

fn own_range_led_away(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let mut told = BTreeSet::new();
    let mut hits = Vec::new();
    for (range, what, source) in own_ranges(facts) {
        let pod = pods.iter().find(|pod| is_routed_here(pod, range));
        let away = pod.zip(led_away(host, pods, range)).filter(|_| told.insert(range));
        if let Some((pod, route)) = away {
            hits.push(
                Hit::new()
                    .saw(what, range.to_string(), &source)
                    .saw("a pod in it", pod.name.clone(), "kernel")
                    .saw("route", text(route), "kernel")
                    .command(format!("{} route del {}", ip(family_of(&range)), text(route))),
            );
        }
    }
    hits
}

/// What this node alone gives addresses of, as far as somebody says so, and who does.
pub(super) fn own_ranges(facts: &Facts<'_>) -> Vec<(IpNet, String, String)> {
    let families = facts.node.agent.iter().flat_map(|agent| &agent.families).filter(|family| family.enabled);
    let of_agent = families.filter_map(|family| {
        Some((family.allocation_range?.trunc(), "range of the agent".to_owned(), AGENT.to_owned()))
    });
    let nodes = kubernetes(facts).into_iter().filter_map(|kubernetes| kubernetes.node.as_ref());
    let of_kubernetes = nodes.flat_map(|node| &node.pod_cidrs).filter_map(|text| {
        Some((text.parse::<IpNet>().ok()?.trunc(), "podCIDR of the node".to_owned(), API.to_owned()))
    });
    let of_stores = facts.node.address_stores.iter().flat_map(|store| {
        let of_network = |subnet: &IpNet, name: &str| (subnet.trunc(), format!("range of {name}"), store.kind.clone());
        store
            .networks
            .iter()
            .flat_map(move |network| network.subnets.iter().map(move |subnet| of_network(subnet, &network.name)))
    });
    of_agent.chain(of_kubernetes).chain(of_stores).collect()
}

/// Whether it has an address of the range, and the node itself is its router: with macvlan the range is the router's.
pub(super) fn is_routed_here(pod: &Pod<'_>, range: IpNet) -> bool {
    let router = pod.router(family_of(&range)).filter(|far| far.state.netns.is_host);
    pod.is_used() && router.is_some() && pod.addresses().any(|(_, address)| range.contains(&address.address))
}

/// The route that decides for the whole range, if it leads to a router that is no pod.
fn led_away<'a>(host: &'a NetnsState, pods: &[Pod<'_>], range: IpNet) -> Option<&'a Route> {
    let own: BTreeSet<IpAddr> =
        host.links.iter().flat_map(|link| &link.addresses).map(|address| address.address).collect();
    let of_pods = devices_of(pods);
    let strange = |hop: &NextHop| {
        let device = hop.ifindex.is_some_and(|ifindex| !of_pods.contains(&ifindex));
        device && hop.gateway.is_some_and(|gateway| !own.contains(&gateway))
    };
    let route = host.routes.iter().find(|route| {
        route.table == MAIN && route.kind == "unicast" && !route.is_default() && route.destination.trunc() == range
    })?;
    let decides = fib::best(host, MAIN, range.network()).is_some_and(|best| best.destination == route.destination);
    let away = !route.next_hops.is_empty() && route.next_hops.iter().all(strange);
    (decides && away).then_some(route)
}

/// The node's interfaces by which it speaks to pods: their other ends, and the bridges over them.
pub(super) fn devices_of(pods: &[Pod<'_>]) -> BTreeSet<u32> {
    let ends = pods.iter().filter(|pod| pod.is_used()).flat_map(|pod| &pod.ends);
    let on_host = ends.filter_map(|end| end.pair().filter(|far| far.state.netns.is_host));
    on_host.flat_map(|far| [far.link.ifindex, far.gate().ifindex]).collect()
}
