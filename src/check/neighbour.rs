//! PN-ROUTE-003 to 005: the gateway, as the pod's neighbour.

use std::net::IpAddr;

use super::hit::Hit;
use super::link::{far_named, shown};
use super::paste::word;
use super::pod::{Far, Pod, WayOut};
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::bpf::Hook;
use crate::model::fib::{self, Flow};
use crate::model::link::Link;
use crate::model::mac::Mac;
use crate::model::neighbour::Neighbour;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

pub static GATEWAY_OFF_LINK: Rule = Rule {
    code: "PN-ROUTE-003",
    severity: Severity::Warning,
    sentence: "The pod's gateway is not on any link of the pod.",
    meaning: "The default route still works, since the kernel looked the gateway up when the route was made. When it is \
              made again (an interface goes down and up) that will be refused.",
    origin: "the route to the gateway itself was removed after the default route was added",
    confirm: "podnet exec POD -- ip route get GATEWAY does not answer with the interface alone",
    fix: "ip route add GATEWAY dev DEV scope link, in the pod",
    needs: &[Need::Routes, Need::Rules],
    follows: &["PN-ADDR-001", "PN-LINK-004"],
    run: Run::Pod(gateway_off_link),
};

fn gateway_off_link(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let out = pod.way_out(family)?;
        let gateway = out.gateway?;
        let onlink = out.route.next_hops.iter().any(|hop| hop.flags.iter().any(|flag| flag == "onlink"));
        // fe80:: is on every link.
        let link_local = matches!(gateway, IpAddr::V6(address) if address.is_unicast_link_local());
        let way = fib::way(pod.state, Flow::to(gateway));
        let direct = way.leads().and_then(|route| route.next_hops.first()).is_some_and(|hop| hop.gateway.is_none());
        (!onlink && !link_local && !direct).then(|| {
            let add = format!("ip route add {gateway} dev {} scope link", word(&out.end.link.name));
            shown(pod, out.end.link)
                .saw("default route", super::route::text(out.route), "kernel")
                .saw(
                    "route to the gateway",
                    way.route().map_or_else(|| "none".to_owned(), super::route::text),
                    "kernel",
                )
                .command(pod.inside(&add))
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

pub static GATEWAY_SILENT: Rule = Rule {
    code: "PN-ROUTE-004",
    severity: Severity::Warning,
    sentence: "Nobody answered when the pod last asked for its gateway's MAC address.",
    meaning: "Without it no packet leaves the pod. If the pod has been quiet since, the cause may be over: the entry \
              stays until the next attempt.",
    origin: "the gateway's address is not on the node's end or its bridge, the program that answers for it is gone, or \
             frames are filtered",
    confirm: "podnet exec POD -- ping -c1 GATEWAY, then ip neigh: FAILED again",
    fix: "look at who should answer: podnet inspect POD shows the other end, its bridge and its programs",
    needs: &[Need::Routes, Need::Rules, Need::Neighbours],
    follows: &[
        "PN-LINK-001",
        "PN-LINK-002",
        "PN-LINK-005",
        "PN-LINK-006",
        "PN-LINK-013",
        "PN-LINK-014",
        "PN-LINK-017",
        "PN-SYS-007",
    ],
    run: Run::Pod(gateway_silent),
};

fn gateway_silent(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let out = pod.way_out(family)?;
        let entry = entry(pod, &out)?;
        matches!(entry.state.as_str(), "failed" | "incomplete")
            .then(|| shown(pod, out.end.link).saw("neighbour", written(entry), "kernel"))
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

pub static GATEWAY_FOREIGN: Rule = Rule {
    code: "PN-ROUTE-005",
    severity: Severity::Error,
    sentence: "The pod sends to its gateway by a MAC address that is not the gateway's.",
    meaning: "Whatever leaves the pod is addressed to a frame's end that does not exist or is somebody else, and is \
              dropped there.",
    origin: "the MAC of the node's end or of the bridge changed (udev, systemd's MACAddressPolicy, a bridge that lost its \
             first port), the entry was made permanent, or somebody answers ARP in the gateway's name",
    confirm: "podnet exec POD -- ip neigh, beside ip link of the node's end and its bridge",
    fix: "ip neigh del GATEWAY dev DEV, in the pod; and fix the MAC of the bridge",
    needs: &[Need::Routes, Need::Rules, Need::Neighbours],
    follows: &["PN-LINK-002", "PN-LINK-014"],
    run: Run::Pod(gateway_foreign),
};

fn gateway_foreign(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let out = pod.way_out(family)?;
        let far = out.end.pair().filter(|far| !far.is_switched_elsewhere())?;
        let entry = entry(pod, &out)?;
        let used = entry.mac.filter(|_| !matches!(entry.state.as_str(), "failed" | "incomplete"))?;
        let right = rightful(far, out.gateway?)?;
        (!right.contains(&used)).then(|| {
            let delete = format!("ip neigh del {} dev {}", entry.address, word(&out.end.link.name));
            let macs: Vec<String> = right.iter().map(Mac::to_string).collect();
            shown(pod, out.end.link)
                .saw("neighbour", written(entry), "kernel")
                .saw(format!("address of {}", far_named(far)), macs.join(" or "), "kernel")
                .command(pod.inside(&delete))
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

/// The addresses that may answer for a gateway; None where it is somewhere behind a switch.
fn rightful(far: Far<'_>, gateway: IpAddr) -> Option<Vec<Mac>> {
    let gate = far.gate();
    let owner = far.state.links.iter().find(|link| link.addresses.iter().any(|own| own.address == gateway));
    let bridged = gate.ifindex != far.link.ifindex;
    if bridged && owner.is_none() {
        return None;
    }
    let links: [Option<&Link>; 3] = [Some(far.link).filter(|_| !bridged), Some(gate), owner];
    Some(links.into_iter().flatten().filter_map(|link| link.mac).collect())
}

fn entry<'p>(pod: &'p Pod<'_>, out: &WayOut<'_, '_>) -> Option<&'p Neighbour> {
    let gateway = out.gateway?;
    pod.state.neighbours.iter().find(|entry| entry.address == gateway && entry.ifindex == out.end.link.ifindex)
}

fn written(entry: &Neighbour) -> String {
    let mac = entry.mac.map(|mac| format!(" {mac}")).unwrap_or_default();
    format!("{}{mac} {}", entry.address, entry.state)
}

pub static NOBODY_ANSWERS: Rule = Rule {
    code: "PN-SYS-007",
    severity: Severity::Error,
    sentence: "Nothing on the node answers for the pod's gateway.",
    meaning: "The pod asks for the gateway's MAC address, and the node stays silent: it has no such address, and the \
              interface does not answer for others. Nothing leaves the pod.",
    origin: "proxy_arp was switched off on the interface, arp_ignore was raised by a hardening profile, the gateway's \
             address was removed, or the program that answered in its place is gone",
    confirm: "podnet exec POD -- ping -c1 GATEWAY, then ip neigh shows FAILED",
    fix: "sysctl -w net.ipv4.conf.DEV.proxy_arp=1 (Calico), or give the node the gateway's address again",
    needs: &[Need::Routes, Need::Rules, Need::Neighbours, Need::Sysctls],
    follows: &["PN-LINK-002", "PN-LINK-014", "PN-LINK-017"],
    run: Run::Pod(nobody_answers),
};

fn nobody_answers(pod: &Pod<'_>) -> Vec<Hit> {
    let Some(out) = pod.way_out(Family::Ipv4) else { return Vec::new() };
    let Some((far, gateway)) = out.end.pair().filter(|far| !far.is_switched_elsewhere()).zip(out.gateway) else {
        return Vec::new();
    };
    let told_for_ever = entry(pod, &out).is_some_and(|entry| entry.state == "permanent");
    if told_for_ever || is_answered_by_a_program(far.link) || !out.end.link.is_up() {
        return Vec::new();
    }
    let gate = far.gate();
    let owner = far.state.links.iter().find(|link| link.addresses.iter().any(|own| own.address == gateway));
    let bridged = gate.ifindex != far.link.ifindex;
    let setting = |name: &str| super::sysctl::largest(far.state, &gate.name, name);
    let hit = shown(pod, out.end.link).saw("gateway", gateway.to_string(), "kernel").saw(
        "asked at",
        far_named(far),
        "kernel",
    );
    let who = |hit| super::sysctl::who_sets(hit, pod.facts, &super::sysctl::name("ipv4", &gate.name, "arp_ignore"));
    match (owner, setting("arp_ignore")) {
        // Behind a bridge it may be anybody's.
        (None, _) if bridged => Vec::new(),
        (None, _) if setting("proxy_arp") == Some(0) => {
            let hit = hit.saw(format!("interfaces of {} with that address", far.place()), "none", "kernel").saw(
                format!("proxy_arp of {}", gate.name),
                "0",
                "kernel",
            );
            let set = format!("sysctl -w {}=1", word(&super::sysctl::name("ipv4", &gate.name, "proxy_arp")));
            vec![hit.command(far.at(&set))]
        }
        (Some(owner), Some(ignore @ (1 | 2))) if owner.ifindex != gate.ifindex => {
            vec![ignored(who(hit), far, gate, &owner.name, ignore)]
        }
        (Some(owner), Some(ignore @ 8)) => vec![ignored(who(hit), far, gate, &owner.name, ignore)],
        _ => Vec::new(),
    }
}

fn ignored(hit: Hit, far: Far<'_>, gate: &Link, owner: &str, ignore: u64) -> Hit {
    let name = super::sysctl::name("ipv4", &gate.name, "arp_ignore");
    let hit =
        hit.saw("its owner", owner, "kernel").saw(format!("arp_ignore of {}", gate.name), ignore.to_string(), "kernel");
    hit.command(far.at(&format!("sysctl -w {}=0 net.ipv4.conf.all.arp_ignore=0", word(&name))))
}

/// Cilium answers ARP in BPF; what another program does is not known here.
fn is_answered_by_a_program(link: &Link) -> bool {
    link.programs.iter().any(|program| {
        matches!(program.hook, Hook::TcIngress | Hook::TcxIngress | Hook::Xdp | Hook::NetkitPeer | Hook::NetkitPrimary)
    })
}
