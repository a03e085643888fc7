//! PN-LINK: the bridge that a pod's interface is a port of, and the segment that it makes.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::hit::Hit;
use super::host_route::route_for_one;
use super::link::{far_named, flags, set_up, shown};
use super::paste::word;
use super::pod::{End, Pod};
use super::route::text;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::link::Link;
use crate::model::mac::Mac;
use crate::model::netns::Inode;

pub static DUPLICATE_MAC: Rule = Rule {
    code: "PN-LINK-011",
    severity: Severity::Error,
    sentence: "Another pod on the same segment has the same MAC address.",
    meaning: "A bridge knows one port for an address. It sends each frame to whoever spoke last, so both pods lose \
              about half of their packets, in bursts.",
    origin: "a MAC address was fixed in two configurations, or a namespace was restored from a copy",
    confirm: "bridge fdb show | grep MAC: the port changes from one look to the next",
    fix: "give one of them another address: ip link set DEV address … in the pod, and in its configuration",
    needs: &[],
    follows: &[],
    run: Run::Node(duplicate_mac),
};

/// Where frames are told apart by their MAC: a bridge, or the device that macvlans lie on.
type Segment = (Inode, u32);

fn duplicate_mac(_: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let mut seen: BTreeMap<(Segment, Mac), Vec<(&Pod<'_>, &Link)>> = BTreeMap::new();
    for pod in pods {
        for end in &pod.ends {
            let segment = segment(end);
            // The links of an ipvlan have the MAC of the device below, all of them.
            let own = end.link.mac.filter(|_| end.link.kind != "ipvlan" && end.link.is_up());
            if let Some((segment, mac)) = segment.zip(own) {
                seen.entry((segment, mac)).or_default().push((pod, end.link));
            }
        }
    }
    let shared = seen.into_iter().filter(|(_, owners)| owners.len() > 1);
    let hits = shared.flat_map(|((_, mac), owners)| {
        let names: Vec<String> = owners.iter().map(|(pod, link)| format!("{} {}", pod.name, link.name)).collect();
        owners
            .into_iter()
            .map(move |(pod, link)| {
                shown(pod, link)
                    .saw("address", mac.to_string(), "kernel")
                    .saw("owners on the segment", names.join(", "), "kernel")
                    .about(pod.inode())
            })
            .collect::<Vec<_>>()
    });
    hits.collect()
}

fn segment(end: &End<'_>) -> Option<Segment> {
    let far = end.far?;
    let device = match end.lower() {
        Some(lower) => Some(lower.link),
        None => far.master().filter(|master| master.kind == "bridge"),
    };
    Some((far.state.netns.inode, device?.ifindex))
}

pub static DOWN: Rule = Rule {
    code: "PN-LINK-013",
    severity: Severity::Error,
    sentence: "The bridge that the pod is connected to is down.",
    meaning: "Its ports may be up, but a bridge that is switched off forwards nothing and answers for no gateway.",
    origin: "an operator or a network manager set it down, or a runtime was stopped half-way",
    confirm: "ip link show BRIDGE on the node: no UP among the flags",
    fix: "ip link set BRIDGE up; the routes that went with it come back with the runtime that made it",
    needs: &[],
    follows: &[],
    run: Run::Pod(down),
};

fn down(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.pair()?;
        let bridge = far.master().filter(|master| master.kind == "bridge" && !master.is_up())?;
        Some(
            shown(pod, end.link)
                .saw("its other end", format!("{}, port of {}", far_named(far), bridge.name), "kernel")
                .saw("flags of the bridge", flags(bridge), "kernel")
                .command(far.at(&set_up(bridge))),
        )
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static PORT_THOUGH_ROUTED: Rule = Rule {
    code: "PN-LINK-014",
    severity: Severity::Error,
    sentence: "The node routes to the pod by an interface that was made a port of a bridge.",
    meaning: "What arrives at a port belongs to the bridge and not to the port: the node still sends to the pod by it, \
              but never hears what the pod sends.",
    origin: "another CNI, libvirt or a network manager took the interface into its bridge",
    confirm: "ip -d link show DEV shows a master; ip route get ADDRESS names the interface and not the bridge",
    fix: "ip link set DEV nomaster",
    needs: &[Need::Routes],
    follows: &[],
    run: Run::Pod(port_though_routed),
};

fn port_though_routed(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.pair()?;
        let bridge = far.master().filter(|master| master.kind == "bridge")?;
        let route = route_for_one(far, end)?;
        Some(
            shown(pod, end.link)
                .saw("its other end", format!("{}, port of {}", far_named(far), bridge.name), "kernel")
                .saw(format!("route on {}", far.place()), text(route), "kernel")
                .command(far.at(&format!("ip link set {} nomaster", word(&far.link.name)))),
        )
    };
    pod.ends.iter().filter_map(hit).collect()
}
