//! Routes as rules tell of them, and who routes for whom.

use std::net::IpAddr;

use ipnet::IpNet;

use super::pod::{Far, Pod, WayOut, far_away};
use super::rule::Need;
use crate::model::address::{Address, Family};
use crate::model::fib::{self, Flow, MAIN};
use crate::model::netns::{Inode, NetnsState};
use crate::model::route::Route;

pub(super) const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
pub(super) const TABLES: &[Need] = &[Need::Routes, Need::Rules];

/// The main table of one family, as far as it tells something.
pub(super) fn routes(state: &NetnsState, family: Family) -> String {
    let telling = |route: &&Route| {
        let link_local = matches!(route.destination, IpNet::V6(net) if net.addr().is_unicast_link_local() || net.addr().is_multicast());
        route.family == family && route.table == MAIN && !link_local
    };
    let all: Vec<String> = state.routes.iter().filter(telling).map(text).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// As `ip route` writes it, shorter.
pub(super) fn text(route: &Route) -> String {
    let destination = if route.is_default() { "default".to_owned() } else { route.destination.to_string() };
    let kind = Some(route.kind.clone()).filter(|kind| kind != "unicast");
    let hop = |hop: &crate::model::route::NextHop| {
        let gateway = hop.gateway.map(|gateway| format!("via {gateway}"));
        let device = hop.interface.as_ref().map(|name| format!("dev {name}"));
        gateway.into_iter().chain(device).chain(hop.flags.iter().cloned()).collect::<Vec<_>>().join(" ")
    };
    let hops: Vec<String> = route.next_hops.iter().map(hop).collect();
    let table = (route.table != MAIN).then(|| format!("table {}", route.table));
    let parts = kind.into_iter().chain([destination, hops.join(" | ")]).chain(table);
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

pub(super) fn is_link_local(net: IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.addr().is_link_local() || net.addr().is_multicast(),
        IpNet::V6(net) => net.addr().is_unicast_link_local() || net.addr().is_multicast(),
    }
}

/// As it is called for a family.
pub(super) fn ip(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip -6",
    }
}

/// How what a pod sends far away goes on from its router.
pub(super) struct Onward<'p, 'a> {
    pub(super) far: Far<'a>,
    pub(super) out: WayOut<'p, 'a>,
    pub(super) from: IpAddr,
    pub(super) route: &'a Route,
}

pub(super) fn onward<'p, 'a>(pod: &'p Pod<'a>, family: Family) -> Option<Onward<'p, 'a>> {
    let (far, out) = pod.router(family).zip(pod.way_out(family))?;
    let global = |address: &&Address| address.scope == "global" && address.family == family;
    let from = out.end.link.addresses.iter().find(global)?.address;
    let flow = Flow { from: Some(from), input: Some(&far.gate().name), ..Flow::to(far_away(family)) };
    let route = fib::way(far.state, flow).leads()?;
    Some(Onward { far, out, from, route })
}

/// The namespaces that route for pods, each once.
pub(super) fn routers<'a>(pods: &[Pod<'a>], family: Family) -> Vec<(Far<'a>, Vec<String>)> {
    let mut routers: Vec<(Far<'a>, Vec<String>)> = Vec::new();
    let inode = |far: &Far<'_>| -> Inode { far.state.netns.inode };
    for pod in pods.iter().filter(|pod| pod.is_used()) {
        let Some(far) = pod.router(family) else { continue };
        match routers.iter_mut().find(|(known, _)| inode(known) == inode(&far)) {
            Some((_, names)) => names.push(pod.name.clone()),
            None => routers.push((far, vec![pod.name.clone()])),
        }
    }
    routers
}
