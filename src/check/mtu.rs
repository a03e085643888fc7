//! PN-LINK-007 to 010 and 018: whether what one sends fits where it has to pass.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use super::hit::Hit;
use super::link::{far_named, shown};
use super::paste::word;
use super::pod::{End, Pod, far_away};
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::fib::{self, Flow};
use crate::model::link::Link;
use crate::model::netns::{Inode, NetnsState};

pub static ENDS_DIFFER: Rule = Rule {
    code: "PN-LINK-007",
    severity: Severity::Error,
    sentence: "The two ends of the pod's interface have different MTUs, and packets between them vanish.",
    meaning: "A veth drops a packet that is larger than the receiving end's MTU, without an answer: small requests \
              work, downloads and TLS handshakes hang.",
    origin: "the MTU of one end was changed after the pair was made",
    confirm: "podnet exec POD -- ping -M do -s SIZE GATEWAY, with sizes between the two",
    fix: "ip link set DEV mtu N on the smaller or the larger end",
    needs: &[],
    follows: &[],
    run: Run::Pod(ends_differ),
};

fn ends_differ(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.pair().filter(|far| far.link.mtu != end.link.mtu)?;
        let smaller = end.link.mtu.min(far.link.mtu);
        let set = |link: &Link| format!("ip link set {} mtu {smaller}", word(&link.name));
        let fix = if end.link.mtu > smaller { pod.inside(&set(end.link)) } else { far.at(&set(far.link)) };
        Some(
            shown(pod, end.link)
                .saw("mtu in the pod", end.link.mtu.to_string(), "kernel")
                .saw(format!("mtu of {}", far_named(far)), far.link.mtu.to_string(), "kernel")
                .command(fix),
        )
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static WAY_OUT_SMALLER: Rule = Rule {
    code: "PN-LINK-008",
    severity: Severity::Warning,
    sentence: "The pod's MTU is larger than what the node can send on.",
    meaning: "The pod offers its partners a segment size that the way between does not carry. Each connection then \
              depends on «too big» messages getting through; where a firewall or cloud drops those, large answers hang.",
    origin: "the uplink or the overlay has a smaller MTU than the pod network was configured for",
    confirm: "podnet exec POD -- ping -M do -s 1472 ADDRESS (for 1500) says «message too long» or is not answered",
    fix: "set the MTU of the pod network (the CNI's «mtu», Docker's daemon.json) to that of the way out, and make the \
          pods anew",
    needs: &[Need::Routes, Need::Rules],
    follows: &["PN-LINK-007"],
    run: Run::Pod(way_out_smaller),
};

fn way_out_smaller(pod: &Pod<'_>) -> Vec<Hit> {
    let families = [Family::Ipv4, Family::Ipv6];
    // One finding an interface: what does not fit by IPv4 does not by IPv6.
    families.into_iter().find_map(|family| too_large(pod, family)).into_iter().collect()
}

fn too_large(pod: &Pod<'_>, family: Family) -> Option<Hit> {
    let out = pod.way_out(family)?;
    let far = out.end.pair()?;
    let own = out.route.mtu.map_or(out.end.link.mtu, |mtu| mtu.min(out.end.link.mtu));
    let (device, mtu) = narrowest(far.state, family)?;
    (own > mtu).then(|| {
        shown(pod, out.end.link)
            .saw("mtu of the pod's way out", own.to_string(), "kernel")
            .saw(format!("mtu of {} on {}", device.name, far.place()), mtu.to_string(), "kernel")
            .fix(format!(
                "set the pod network's MTU to {mtu}; until then: {}",
                pod.inside(&format!("ip link set {} mtu {mtu}", word(&out.end.link.name)))
            ))
    })
}

/// Of the default route and the routes by a pod network's overlay the one that carries least.
fn narrowest(state: &NetnsState, family: Family) -> Option<(&Link, u32)> {
    let default = fib::way(state, Flow::to(far_away(family))).leads();
    let overlays: Vec<u32> = state.links.iter().filter(|link| is_pod_overlay(link)).map(|link| link.ifindex).collect();
    let overlays = state.routes.iter().filter(|route| {
        let device = route.next_hops.first().and_then(|hop| hop.ifindex);
        device.is_some_and(|device| overlays.contains(&device)) && route.family == family && route.table == fib::MAIN
    });
    let carried = default.into_iter().chain(overlays).filter_map(|route| {
        let device = state.link(route.next_hops.first()?.ifindex?)?;
        Some((device, route.mtu.map_or(device.mtu, |mtu| mtu.min(device.mtu))))
    });
    carried.min_by_key(|(_, mtu)| *mtu)
}

/// By name, since a tunnel of the operator's own (a VPN) has a smaller MTU by right, and is none of the pods' way.
fn is_pod_overlay(link: &Link) -> bool {
    const NAMES: [&str; 8] = [
        "flannel",
        "cilium_vxlan",
        "cilium_geneve",
        "cilium_wg",
        "vxlan.calico",
        "wireguard.cali",
        "genev_sys",
        "antrea-",
    ];
    // A node has as many pairs as pods, and none of them is an overlay.
    let named = link.kind != "veth" && NAMES.iter().any(|name| link.name.starts_with(name));
    named || (link.name == "tunl0" && link.is_up())
}

pub static NO_ROOM_FOR_HEADER: Rule = Rule {
    code: "PN-LINK-009",
    severity: Severity::Warning,
    sentence: "An overlay's MTU leaves no room for its own header on the device below.",
    meaning: "Each full packet between nodes must be cut in two on its way, or is lost where fragments are not let \
              through (most clouds).",
    origin: "the MTU of the overlay was set by hand, or the uplink's became smaller since",
    confirm: "ip -d link show OVERLAY and its device: the difference must be 50 for VXLAN and Geneve over IPv4 (70 over \
              IPv6), 20 for IPIP, 60 to 80 for WireGuard",
    fix: "ip link set OVERLAY mtu N, and the pod network's MTU with it",
    needs: &[Need::Routes, Need::Rules],
    follows: &[],
    run: Run::Host(no_room_for_header),
};

fn no_room_for_header(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let hit = |overlay: &Link| {
        let header = header(overlay)?;
        let below = below(host, overlay)?;
        let room = below.mtu.checked_sub(header)?;
        (overlay.is_up() && overlay.mtu > room).then(|| {
            Hit::new()
                .saw(format!("mtu of {} ({})", overlay.name, overlay.kind), overlay.mtu.to_string(), "kernel")
                .saw(format!("mtu of {} below it", below.name), below.mtu.to_string(), "kernel")
                .saw("bytes of its header, at least", header.to_string(), overlay.kind.as_str())
                .command(format!("ip link set {} mtu {room}", word(&overlay.name)))
        })
    };
    host.links.iter().filter_map(hit).collect()
}

/// Outer IPv4 (20) or IPv6 (40), and what the tunnel puts behind it. Of a device that takes its partner from each packet
/// (Cilium's) the route's MTU counts, not its own.
fn header(overlay: &Link) -> Option<u32> {
    let parameter = |name: &str| overlay.parameters.get(name).map(String::as_str);
    if parameter("external") == Some("true") {
        return None;
    }
    let outer_ipv6 = ["remote", "local"].iter().any(|name| parameter(name).is_some_and(|value| value.contains(':')));
    let outer = if outer_ipv6 { 40 } else { 20 };
    match overlay.kind.as_str() {
        "vxlan" | "geneve" => Some(outer + 8 + 8 + 14),
        "wireguard" => Some(outer + 8 + 32),
        "ipip" | "sit" | "ip6tnl" => Some(outer),
        "gre" | "ip6gre" => Some(outer + 4),
        _ => None,
    }
}

/// The device that it names, else the one by which the node reaches its partners.
fn below<'a>(host: &'a NetnsState, overlay: &Link) -> Option<&'a Link> {
    let named = overlay.parameters.get("link").and_then(|text| text.parse().ok()).or(overlay.link);
    let by_index = named.filter(|_| overlay.link_netnsid.is_none()).and_then(|ifindex: u32| host.link(ifindex));
    let by_remote = || {
        let remote = overlay.parameters.get("remote")?.parse().ok()?;
        host.link(fib::way(host, Flow::to(remote)).leads()?.next_hops.first()?.ifindex?)
    };
    by_index.or_else(by_remote).filter(|below| below.ifindex != overlay.ifindex)
}

pub static TOO_SMALL_FOR_IPV6: Rule = Rule {
    code: "PN-LINK-010",
    severity: Severity::Warning,
    sentence: "The pod's MTU is below 1280, so it has no IPv6.",
    meaning: "The kernel switches IPv6 off on an interface that cannot carry its smallest packet, and removes the \
              addresses.",
    origin: "the MTU was set too small, often after taking off a header twice",
    confirm: "podnet exec POD -- ip -6 addr shows no address on the interface",
    fix: "set the MTU to 1280 or more, and make the pod anew: its IPv6 addresses do not come back",
    needs: &[],
    follows: &[],
    run: Run::Pod(too_small_for_ipv6),
};

/// RFC 8200, section 5.
const SMALLEST_IPV6: u32 = 1280;

fn too_small_for_ipv6(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let wanted = pod.was_promised(Family::Ipv6) || end.far.is_some_and(|far| has_ipv6(far.gate()));
        (end.link.mtu < SMALLEST_IPV6 && wanted).then(|| {
            shown(pod, end.link)
                .saw("mtu in the pod", end.link.mtu.to_string(), "kernel")
                .command(pod.inside(&format!("ip link set {} mtu {SMALLEST_IPV6}", word(&end.link.name))))
        })
    };
    pod.ends.iter().filter_map(hit).collect()
}

fn has_ipv6(link: &Link) -> bool {
    link.addresses.iter().any(|address| address.family == Family::Ipv6 && address.scope == "global")
}

pub static BRIDGE_OF_SEVERAL_MTUS: Rule = Rule {
    code: "PN-LINK-018",
    severity: Severity::Warning,
    sentence: "Pods on one bridge have different MTUs, and large packets between them vanish.",
    meaning: "Within a bridge nobody says «too big»: a full packet of the pod with the larger MTU is dropped at the port \
              of the other.",
    origin: "the MTU of the network was changed while pods were running; the older ones keep theirs",
    confirm: "podnet exec POD -- ping -M do -s SIZE OTHER, with sizes between the two",
    fix: "make the older pods anew",
    needs: &[],
    follows: &["PN-LINK-007"],
    run: Run::Node(bridge_of_several_mtus),
};

/// A pod with its interface, and the bridge that the other end is a port of.
type Port<'p> = (&'p Pod<'p>, &'p Link, &'p Link);

fn bridge_of_several_mtus(_: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let mut ports: BTreeMap<(Inode, u32), Vec<Port<'_>>> = BTreeMap::new();
    for pod in pods {
        for end in &pod.ends {
            let Some(far) = end.pair() else { continue };
            if let Some(bridge) = far.master().filter(|master| master.kind == "bridge") {
                ports.entry((far.state.netns.inode, bridge.ifindex)).or_default().push((pod, end.link, bridge));
            }
        }
    }
    let hit = |ports: &Vec<Port<'_>>| {
        let sizes: BTreeSet<u32> = ports.iter().map(|(_, link, _)| link.mtu).collect();
        let (smallest, largest) = (sizes.first()?, sizes.last()?);
        let with = |size: u32| {
            let names: Vec<&str> =
                ports.iter().filter(|(_, link, _)| link.mtu == size).map(|(pod, ..)| pod.name.as_str()).collect();
            names.join(", ")
        };
        let (pod, _, bridge) = ports.iter().find(|(_, link, _)| link.mtu == *smallest)?;
        (smallest != largest).then(|| {
            Hit::new()
                .about(pod.inode())
                .saw("bridge", bridge.name.clone(), "kernel")
                .saw(format!("mtu {smallest}"), with(*smallest), "kernel")
                .saw(format!("mtu {largest}"), with(*largest), "kernel")
        })
    };
    ports.values().filter_map(hit).collect()
}
