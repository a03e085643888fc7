//! PN-ROUTE: what the node's own routes to the world lead by.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::hit::Hit;
use super::pod::{Pod, far_away};
use super::route::{FAMILIES, TABLES, text};
use super::rule::{Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::fib::{self, MAIN};
use crate::model::route::NextHop;

pub static DEAD_HOPS: Rule = Rule {
    code: "PN-ROUTE-019",
    severity: Severity::Warning,
    sentence: "Some of the next hops of a route of the node are dead.",
    meaning: "The node spreads connections over several gateways. One hop less carries them all; and where the kernel still \
              uses a hop without carrier, its share of the connections is lost.",
    origin: "an uplink is down or lost its carrier",
    confirm: "ip route: «dead» or «linkdown» behind one of several hops",
    fix: "bring the uplink back, or take its hop out of the route; net.ipv4.conf.all.ignore_routes_with_linkdown=1 keeps \
          the kernel off hops without carrier",
    needs: TABLES,
    follows: &[],
    run: Run::Host(dead_hops),
};

fn dead_hops(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let all = facts.host().into_iter().flat_map(|host| &host.routes);
    let several = all.filter(|route| route.next_hops.len() > 1 && route.next_hops.iter().any(is_dead));
    several.map(|route| Hit::new().saw("route", text(route), "kernel")).collect()
}

pub static WITHOUT_CARRIER: Rule = Rule {
    code: "PN-ROUTE-020",
    severity: Severity::Error,
    sentence: "The interface of the node's default route has no carrier.",
    meaning: "The route is there, but what is sent by it goes nowhere: no pod reaches anything outside of the node.",
    origin: "the cable, the switch port, or the other end of a virtual link is down",
    confirm: "ip link show DEV: NO-CARRIER; ip route: linkdown",
    fix: "look at what the interface is plugged into",
    needs: TABLES,
    follows: &[],
    run: Run::Host(without_carrier),
};

fn without_carrier(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let mut seen = BTreeSet::new();
    let hit = |family: Family| {
        let route = fib::best(host, MAIN, far_away(family)).filter(|route| route.is_default())?;
        let hop = route.next_hops.first().filter(|hop| is_dead(hop) && route.next_hops.len() == 1)?;
        let name = hop.interface.clone().unwrap_or_default();
        seen.insert(name).then(|| Hit::new().saw("route", text(route), "kernel"))
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

fn is_dead(hop: &NextHop) -> bool {
    hop.flags.iter().any(|flag| flag == "dead" || flag == "linkdown")
}
