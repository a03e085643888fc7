//! PN-LINK: what an interface takes in one piece (GSO, GRO).

use super::hit::Hit;
use super::link::{far_named, shown};
use super::paste::word;
use super::pod::{End, Pod};
use super::route::{FAMILIES, Onward, onward};
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::link::Link;

/// Without BIG TCP nothing is larger (`GSO_LEGACY_MAX_SIZE`).
const LEGACY_SEGMENT: u32 = 65536;

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

fn segments_too_large(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.pair()?;
        let (own, other) = (gso(end.link, Family::Ipv6)?, gso(far.link, Family::Ipv6)?);
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

pub static SEGMENTS_TOO_SMALL: Rule = Rule {
    code: "PN-LINK-020",
    severity: Severity::Warning,
    sentence: "The pod's interface takes hardly more than one packet in one piece.",
    meaning: "TCP hands over up to 64 KiB at a time, to be cut into packets as late as possible. Here it must cut them at \
              once, and each packet goes through the whole stack by itself: several times the work for the same data.",
    origin: "gso_max_size was lowered to work around a fault of a driver or of an offload, and left so",
    confirm: "ip -d link show DEV on both ends: gso_max_size 65536 is usual",
    fix: "ip link set DEV gso_max_size 65536 gso_ipv4_max_size 65536",
    needs: &[],
    follows: &[],
    run: Run::Pod(segments_too_small),
};

fn segments_too_small(pod: &Pod<'_>) -> Vec<Hit> {
    /// Fewer packets than this in one piece, and there is little left of what it saves.
    const PACKETS: u32 = 4;
    let small = |link: &Link| {
        let size = gso(link, Family::Ipv4).into_iter().chain(gso(link, Family::Ipv6)).min()?;
        (size < LEGACY_SEGMENT.min(link.mtu.saturating_mul(PACKETS))).then_some(size)
    };
    let larger = |link: &Link| {
        let knows_ipv4 = link.offload.as_ref().is_some_and(|offload| offload.gso_ipv4_max_size.is_some());
        let ipv4 = if knows_ipv4 { format!(" gso_ipv4_max_size {LEGACY_SEGMENT}") } else { String::new() };
        format!("ip link set {} gso_max_size {LEGACY_SEGMENT}{ipv4}", word(&link.name))
    };
    let hit = |end: &End<'_>| {
        if let Some(size) = small(end.link) {
            let hit = shown(pod, end.link).saw("gso_max_size", size.to_string(), "kernel");
            let hit = hit.saw("mtu", end.link.mtu.to_string(), "kernel");
            return Some(hit.command(pod.inside(&larger(end.link))));
        }
        let far = end.pair()?;
        let size = small(far.link)?;
        let hit = shown(pod, end.link).saw(format!("gso_max_size of {}", far_named(far)), size.to_string(), "kernel");
        Some(hit.saw("mtu of that", far.link.mtu.to_string(), "kernel").command(far.at(&larger(far.link))))
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static WAY_OUT_TAKES_LESS: Rule = Rule {
    code: "PN-LINK-021",
    severity: Severity::Warning,
    sentence: "The pod sends larger pieces than the node's own interface takes.",
    meaning: "What BIG TCP builds beyond 64 KiB must be cut up in software before it leaves the node, which costs more than \
              was saved; some drivers drop it.",
    origin: "BIG TCP was switched on for the pods and not for the node's interface, or its driver does not take it",
    confirm: "ip -d link show DEV: gso_max_size and tso_max_size of the node's interface, beside those of the pod's",
    fix: "ip link set DEV gso_max_size N gro_max_size N on the node's interface, up to its tso_max_size; else switch BIG TCP \
          off (Cilium: enable-ipv4-big-tcp, enable-ipv6-big-tcp)",
    needs: &[Need::Routes, Need::Rules],
    follows: &["PN-LINK-016"],
    run: Run::Pod(way_out_takes_less),
};

fn way_out_takes_less(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let Onward { far, out, route, .. } = onward(pod, family)?;
        let device = far.state.link(route.next_hops.first()?.ifindex?)?;
        let (own, taken) = (gso(out.end.link, family)?, gso(device, family)?);
        (own > LEGACY_SEGMENT && own > taken).then(|| {
            shown(pod, out.end.link).saw(format!("{} in the pod", setting(family)), own.to_string(), "kernel").saw(
                format!("{} of {} on {}", setting(family), device.name, far.place()),
                taken.to_string(),
                "kernel",
            )
        })
    };
    FAMILIES.into_iter().find_map(hit).into_iter().collect()
}

/// What it builds, or passes on, in one piece. Before Linux 6.3 there was no BIG TCP by IPv4.
fn gso(link: &Link, family: Family) -> Option<u32> {
    let offload = link.offload.as_ref()?;
    match family {
        Family::Ipv4 => offload.gso_ipv4_max_size.or(offload.gso_max_size.map(|size| size.min(LEGACY_SEGMENT))),
        Family::Ipv6 => offload.gso_max_size,
    }
}

fn setting(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "gso_ipv4_max_size",
        Family::Ipv6 => "gso_max_size",
    }
}
