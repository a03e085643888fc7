//! PN-ROUTE: networks that have addresses in common.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::hit::Hit;
use super::pod::Pod;
use super::route::{TABLES, is_link_local, text};
use super::rule::{Rule, Run, Severity};
use crate::model::fib::MAIN;
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
    // What is reached directly, or taken out of a pod network by a longer prefix. Single addresses are made on purpose.
    let several = |route: &&Route| {
        let bits = route.destination.max_prefix_len() - route.destination.prefix_len();
        route.table == MAIN
            && route.kind == "unicast"
            && !route.is_default()
            && bits > 1
            && !is_link_local(route.destination)
    };
    let device = |route: &Route| route.next_hops.first().and_then(|hop| hop.ifindex);
    let direct = |route: &Route| route.next_hops.iter().all(|hop| hop.gateway.is_none());
    let all: Vec<&Route> = host.routes.iter().filter(several).collect();
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
