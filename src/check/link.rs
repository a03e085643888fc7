//! PN-LINK: the interfaces of a pod, their other ends and the bridges between. Their MTUs are in `mtu`.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::hit::Hit;
use super::paste::word;
use super::pod::{End, Far, Pod};
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::link::Link;
use crate::model::mac::Mac;
use crate::model::netns::Inode;
use crate::model::peer::Verdict;

pub static NO_OTHER_END: Rule = Rule {
    code: "PN-LINK-001",
    severity: Severity::Error,
    sentence: "The other end of the pod's interface is in no namespace of this node.",
    meaning: "A veth pair is a cable with two plugs. One is in the pod; the other is in a network namespace that no \
              process, mount or descriptor leads to, so whatever the pod sends is received by nobody.",
    origin: "the other end was moved to a namespace that has lost its last process and mount since, or that only a \
             program outside of podnet's sight holds",
    confirm: "podnet exec POD -- ip -d link shows «link-netnsid»; ip netns list-id does not explain it",
    fix: "make the pod anew: its pair cannot be joined again",
    needs: &[Need::Everyone],
    follows: &[],
    run: Run::Pod(no_other_end),
};

fn no_other_end(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let peer = end.peer.as_ref().filter(|peer| peer.verdict == Verdict::None && end.link.is_paired())?;
        // One that is just going away has no id any more.
        let stays = peer.ifindex.is_some() || end.link.link_netnsid.is_some_and(|nsid| nsid >= 0);
        let why = peer.why.clone().filter(|_| stays)?;
        Some(shown(pod, end.link).saw("its other end", why, "kernel"))
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static OTHER_END_LEADS_NOWHERE: Rule = Rule {
    code: "PN-LINK-002",
    severity: Severity::Error,
    sentence: "The other end of the pod's interface is in a namespace from which nothing leads on.",
    meaning: "The pair is whole, but the node's end is not where the node routes: it lies in another namespace, which \
              has no way out itself. The pod talks to an empty room.",
    origin: "the node's end was moved by hand or by another program, or the plugin ran in the wrong namespace",
    confirm: "podnet inspect POD tells which namespace that is and who holds it",
    fix: "move the end back (ip link set DEV netns 1, then up, and its routes), or make the pod anew",
    needs: &[Need::Routes, Need::Rules],
    follows: &[],
    run: Run::Pod(other_end_leads_nowhere),
};

fn other_end_leads_nowhere(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.pair().filter(|far| !far.state.netns.is_host && pod.was_promised_a_network())?;
        let families = [Family::Ipv4, Family::Ipv6];
        let leads_on = families.iter().any(|family| super::pod::leads_on(far.state, *family));
        let moved_back = format!("ip link set {} netns 1", word(&far.link.name));
        (!leads_on)
            .then(|| shown(pod, end.link).saw("its other end", far_named(far), "kernel").command(far.at(&moved_back)))
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static LEFT_OVER_PAIR: Rule = Rule {
    code: "PN-LINK-003",
    severity: Severity::Warning,
    sentence: "A pair made for a pod lies on the node with both of its ends.",
    meaning: "Nobody uses it. The next attempt to set up the same pod may fail, as the name is taken («file exists»).",
    origin: "a CNI plugin was killed between making the pair and moving one end into the pod",
    confirm: "ip -d link show DEV: its peer is a neighbour of its own, and both are down",
    fix: "ip link delete DEV",
    needs: &[],
    follows: &[],
    run: Run::Node(left_over_pair),
};

fn left_over_pair(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let idle = |link: &Link| !link.is_up() && link.master.is_none() && link.addresses.is_empty();
    let hit = |link: &Link| {
        let peer = facts.peer(host.netns.inode, link).filter(|peer| peer.verdict == Verdict::Confirmed)?;
        let other = host.link(peer.ifindex?).filter(|_| peer.netns.is_some_and(|netns| netns.is_host))?;
        let named = is_plugins_name(&link.name) && idle(link) && idle(other);
        // Both may have such a name; one of them is enough to tell of.
        let first = !is_plugins_name(&other.name) || link.ifindex < other.ifindex;
        (named && first).then(|| {
            Hit::new()
                .thing(format!("dev:{}", link.name))
                .saw("both ends on the host, both down", format!("{} and {}", link.name, other.name), "kernel")
                .command(format!("ip link delete {}", word(&link.name)))
        })
    };
    host.links.iter().filter(|link| link.is_paired()).filter_map(hit).collect()
}

/// As Cilium, Calico and the reference plugins make names: a word and hexadecimal digits.
fn is_plugins_name(name: &str) -> bool {
    let digits = |word: &str, count: std::ops::RangeInclusive<usize>| {
        let rest = name.strip_prefix(word).filter(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        rest.is_some_and(|rest| count.contains(&rest.len()))
    };
    digits("lxc", 10..=12) || digits("tmp", 5..=12) || digits("cali", 11..=11) || digits("veth", 7..=8)
}

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
    down.map(|end| {
        shown(pod, end.link)
            .saw("flags", flags(end.link), "kernel")
            .command(pod.inside(&format!("ip link set {} up", word(&end.link.name))))
    })
    .collect()
}

pub static OTHER_END_DOWN: Rule = Rule {
    code: "PN-LINK-005",
    severity: Severity::Error,
    sentence: "The node's end of the pod's interface is down.",
    meaning: "The pod's end shows «lower layer down»: it has no carrier as long as the other end is switched off, and \
              nothing gets through in either direction.",
    origin: "an operator, NetworkManager or systemd-networkd set it down, or another CNI cleaned up too much",
    confirm: "ip link show DEV on the node: no UP among the flags",
    fix: "ip link set DEV up; keep network managers away from the interfaces of pods (unmanaged-devices)",
    needs: &[],
    follows: &["PN-LINK-004"],
    run: Run::Pod(other_end_down),
};

fn other_end_down(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.pair().filter(|far| !far.link.is_up() && end.link.is_up())?;
        let up = format!("ip link set {} up", word(&far.link.name));
        Some(
            shown(pod, end.link)
                .saw("its other end", far_named(far), "kernel")
                .saw("flags of that", flags(far.link), "kernel")
                .command(far.at(&up)),
        )
    };
    pod.ends.iter().filter_map(hit).collect()
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
        let up = format!("ip link set {} up", word(&far.link.name));
        let hit = shown(pod, end.link).saw("the device below", far_named(far), "kernel").saw(
            "flags of that",
            flags(far.link),
            "kernel",
        );
        Some(if far.link.is_up() { hit } else { hit.command(far.at(&up)) })
    };
    pod.ends.iter().filter_map(hit).collect()
}

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

pub static BRIDGE_DOWN: Rule = Rule {
    code: "PN-LINK-013",
    severity: Severity::Error,
    sentence: "The bridge that the pod is connected to is down.",
    meaning: "Its ports may be up, but a bridge that is switched off forwards nothing and answers for no gateway.",
    origin: "an operator or a network manager set it down, or a runtime was stopped half-way",
    confirm: "ip link show BRIDGE on the node: no UP among the flags",
    fix: "ip link set BRIDGE up; the routes that went with it come back with the runtime that made it",
    needs: &[],
    follows: &[],
    run: Run::Pod(bridge_down),
};

fn bridge_down(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.pair()?;
        let bridge = far.master().filter(|master| master.kind == "bridge" && !master.is_up())?;
        let up = format!("ip link set {} up", word(&bridge.name));
        Some(
            shown(pod, end.link)
                .saw("its other end", format!("{}, port of {}", far_named(far), bridge.name), "kernel")
                .saw("flags of the bridge", flags(bridge), "kernel")
                .command(far.at(&up)),
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
        let route = super::route::route_for_one(far, end)?;
        Some(
            shown(pod, end.link)
                .saw("its other end", format!("{}, port of {}", far_named(far), bridge.name), "kernel")
                .saw(format!("route on {}", far.place()), super::route::text(route), "kernel")
                .command(far.at(&format!("ip link set {} nomaster", word(&far.link.name)))),
        )
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

pub static SEGMENTS_TOO_LARGE: Rule = Rule {
    code: "PN-LINK-016",
    severity: Severity::Warning,
    sentence: "The two ends of the pod's interface take segments of different greatest size.",
    meaning: "With BIG TCP one end builds segments beyond 64 KiB that the other was not told of. They are cut up in \
              software at best; programs that read whole packets see lengths they do not expect.",
    origin: "BIG TCP was switched on or off after the pod was made, and only one end followed",
    confirm: "ip -d link show DEV on both ends: gso_max_size",
    fix: "make the pod anew, or set gso_max_size and gro_max_size of both ends alike",
    needs: &[],
    follows: &[],
    run: Run::Pod(segments_too_large),
};

/// Without BIG TCP nothing is larger (`GSO_LEGACY_MAX_SIZE`).
const LEGACY_SEGMENT: u32 = 65536;

fn segments_too_large(pod: &Pod<'_>) -> Vec<Hit> {
    let size = |link: &Link| link.offload.as_ref().and_then(|offload| offload.gso_max_size);
    let hit = |end: &End<'_>| {
        let far = end.pair()?;
        let (own, other) = (size(end.link)?, size(far.link)?);
        (own != other && own.max(other) > LEGACY_SEGMENT).then(|| {
            shown(pod, end.link).saw("gso_max_size in the pod", own.to_string(), "kernel").saw(
                format!("gso_max_size of {}", far_named(far)),
                other.to_string(),
                "kernel",
            )
        })
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
                "CNI cache",
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

fn flags(link: &Link) -> String {
    link.flags.join(",")
}

/// The kernel takes up to a second to call a link running whose carrier is there (linkwatch).
fn has_no_carrier(link: &Link) -> bool {
    let has = |flag: &str| link.flags.iter().any(|each| each == flag);
    has("NO-CARRIER") && !has("LOWER_UP")
}
