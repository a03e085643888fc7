//! How the host reaches the addresses of a pod, by its rules and tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::address::Family;
use crate::model::fib::{self, Flow, MAIN, Way};
use crate::model::link::Link;
use crate::model::netns::NetnsState;
use crate::model::peer::Peer;
use crate::model::route::Route;
use crate::model::rule::Rule;

/// What the host does with packets to an address that it has no route to: none of both where the network is
/// unreachable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Detour {
    /// The route that it takes instead, which may refuse them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// The policy rule that refuses them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}

#[derive(Default)]
pub(super) struct Ways {
    pub(super) routes: BTreeMap<IpAddr, Route>,
    pub(super) detours: BTreeMap<IpAddr, Detour>,
}

/// The host's ways to the addresses of a link. Whose other end is not on the host may well be reached through another
/// namespace, by whatever route leads there.
pub(super) fn ways(host: &NetnsState, link: &Link, peer: Option<&Peer>) -> Ways {
    let mut ways = Ways::default();
    if host.unread_table("routes").or_else(|| host.unread_table("rules")).is_some() {
        return ways;
    }
    let end = peer.filter(|peer| peer.netns.as_ref().is_some_and(|netns| netns.is_host)).and_then(|peer| peer.ifindex);
    let global = link.addresses.iter().filter(|address| address.scope == "global");
    for address in global.map(|address| address.address) {
        let (route, rule) = way(host, address);
        let leads = route.filter(|route| !route.is_default() && route.kind == "unicast");
        ways.routes.extend(leads.map(|route| (address, route.clone())));
        let arrives = |end| leads.is_some_and(|route| leads_to(host, route, end));
        if end.is_some_and(|end| !arrives(end)) {
            ways.detours.insert(address, Detour { route: route.cloned(), rule: rule.cloned() });
        }
    }
    ways
}

/// The route that decides, or the rule that refuses.
fn way(host: &NetnsState, address: IpAddr) -> (Option<&Route>, Option<&Rule>) {
    // A kernel without policy routing has the main table alone.
    if !host.rules.iter().any(|rule| rule.family == Family::of(&address)) {
        return (fib::best(host, MAIN, address), None);
    }
    match fib::way(host, Flow::to(address)) {
        Way::Route { route, .. } => (Some(route), None),
        Way::Refused { rule } => (None, Some(rule)),
        Way::Nowhere => (None, None),
    }
}

/// Whether it goes out by that interface, by the bridge that it is a port of, or by a VLAN of that.
fn leads_to(host: &NetnsState, route: &Route, end: u32) -> bool {
    let master = host.link(end).and_then(|link| link.master);
    let hops = route.next_hops.iter().filter_map(|hop| hop.ifindex);
    hops.into_iter().any(|hop| {
        let below = host.link(hop).filter(|link| !link.is_paired()).and_then(|link| link.link);
        hop == end || (master.is_some() && (Some(hop) == master || below == master))
    })
}
