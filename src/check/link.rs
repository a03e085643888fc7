//! PN-LINK: the interfaces of a pod themselves. Their other ends are in `peer`, the bridges between in `bridge`, their
//! MTUs in `mtu`, what is sent in one piece in `offload`.

use super::hit::Hit;
use super::paste::word;
use super::pod::{End, Far, Pod};
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::link::Link;
use crate::model::netns::Inode;

pub static DOWN: Rule = Rule {
    code: "PN-LINK-004",
    severity: Severity::Error,
    sentence: "The pod's interface is down.",
    meaning: "It is there, but switched off: nothing is sent or received by it, and its routes do not count.",
    origin: "something in the pod, or an operator, set it down; or the plugin did not come to setting it up",
    confirm: "podnet exec POD -- ip link: no UP among the flags",
    fix: "ip link set DEV up in the pod; routes that went with it must be added again",
    needs: &[],
    follows: &[],
    run: Run::Pod(down),
};

fn down(pod: &Pod<'_>) -> Vec<Hit> {
    let meant = |end: &&End<'_>| {
        let addressed = end.link.addresses.iter().any(|address| address.scope == "global");
        let promised = pod.attachments.iter().any(|attachment| attachment.ifname == end.link.name);
        addressed || promised || (pod.has_runtime_networks() && pod.ends.len() == 1)
    };
    let down = pod.ends.iter().filter(|end| !end.link.is_up()).filter(meant);
    down.map(|end| shown(pod, end.link).saw("flags", flags(end.link), "kernel").command(pod.inside(&set_up(end.link))))
        .collect()
}

pub static LOWER_DEVICE_DOWN: Rule = Rule {
    code: "PN-LINK-006",
    severity: Severity::Error,
    sentence: "The device below the pod's interface has no link.",
    meaning: "A macvlan, ipvlan or VLAN sends by a device of the node, and that is down or has no carrier.",
    origin: "the device was set down, its cable or the bridge port at its other end is",
    confirm: "ip link show DEV on the node: no UP, or NO-CARRIER",
    fix: "ip link set DEV up; where it is up already, look at what it is plugged into",
    needs: &[],
    follows: &["PN-LINK-004"],
    run: Run::Pod(lower_device_down),
};

fn lower_device_down(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.lower().filter(|far| !far.link.is_up() || has_no_carrier(far.link))?;
        let hit = shown(pod, end.link).saw("the device below", far_named(far), "kernel").saw(
            "flags of that",
            flags(far.link),
            "kernel",
        );
        Some(if far.link.is_up() { hit } else { hit.command(far.at(&set_up(far.link))) })
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static COUNTERS_GROW: Rule = Rule {
    code: "PN-LINK-012",
    severity: Severity::Warning,
    sentence: "Errors or drops are being counted on the pod's interface right now.",
    meaning: "Packets are lost between the pod and the node, not somewhere far away.",
    origin: "the pod reads its packets more slowly than they come, a program on the interface drops them, or a frame \
             does not fit the MTU of the other end",
    confirm: "podnet exec POD -- ip -s link, twice",
    fix: "find who drops: tc -s filter and qdisc on both ends, the MTU of both ends, softnet_stat of the node",
    needs: &[Need::Earlier],
    follows: &[
        "PN-LINK-001",
        "PN-LINK-002",
        "PN-LINK-004",
        "PN-LINK-005",
        "PN-LINK-006",
        "PN-LINK-007",
        "PN-LINK-013",
        "PN-LINK-014",
        "PN-LINK-018",
    ],
    run: Run::Pod(counters_grow),
};

fn counters_grow(pod: &Pod<'_>) -> Vec<Hit> {
    let Some(earlier) = pod.facts.earlier else { return Vec::new() };
    let then = |inode: Inode, link: &Link| {
        let state = earlier.namespaces.iter().find(|state| state.netns.inode == inode)?;
        state.link(link.ifindex).filter(|old| old.name == link.name && old.mac == link.mac)?.statistics
    };
    let grown = |inode: Inode, link: &Link| {
        let (now, then) = (link.statistics?, then(inode, link)?);
        // Received and dropped is also what no protocol here wants, as the bridge's own: that is everywhere.
        let counters = [
            ("rx errors", then.rx_errors, now.rx_errors),
            ("tx errors", then.tx_errors, now.tx_errors),
            ("tx dropped", then.tx_dropped, now.tx_dropped),
        ];
        let grown: Vec<String> = counters
            .iter()
            .filter(|(_, then, now)| now > then)
            .map(|(name, then, now)| format!("{name} {then} → {now}"))
            .collect();
        (!grown.is_empty()).then(|| grown.join(", "))
    };
    let hit = |end: &End<'_>| {
        let own = grown(pod.inode(), end.link);
        let far = end.pair().and_then(|far| Some((far, grown(far.state.netns.inode, far.link)?)));
        if own.is_none() && far.is_none() {
            return None;
        }
        let hit = shown(pod, end.link).saw_if("counters in the pod", own, "kernel");
        Some(match far {
            Some((far, counters)) => hit.saw(format!("counters of {}", far_named(far)), counters, "kernel"),
            None => hit,
        })
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static NO_QUEUE_LENGTH: Rule = Rule {
    code: "PN-LINK-015",
    severity: Severity::Warning,
    sentence: "The pod's interface has a queue of length 0, which drops what it should hold back.",
    meaning: "A queueing discipline takes its length from the interface's txqueuelen. With 0 it can keep nothing, and \
              each packet that cannot leave at once is lost.",
    origin: "txqueuelen was set to 0 for an interface without a queue, and a queue was put on it since",
    confirm: "ip link show DEV: qlen 0 beside a qdisc that is not noqueue",
    fix: "ip link set DEV txqueuelen 1000",
    needs: &[],
    follows: &[],
    run: Run::Pod(no_queue_length),
};

fn no_queue_length(pod: &Pod<'_>) -> Vec<Hit> {
    // Those that take their limit from the interface.
    let takes = |qdisc: &String| matches!(qdisc.as_str(), "pfifo" | "bfifo" | "pfifo_fast" | "gred" | "plug");
    let empty = |link: &Link| link.tx_queue_length == Some(0) && link.qdisc.as_ref().is_some_and(takes);
    let evidence = |link: &Link| format!("qdisc {}, txqueuelen 0", link.qdisc.clone().unwrap_or_default());
    let longer = |link: &Link| format!("ip link set {} txqueuelen 1000", word(&link.name));
    let hit = |end: &End<'_>| {
        if empty(end.link) {
            let hit = shown(pod, end.link).saw("its queue", evidence(end.link), "kernel");
            return Some(hit.command(pod.inside(&longer(end.link))));
        }
        let far = end.pair().filter(|far| empty(far.link))?;
        let hit = shown(pod, end.link).saw("its other end", far_named(far), "kernel");
        Some(hit.saw("queue of that", evidence(far.link), "kernel").command(far.at(&longer(far.link))))
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static NO_ARP: Rule = Rule {
    code: "PN-LINK-017",
    severity: Severity::Error,
    sentence: "The pod's interface does not ask for its gateway's MAC address.",
    meaning: "ARP is switched off on it, so the kernel addresses each frame to the interface's own MAC, which the other \
              end takes for somebody else's.",
    origin: "«arp off» was set on it, by hand or by a program that meant a tunnel",
    confirm: "podnet exec POD -- ip link: NOARP among the flags",
    fix: "ip link set DEV arp on, in the pod",
    needs: &[Need::Routes, Need::Rules],
    follows: &["PN-LINK-004"],
    run: Run::Pod(no_arp),
};

fn no_arp(pod: &Pod<'_>) -> Vec<Hit> {
    let Some(out) = pod.way_out(Family::Ipv4) else { return Vec::new() };
    let link = out.end.link;
    let asks = |link: &Link| !link.flags.iter().any(|flag| flag == "NOARP");
    // A netkit pair in layer 3 mode has no MAC addresses, and needs none.
    let Some(gateway) = out.gateway.filter(|_| link.kind == "veth" && !asks(link)) else { return Vec::new() };
    let hit = shown(pod, link).saw("flags", flags(link), "kernel").saw("gateway", gateway.to_string(), "kernel");
    vec![hit.command(pod.inside(&format!("ip link set {} arp on", word(&link.name))))]
}

pub static MISSING: Rule = Rule {
    code: "PN-LINK-019",
    severity: Severity::Error,
    sentence: "The interface that was made for the pod is not there any more.",
    meaning: "The network was set up, and those who did so still believe in it; the pod has lost it since, and with it \
              every connection.",
    origin: "it was deleted in the pod or at its other end, or the pod was moved to another namespace",
    confirm: "podnet exec POD -- ip link",
    fix: "make the pod anew (kubectl delete pod, docker restart): an interface cannot be given back its state",
    needs: &[],
    follows: &[],
    run: Run::Pod(missing),
};

fn missing(pod: &Pod<'_>) -> Vec<Hit> {
    let here = |name: &str| pod.state.link_named(name).is_some();
    let promised = pod.attachments.iter().filter(|attachment| {
        let made = attachment.interfaces.iter().any(|made| made.in_sandbox && made.name == attachment.ifname);
        made && !here(&attachment.ifname)
    });
    let mut hits: Vec<Hit> = promised
        .map(|attachment| {
            let address = attachment.addresses.first().map(|address| address.address.to_string());
            Hit::new().saw(format!("interfaces in {}", pod.place()), names(&pod.state.links), "kernel").saw(
                "made by ADD",
                [Some(attachment.ifname.clone()), address].into_iter().flatten().collect::<Vec<_>>().join("  "),
                attachment.kept_by.word(),
            )
        })
        .collect();
    let runtime = pod.workloads.iter().find(|workload| !workload.networks.is_empty());
    if let Some(workload) = runtime.filter(|_| pod.ends.is_empty() && hits.is_empty()) {
        let network = workload.networks.iter().map(|network| network.name.as_str()).collect::<Vec<_>>().join(", ");
        hits.push(Hit::new().saw(format!("interfaces in {}", pod.place()), names(&pod.state.links), "kernel").saw(
            "joined to",
            network,
            workload.runtime.as_deref().unwrap_or("runtime"),
        ));
    }
    hits
}

fn names(links: &[Link]) -> String {
    let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
    names.join(", ")
}

/// A hit that says which interface it is about.
pub(super) fn shown(pod: &Pod<'_>, link: &Link) -> Hit {
    Hit::new().saw(format!("interface in {}", pod.place()), format!("{} {}", link.name, link.ifindex), "kernel")
}

/// The other end, and where it is.
pub(super) fn far_named(far: Far<'_>) -> String {
    format!("{} {} on {}", far.link.name, far.link.ifindex, far.place())
}

pub(super) fn set_up(link: &Link) -> String {
    format!("ip link set {} up", word(&link.name))
}

pub(super) fn flags(link: &Link) -> String {
    link.flags.join(",")
}

/// The kernel takes up to a second to call a link running whose carrier is there (linkwatch).
fn has_no_carrier(link: &Link) -> bool {
    let has = |flag: &str| link.flags.iter().any(|each| each == flag);
    has("NO-CARRIER") && !has("LOWER_UP")
}
