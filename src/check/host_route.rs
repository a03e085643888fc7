//! PN-ROUTE: the node's way to the pod.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::hit::Hit;
use super::link::{far_named, shown};
use super::paste::word;
use super::pod::{End, Far, Pod};
use super::policy_rule;
use super::route::{FAMILIES, TABLES, is_link_local, text};
use super::rule::{Rule, Run, Severity};
use crate::model::fib::{self, Flow, LOCAL, MAIN, Way};
use crate::model::link::Link;
use crate::model::route::Route;

pub static MISSING: Rule = Rule {
    code: "PN-ROUTE-006",
    severity: Severity::Error,
    sentence: "The node has no route to the pod.",
    meaning: "What is meant for the pod, answers included, is sent out by the node's default route or refused; and \
              strict reverse path filtering drops what the pod sends.",
    origin: "the route was flushed (systemd-networkd, NetworkManager, a routing daemon's restart), or its interface was \
             down for a moment",
    confirm: "ip route get ADDRESS on the node names another interface than the pod's",
    fix: "ip route replace ADDRESS dev DEV scope link; tell network managers to leave foreign routes alone \
          (ManageForeignRoutes=no)",
    needs: TABLES,
    follows: &["PN-LINK-005", "PN-LINK-013", "PN-ROUTE-017"],
    run: Run::Pod(missing),
};

fn missing(pod: &Pod<'_>) -> Vec<Hit> {
    let missing = |reach: &Reach<'_>| match reach.way {
        Way::Route { route, .. } => (route.is_default() && route.kind == "unicast") || keeps_the_rest(route),
        Way::Nowhere => true,
        Way::Refused { .. } => false,
    };
    wrong(pod, |reach| missing(reach) && !reach.by_program && !is_known_to_main(reach))
}

pub static ELSEWHERE: Rule = Rule {
    code: "PN-ROUTE-007",
    severity: Severity::Error,
    sentence: "The node sends what is meant for the pod to another interface.",
    meaning: "The pod can send, and never hears an answer.",
    origin: "a stale route of an earlier pod with this address, an overlapping network (VPN, docker0, libvirt), or a \
             duplicate address",
    confirm: "ip route get ADDRESS on the node",
    fix: "delete the wrong route, or move one of the overlapping networks",
    needs: TABLES,
    follows: &["PN-ADDR-004"],
    run: Run::Pod(elsewhere),
};

fn elsewhere(pod: &Pod<'_>) -> Vec<Hit> {
    let elsewhere = |reach: &Reach<'_>| {
        let route = reach.way.leads().filter(|route| !route.is_default() && route.kind == "unicast");
        route.is_some() && !reach.by_program && !is_known_to_main(reach)
    };
    wrong(pod, elsewhere)
}

pub static SHADOWED: Rule = Rule {
    code: "PN-ROUTE-008",
    severity: Severity::Error,
    sentence: "The node has the right route to the pod, but a policy rule sends packets another way first.",
    meaning: "Rules are tried in order of their priority, and the main table, where the pod's route is, comes after the \
              one that decides.",
    origin: "a VPN, a multi-homing set-up or another CNI added a rule that means more than it should",
    confirm: "ip rule, and ip route get ADDRESS on the node",
    fix: "make the rule narrower, or add: ip rule add to ADDRESS lookup main, before it",
    needs: TABLES,
    follows: &["PN-ROUTE-017"],
    run: Run::Pod(shadowed),
};

fn shadowed(pod: &Pod<'_>) -> Vec<Hit> {
    let shadowed = reaches(pod).into_iter().filter(|(_, reach)| !reach.right && is_known_to_main(reach));
    shadowed
        .filter(|(_, reach)| !is_refused(reach))
        .map(|(link, reach)| {
            let rule = match reach.way {
                Way::Route { rule, .. } | Way::Refused { rule } => Some(rule),
                Way::Nowhere => None,
            };
            let main = fib::best(reach.far.state, MAIN, reach.address);
            let before = rule.map_or(100, |rule| rule.priority.saturating_sub(1));
            way_shown(pod, link, &reach)
                .saw_if("decided by", rule.map(policy_rule::text), "kernel")
                .saw_if("route in the main table", main.map(text), "kernel")
                .command(reach.far.at(&format!("ip rule add pref {before} to {} lookup main", reach.address)))
        })
        .collect()
}

pub static REFUSES: Rule = Rule {
    code: "PN-ROUTE-009",
    severity: Severity::Error,
    sentence: "The node refuses what is meant for the pod: a blackhole or unreachable route stands in the way.",
    meaning: "Whoever sends to the pod gets «host unreachable», or nothing at all.",
    origin: "the route was put there when an earlier pod with this address was deleted (Cilium's \
             enable-unreachable-routes), or by hand",
    confirm: "ip route get ADDRESS on the node says unreachable",
    fix: "delete that route, or restore the pod's own, which is longer",
    needs: TABLES,
    follows: &[],
    run: Run::Pod(refuses),
};

fn refuses(pod: &Pod<'_>) -> Vec<Hit> {
    wrong(pod, |reach| match reach.way {
        Way::Route { route, .. } => route.refuses() && !keeps_the_rest(route),
        Way::Refused { .. } => true,
        Way::Nowhere => false,
    })
}

/// Whether it has the rest of a node's own range lead nowhere, as Calico's of each block does: what is amiss is the pod's
/// own route, which is longer.
fn keeps_the_rest(route: &Route) -> bool {
    route.kind == "blackhole"
        && !route.is_default()
        && route.destination.prefix_len() < route.destination.max_prefix_len()
}

/// How the node reaches an address of a pod.
struct Reach<'a> {
    far: Far<'a>,
    address: IpAddr,
    way: Way<'a>,
    /// Whether that is by the pod's own interface, or the bridge that it is a port of.
    right: bool,
    /// Whether the node's routes do not matter.
    by_program: bool,
}

/// Asked of the addresses of the interface that the pod's way out leads by, where the node routes for it.
fn reaches<'a>(pod: &Pod<'a>) -> Vec<(&'a Link, Reach<'a>)> {
    let mut reaches = Vec::new();
    // With endpoint routes Cilium leaves it to those to find the pod's interface.
    let by_routes = pod.facts.node.agent.as_ref().and_then(|agent| agent.mode.endpoint_routes) == Some(true);
    for family in FAMILIES {
        let Some((far, out)) = pod.router(family).zip(pod.way_out(family)) else { continue };
        let link = out.end.link;
        let global = link.addresses.iter().filter(|address| address.scope == "global" && address.family == family);
        for address in global.map(|address| address.address) {
            let way = fib::way(far.state, Flow::to(address));
            let right = way.leads().is_some_and(|route| route.next_hops.iter().any(|hop| is_right(far, hop.ifindex)));
            let by_program = is_delivered_by_a_program(far) && !by_routes;
            reaches.push((link, Reach { far, address, way, right, by_program }));
        }
    }
    reaches
}

pub(super) fn is_right(far: Far<'_>, device: Option<u32>) -> bool {
    let device = device.and_then(|ifindex| far.state.link(ifindex));
    device.is_some_and(|device| {
        let own = device.ifindex == far.link.ifindex || device.ifindex == far.gate().ifindex;
        own || Some(device.ifindex) == far.link.master || device.name == "cilium_host"
    })
}

/// Whether the main table alone would do it right.
fn is_known_to_main(reach: &Reach<'_>) -> bool {
    let main = fib::best(reach.far.state, MAIN, reach.address);
    main.is_some_and(|route| route.next_hops.iter().any(|hop| is_right(reach.far, hop.ifindex)))
}

fn is_refused(reach: &Reach<'_>) -> bool {
    reach.way.route().is_some_and(Route::refuses)
}

/// Cilium delivers by its own program, whatever the node's tables say; so does a netkit pair's.
pub(super) fn is_delivered_by_a_program(far: Far<'_>) -> bool {
    let ciliums = |name: &String| name.starts_with("cil_") || name.contains("from-container");
    far.link.kind == "netkit" || far.link.programs.iter().any(|program| program.name.as_ref().is_some_and(ciliums))
}

fn wrong(pod: &Pod<'_>, is_so: impl Fn(&Reach<'_>) -> bool) -> Vec<Hit> {
    let found = reaches(pod).into_iter().filter(|(_, reach)| !reach.right && is_so(reach));
    found.map(|(link, reach)| way_shown(pod, link, &reach).command(host_route(&reach))).collect()
}

fn way_shown(pod: &Pod<'_>, link: &Link, reach: &Reach<'_>) -> Hit {
    let way = match &reach.way {
        Way::Route { route, .. } => text(route),
        Way::Refused { rule } => format!("refused by rule {}: {}", rule.priority, rule.action),
        Way::Nowhere => "none".to_owned(),
    };
    shown(pod, link).saw("its other end", far_named(reach.far), "kernel").saw(
        format!("route to {} on {}", reach.address, reach.far.place()),
        way,
        "kernel",
    )
}

fn host_route(reach: &Reach<'_>) -> String {
    let device = reach.far.gate();
    reach.far.at(&format!("ip route replace {} dev {} scope link", reach.address, word(&device.name)))
}

pub static STALE: Rule = Rule {
    code: "PN-ROUTE-011",
    severity: Severity::Warning,
    sentence: "The node has a route to an address by a pod's interface, and the pod does not have that address.",
    meaning: "Whoever gets the address next may not be reached, as the old route still stands.",
    origin: "the pod's address was changed or removed, or a teardown was cut short",
    confirm: "ip route show dev DEV on the node, beside podnet exec POD -- ip addr",
    fix: "ip route del ADDRESS dev DEV",
    needs: TABLES,
    follows: &["PN-ADDR-001", "PN-LINK-004", "PN-ADDR-007"],
    run: Run::Pod(stale),
};

fn stale(pod: &Pod<'_>) -> Vec<Hit> {
    // A virtual machine inside has the address instead, behind a tap or a bridge.
    if pod.state.links.iter().any(|link| link.master.is_some() || matches!(link.kind.as_str(), "tun" | "bridge")) {
        return Vec::new();
    }
    let own: BTreeSet<IpAddr> =
        pod.state.links.iter().flat_map(|link| &link.addresses).map(|address| address.address).collect();
    let routed =
        |net: &IpNet| pod.state.routes.iter().any(|route| route.table == LOCAL && route.destination.contains(net));
    let hit = |end: &End<'_>| {
        let far = end.pair().filter(|far| far.link.master.is_none())?;
        let stale = far.state.routes.iter().find(|route| {
            let single = route.destination.prefix_len() == route.destination.max_prefix_len();
            let direct =
                route.next_hops.iter().all(|hop| hop.ifindex == Some(far.link.ifindex) && hop.gateway.is_none());
            let plain = route.kind == "unicast" && route.table != LOCAL && !route.next_hops.is_empty();
            // An address of the node's end itself has such a route, too.
            let of_far = far.link.addresses.iter().any(|address| address.address == route.destination.addr());
            let is_own = of_far || own.contains(&route.destination.addr()) || routed(&route.destination);
            single && direct && plain && !is_own && !is_link_local(route.destination)
        })?;
        let delete = format!("ip route del {} dev {}", stale.destination, word(&far.link.name));
        Some(
            shown(pod, end.link)
                .saw(format!("route on {}", far.place()), text(stale), "kernel")
                .saw("addresses of the pod", joined(&own), "kernel")
                .command(far.at(&delete)),
        )
    };
    pod.ends.iter().filter_map(hit).collect()
}

/// The node's route to one address of the pod alone, by the node's end itself.
pub(super) fn route_for_one<'a>(far: Far<'a>, end: &End<'_>) -> Option<&'a Route> {
    let own: BTreeSet<IpAddr> = end.link.addresses.iter().map(|address| address.address).collect();
    far.state.routes.iter().find(|route| {
        let single = route.destination.prefix_len() == route.destination.max_prefix_len();
        let by_end = route.next_hops.iter().any(|hop| hop.ifindex == Some(far.link.ifindex));
        single && by_end && route.table != LOCAL && own.contains(&route.destination.addr())
    })
}

fn joined(addresses: &BTreeSet<IpAddr>) -> String {
    let global = addresses.iter().filter(|address| !address.is_loopback());
    let texts: Vec<String> = global.map(ToString::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join("  ") }
}
