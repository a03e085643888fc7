//! PN-ROUTE: how the pod reaches the world, and the node the pod.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::facts::Facts;
use super::hit::Hit;
use super::link::{far_named, shown};
use super::paste::word;
use super::pod::{End, Far, Pod, far_away, leads_on};
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::fib::{self, Flow, LOCAL, MAIN, Way};
use crate::model::link::Link;
use crate::model::netns::{Inode, NetnsState};
use crate::model::route::Route;
use crate::model::rule::Rule as PolicyRule;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const TABLES: &[Need] = &[Need::Routes, Need::Rules];

pub static NO_DEFAULT: Rule = Rule {
    code: "PN-ROUTE-002",
    severity: Severity::Error,
    sentence: "The pod has no default route, so it reaches nothing but its own subnet.",
    meaning: "Connections to anything else fail at once with «network is unreachable»; answers to others, who could still \
              send to the pod, do not leave it either.",
    origin: "something in the pod, or an operator, removed it after ADD",
    confirm: "podnet exec POD -- ip route get 1.1.1.1",
    fix: "ip route add default via GATEWAY dev DEV, in the pod; or make the pod anew",
    needs: TABLES,
    follows: &[
        "PN-LINK-004",
        "PN-LINK-010",
        "PN-LINK-019",
        "PN-ADDR-001",
        "PN-ROUTE-018",
        "PN-ROUTE-021",
        "PN-SYS-006",
    ],
    run: Run::Pod(no_default),
};

fn no_default(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let promised = promised_default(pod, family)?;
        if leads_on(pod.state, family) {
            return None;
        }
        let hit = Hit::new().saw(format!("routes in {}", pod.place()), routes(pod.state, family), "kernel");
        let hit = hit.saw(promised.what, promised.value, &promised.source);
        let device = pod.ends.iter().find(|end| end.has_global(family)).or(pod.ends.first());
        Some(match device.zip(promised.gateway) {
            Some((end, gateway)) => hit.command(add_default(pod, end, gateway)),
            None => hit,
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

/// What says that a pod is to have a way out. An internal network has none by right.
struct Promised {
    what: &'static str,
    value: String,
    source: String,
    gateway: Option<IpAddr>,
}

fn promised_default(pod: &Pod<'_>, family: Family) -> Option<Promised> {
    let is_default = |net: &IpNet| net.prefix_len() == 0 && Family::of(&net.addr()) == family;
    let by_cni = pod.attachments.iter().find_map(|attachment| {
        let route = attachment.routes.iter().find(|route| is_default(&route.destination))?;
        let of_address = attachment.addresses.iter().filter(|address| Family::of(&address.address.addr()) == family);
        let gateway = route.gateway.or_else(|| of_address.filter_map(|address| address.gateway).next());
        let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let value = format!("{}{via}", route.destination);
        Some(Promised { what: "added by CNI", value, source: "CNI cache".to_owned(), gateway })
    });
    let by_runtime = || {
        let workload = pod.workloads.iter().find(|workload| !workload.networks.is_empty())?;
        let gateways = workload.networks.iter().flat_map(|network| &network.gateways);
        let gateway = gateways.copied().find(|gateway| Family::of(gateway) == family)?;
        let source = workload.runtime.clone().unwrap_or_else(|| "runtime".to_owned());
        Some(Promised { what: "gateway of its network", value: gateway.to_string(), source, gateway: Some(gateway) })
    };
    let of_kubernetes = || {
        let addressed = pod.ends.iter().any(|end| end.has_global(family));
        let workload = pod.workloads.iter().find(|workload| workload.pod.is_some())?;
        let source = workload.runtime.clone().unwrap_or_else(|| "proc".to_owned());
        let usual = pod.is_of_kubernetes() && family == Family::Ipv4 && addressed;
        usual.then(|| Promised { what: "it is", value: "a pod of Kubernetes".to_owned(), source, gateway: None })
    };
    by_cni.or_else(by_runtime).or_else(of_kubernetes)
}

fn add_default(pod: &Pod<'_>, end: &End<'_>, gateway: IpAddr) -> String {
    let device = word(&end.link.name).into_owned();
    let direct = fib::way(pod.state, Flow::to(gateway)).leads().is_some();
    let default = pod.inside(&format!("ip route add default via {gateway} dev {device}"));
    let first = pod.inside(&format!("ip route add {gateway} dev {device} scope link"));
    if direct { default } else { format!("{first} && {default}") }
}

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

/// The node's route to one address of the pod alone, by the node's end itself.
pub(super) fn route_for_one<'a>(far: Far<'a>, end: &End<'_>) -> Option<&'a Route> {
    let own: BTreeSet<IpAddr> = end.link.addresses.iter().map(|address| address.address).collect();
    far.state.routes.iter().find(|route| {
        let single = route.destination.prefix_len() == route.destination.max_prefix_len();
        let by_end = route.next_hops.iter().any(|hop| hop.ifindex == Some(far.link.ifindex));
        single && by_end && route.table != LOCAL && own.contains(&route.destination.addr())
    })
}

/// How the node reaches an address of a pod.
struct Reach<'a> {
    far: Far<'a>,
    address: IpAddr,
    way: Way<'a>,
    /// Whether that is by the pod's own interface, or the bridge that it is a port of.
    right: bool,
}

/// Asked of the addresses of the interface that the pod's way out leads by, where the node routes for it.
fn reaches<'a>(pod: &Pod<'a>) -> Vec<(&'a Link, Reach<'a>)> {
    let mut reaches = Vec::new();
    for family in FAMILIES {
        let Some((far, out)) = pod.router(family).zip(pod.way_out(family)) else { continue };
        let link = out.end.link;
        let global = link.addresses.iter().filter(|address| address.scope == "global" && address.family == family);
        for address in global.map(|address| address.address) {
            let way = fib::way(far.state, Flow::to(address));
            let right = way.leads().is_some_and(|route| route.next_hops.iter().any(|hop| is_right(far, hop.ifindex)));
            reaches.push((link, Reach { far, address, way, right }));
        }
    }
    reaches
}

fn is_right(far: Far<'_>, device: Option<u32>) -> bool {
    let device = device.and_then(|ifindex| far.state.link(ifindex));
    device.is_some_and(|device| {
        let own = device.ifindex == far.link.ifindex || device.ifindex == far.gate().ifindex;
        own || Some(device.ifindex) == far.link.master || device.name == "cilium_host"
    })
}

/// Cilium delivers by its own program, whatever the node's tables say; so does a netkit pair's.
pub(super) fn is_delivered_by_a_program(far: Far<'_>) -> bool {
    let ciliums = |name: &String| name.starts_with("cil_") || name.contains("from-container");
    far.link.kind == "netkit" || far.link.programs.iter().any(|program| program.name.as_ref().is_some_and(ciliums))
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

pub static HOST_ROUTE_MISSING: Rule = Rule {
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
    run: Run::Pod(host_route_missing),
};

fn host_route_missing(pod: &Pod<'_>) -> Vec<Hit> {
    let missing = |reach: &Reach<'_>| match reach.way {
        Way::Route { route, .. } => route.is_default() && route.kind == "unicast",
        Way::Nowhere => true,
        Way::Refused { .. } => false,
    };
    wrong(pod, |reach| missing(reach) && !is_delivered_by_a_program(reach.far) && !is_known_to_main(reach))
}

pub static HOST_ROUTE_ELSEWHERE: Rule = Rule {
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
    run: Run::Pod(host_route_elsewhere),
};

fn host_route_elsewhere(pod: &Pod<'_>) -> Vec<Hit> {
    let elsewhere = |reach: &Reach<'_>| {
        let route = reach.way.leads().filter(|route| !route.is_default() && route.kind == "unicast");
        route.is_some() && !is_delivered_by_a_program(reach.far) && !is_known_to_main(reach)
    };
    wrong(pod, elsewhere)
}

pub static HOST_ROUTE_SHADOWED: Rule = Rule {
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
    run: Run::Pod(host_route_shadowed),
};

fn host_route_shadowed(pod: &Pod<'_>) -> Vec<Hit> {
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
                .saw_if("decided by", rule.map(rule_text), "kernel")
                .saw_if("route in the main table", main.map(text), "kernel")
                .command(reach.far.at(&format!("ip rule add pref {before} to {} lookup main", reach.address)))
        })
        .collect()
}

/// Whether the main table alone would do it right.
fn is_known_to_main(reach: &Reach<'_>) -> bool {
    let main = fib::best(reach.far.state, MAIN, reach.address);
    main.is_some_and(|route| route.next_hops.iter().any(|hop| is_right(reach.far, hop.ifindex)))
}

fn is_refused(reach: &Reach<'_>) -> bool {
    matches!(reach.way, Way::Route { route, .. } if matches!(route.kind.as_str(), "blackhole" | "unreachable" | "prohibit"))
}

fn rule_text(rule: &PolicyRule) -> String {
    let net = |word: &str, net: Option<IpNet>| net.map(|net| format!("{word} {net}"));
    let parts = [
        Some(format!("{}:", rule.priority)),
        rule.inverted.then(|| "not".to_owned()),
        net("from", rule.from).or_else(|| Some("from all".to_owned())),
        net("to", rule.to),
        rule.input_interface.as_ref().map(|name| format!("iif {name}")),
        rule.mark.map(|mark| format!("fwmark {mark:#x}/{:#x}", rule.mark_mask.unwrap_or(u32::MAX))),
        Some(rule.table.map_or_else(|| rule.action.clone(), |table| format!("lookup {table}"))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub static HOST_ROUTE_REFUSES: Rule = Rule {
    code: "PN-ROUTE-009",
    severity: Severity::Error,
    sentence: "The node refuses what is meant for the pod: a blackhole or unreachable route stands in the way.",
    meaning: "Whoever sends to the pod gets «host unreachable», or nothing at all.",
    origin: "the route was put there when an earlier pod with this address was deleted (Cilium's \
             enable-unreachable-routes), or to keep a range from looping, and the pod's own route is missing",
    confirm: "ip route get ADDRESS on the node says unreachable",
    fix: "delete that route, or restore the pod's own, which is longer",
    needs: TABLES,
    follows: &[],
    run: Run::Pod(host_route_refuses),
};

fn host_route_refuses(pod: &Pod<'_>) -> Vec<Hit> {
    wrong(pod, |reach| is_refused(reach) || matches!(reach.way, Way::Refused { .. }))
}

fn wrong(pod: &Pod<'_>, is_so: impl Fn(&Reach<'_>) -> bool) -> Vec<Hit> {
    let found = reaches(pod).into_iter().filter(|(_, reach)| !reach.right && is_so(reach));
    found.map(|(link, reach)| way_shown(pod, link, &reach).command(host_route(&reach))).collect()
}

pub static STALE_HOST_ROUTE: Rule = Rule {
    code: "PN-ROUTE-011",
    severity: Severity::Warning,
    sentence: "The node has a route to an address by a pod's interface, and the pod does not have that address.",
    meaning: "Whoever gets the address next may not be reached, as the old route still stands.",
    origin: "the pod's address was changed or removed, or a teardown was cut short",
    confirm: "ip route show dev DEV on the node, beside podnet exec POD -- ip addr",
    fix: "ip route del ADDRESS dev DEV",
    needs: TABLES,
    follows: &["PN-ADDR-001", "PN-LINK-004", "PN-ADDR-007"],
    run: Run::Pod(stale_host_route),
};

fn stale_host_route(pod: &Pod<'_>) -> Vec<Hit> {
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

fn is_link_local(net: IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.addr().is_link_local() || net.addr().is_multicast(),
        IpNet::V6(net) => net.addr().is_unicast_link_local() || net.addr().is_multicast(),
    }
}

fn joined(addresses: &BTreeSet<IpAddr>) -> String {
    let global = addresses.iter().filter(|address| !address.is_loopback());
    let texts: Vec<String> = global.map(ToString::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join("  ") }
}

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

pub static NO_LOCAL_RULE: Rule = Rule {
    code: "PN-ROUTE-015",
    severity: Severity::Error,
    sentence: "No rule of the node looks into the local table, so the node does not know its own addresses.",
    meaning: "Packets to the node itself are routed away: pods cannot reach it, and answers to its own connections are \
              lost.",
    origin: "the rule was being moved (Cilium puts it at 100, VRF tools at 32765), and whoever did so was stopped between \
             deleting and adding it",
    confirm: "ip rule: no «lookup local»",
    fix: "ip rule add pref 0 lookup local; ip -6 rule add pref 0 lookup local",
    needs: TABLES,
    follows: &[],
    run: Run::Host(no_local_rule),
};

fn no_local_rule(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    rules_that_lack(facts, LOCAL, "local", 0)
}

pub static TWO_LOCAL_RULES: Rule = Rule {
    code: "PN-ROUTE-016",
    severity: Severity::Warning,
    sentence: "The node looks into its local table twice, at priority 0 and at 100.",
    meaning: "Cilium moves the rule so that its own come first. With the old one still there, packets that a layer 7 proxy \
              should get are delivered past it.",
    origin: "the agent was stopped while it moved the rule, or another program put the first one back",
    confirm: "ip rule: «lookup local» at 0 and at 100",
    fix: "ip rule del pref 0 lookup local, after making sure that the one at 100 is there",
    needs: TABLES,
    follows: &[],
    run: Run::Host(two_local_rules),
};

fn two_local_rules(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let at = |family: Family, priority: u32| {
        host.rules.iter().any(|rule| {
            rule.family == family && rule.table == Some(LOCAL) && rule.priority == priority && is_unconditional(rule)
        })
    };
    let hit = |family: Family| {
        (at(family, 0) && at(family, 100)).then(|| {
            let option = if family == Family::Ipv6 { "-6 " } else { "" };
            Hit::new()
                .saw(format!("{} rules that lead to the local table", word_of(family)), "0 and 100", "kernel")
                .command(format!("ip {option}rule del pref 0 lookup local"))
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

pub static NO_MAIN_RULE: Rule = Rule {
    code: "PN-ROUTE-017",
    severity: Severity::Error,
    sentence: "No rule of the node looks into the main table, so none of its usual routes count.",
    meaning: "The routes to the pods are there, and nothing uses them.",
    origin: "«ip rule flush», or a routing set-up that was torn down half-way",
    confirm: "ip rule: no «lookup main»",
    fix: "ip rule add pref 32766 lookup main; ip -6 rule add pref 32766 lookup main",
    needs: TABLES,
    follows: &[],
    run: Run::Host(no_main_rule),
};

fn no_main_rule(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    rules_that_lack(facts, MAIN, "main", 32766)
}

/// Where there are routes of a family in a table and no rule leads there at all.
fn rules_that_lack(facts: &Facts<'_>, table: u32, name: &str, priority: u32) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let hit = |family: Family| {
        let used = host.routes.iter().any(|route| route.family == family && route.table == table);
        let led = host.rules.iter().any(|rule| rule.family == family && rule.table == Some(table));
        (used && !led).then(|| {
            let rules: Vec<String> = host.rules.iter().filter(|rule| rule.family == family).map(rule_text).collect();
            let rules = if rules.is_empty() { "none".to_owned() } else { rules.join(", ") };
            let option = if family == Family::Ipv6 { "-6 " } else { "" };
            Hit::new()
                .saw(format!("{} rules of the node", word_of(family)), rules, "kernel")
                .command(format!("ip {option}rule add pref {priority} lookup {name}"))
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

fn is_unconditional(rule: &PolicyRule) -> bool {
    let anywhere = |net: Option<IpNet>| net.is_none_or(|net| net.prefix_len() == 0);
    let interfaces = rule.input_interface.is_none() && rule.output_interface.is_none();
    anywhere(rule.from) && anywhere(rule.to) && interfaces && rule.mark.is_none() && !rule.narrowed && !rule.inverted
}

fn word_of(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

pub static RULES_PASS_BY: Rule = Rule {
    code: "PN-ROUTE-018",
    severity: Severity::Error,
    sentence: "The pod has a default route, but its own policy rules never lead to it.",
    meaning: "Packets are routed by rules first. Those of the pod do not look into the table that has the route, or refuse \
              before they do.",
    origin: "a VPN client or a sidecar in the pod changed the rules and did not put them back",
    confirm: "podnet exec POD -- ip rule, and ip route get 1.1.1.1",
    fix: "ip rule add pref 32766 lookup main, in the pod; or make the pod anew",
    needs: TABLES,
    follows: &[],
    run: Run::Pod(rules_pass_by),
};

fn rules_pass_by(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let default = fib::best(pod.state, MAIN, far_away(family)).filter(|route| route.kind == "unicast")?;
        let way = fib::way(pod.state, Flow::to(far_away(family)));
        // A rule for an interface or a mark may well mean the pod's packets.
        let unknown = pod.state.rules.iter().any(|rule| rule.family == family && !is_unconditional(rule));
        (way.route().is_none() && !unknown).then(|| {
            let rules: Vec<String> =
                pod.state.rules.iter().filter(|rule| rule.family == family).map(rule_text).collect();
            let option = if family == Family::Ipv6 { "-6 " } else { "" };
            Hit::new()
                .saw("route in the main table", text(default), "kernel")
                .saw(
                    format!("rules in {}", pod.place()),
                    if rules.is_empty() { "none".to_owned() } else { rules.join(", ") },
                    "kernel",
                )
                .command(pod.inside(&format!("ip {option}rule add pref 32766 lookup main")))
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

pub static DEAD_HOPS: Rule = Rule {
    code: "PN-ROUTE-019",
    severity: Severity::Warning,
    sentence: "Some of the next hops of the node's default route are dead.",
    meaning: "The node spreads connections over several gateways, and those behind the dead ones are fewer than before, or \
              lost where the kernel still uses a hop without carrier.",
    origin: "an uplink is down or lost its carrier",
    confirm: "ip route show default: «dead» or «linkdown» behind a hop",
    fix: "bring the uplink back, or take its hop out of the route; net.ipv4.conf.all.ignore_routes_with_linkdown=1 keeps \
          the kernel off hops without carrier",
    needs: TABLES,
    follows: &[],
    run: Run::Host(dead_hops),
};

fn dead_hops(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let defaults = facts.host().into_iter().flat_map(|host| &host.routes).filter(|route| route.is_default());
    let several = defaults.filter(|route| route.next_hops.len() > 1 && route.next_hops.iter().any(is_dead));
    several.map(|route| Hit::new().saw("route", text(route), "kernel")).collect()
}

fn is_dead(hop: &crate::model::route::NextHop) -> bool {
    hop.flags.iter().any(|flag| flag == "dead" || flag == "linkdown")
}

pub static UPLINK_WITHOUT_CARRIER: Rule = Rule {
    code: "PN-ROUTE-020",
    severity: Severity::Error,
    sentence: "The interface of the node's default route has no carrier.",
    meaning: "The route is there, but what is sent by it goes nowhere: no pod reaches anything outside of the node.",
    origin: "the cable, the switch port, or the other end of a virtual link is down",
    confirm: "ip link show DEV: NO-CARRIER; ip route: linkdown",
    fix: "look at what the interface is plugged into",
    needs: TABLES,
    follows: &[],
    run: Run::Host(uplink_without_carrier),
};

fn uplink_without_carrier(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
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

pub static DEFAULT_REFUSES: Rule = Rule {
    code: "PN-ROUTE-021",
    severity: Severity::Error,
    sentence: "The pod's default route refuses packets instead of sending them.",
    meaning: "A blackhole, unreachable or prohibit route stands where the way out should be: connections fail at once.",
    origin: "a VPN client's «kill switch» in the pod, or somebody who cut the pod off on purpose and left it so",
    confirm: "podnet exec POD -- ip route get 1.1.1.1",
    fix: "ip route del default of that type, in the pod; then see whether the right one is still there",
    needs: TABLES,
    follows: &[],
    run: Run::Pod(default_refuses),
};

fn default_refuses(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let Way::Route { route, .. } = fib::way(pod.state, Flow::to(far_away(family))) else { return None };
        let refuses = matches!(route.kind.as_str(), "blackhole" | "unreachable" | "prohibit");
        // The kernel's own for IPv6, at the very end.
        let kernels = route.metric == Some(u32::MAX);
        let promised = promised_default(pod, family)?;
        (refuses && !kernels).then(|| {
            let option = if family == Family::Ipv6 { "-6 " } else { "" };
            let delete = pod.inside(&format!("ip {option}route del {} {}", route.kind, route.destination));
            Hit::new()
                .saw(format!("route in {}", pod.place()), text(route), "kernel")
                .saw(promised.what, promised.value, &promised.source)
                .command(delete)
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
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
