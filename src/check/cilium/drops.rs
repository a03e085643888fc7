//! What the datapath drops, by its own count, while it is looked at.

use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::pod::Pod;
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::datapath::Drops;

pub static GROW: Rule = Rule {
    code: "PN-CIL-024",
    severity: Severity::Warning,
    sentence: "Cilium drops packets for a reason that no policy and no pod can give.",
    meaning: "Something of the datapath itself is missing or full. Which pod it hits the counters do not tell: \
              cilium-dbg monitor --type drop does.",
    origin: "a program or map entry is missing, a table is full, or a route that the datapath needs is not there",
    confirm: "podnet status; cilium-dbg bpf metrics list; cilium-dbg monitor --type drop",
    fix: "by the reason: see the other findings about Cilium; else restart the agent on this node",
    needs: &[Need::Datapath, Need::Earlier],
    follows: &["PN-CIL-013", "PN-CIL-018", "PN-CIL-022"],
    run: Run::Host(grow),
};

/// Reasons that tell of a fault of the node, by bpf/lib/drop_reasons.h. The others are a policy's, a pod's or a
/// sender's doing, and every node has them.
const FAULTS: [(u8, &str); 22] = [
    (140, "missed tail call"),
    (141, "error writing to packet"),
    (147, "error retrieving tunnel key"),
    (155, "connection tracking map insertion failed"),
    (160, "no tunnel endpoint"),
    (163, "unknown connection tracking state"),
    (164, "local host unreachable"),
    (167, "no mapping for NAT masquerade"),
    (169, "FIB lookup failed"),
    (171, "invalid identity"),
    (172, "unknown sender"),
    (178, "socket lookup failed"),
    (179, "socket assign failed"),
    (184, "failed update or lookup of a buffer"),
    (190, "no connection tracking map"),
    (191, "no NAT map"),
    (194, "no egress gateway"),
    (197, "no node ID"),
    (202, "host datapath not ready"),
    (203, "endpoint policy program not available"),
    (204, "no egress IP"),
    (206, "no device"),
];
/// A packet now and then is a race with a pod that goes away.
const MANY: u64 = 10;

fn grow(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let datapath = |node: &'_ crate::model::node::Node| node.datapath.as_ref().map(|datapath| datapath.drops.clone());
    let Some((earlier, now)) = facts.earlier.and_then(datapath).zip(datapath(facts.node)) else { return Vec::new() };
    let before = |drops: &Drops| {
        let same = earlier.iter().find(|other| (other.reason, &other.direction) == (drops.reason, &drops.direction));
        same.map_or(0, |other| other.packets)
    };
    let grown = |drops: &Drops| {
        let (_, name) = FAULTS.iter().find(|(reason, _)| *reason == drops.reason)?;
        let more = drops.packets.saturating_sub(before(drops));
        (more >= MANY).then(|| (format!("{name} ({}), {}", drops.reason, drops.direction), more))
    };
    let hit = |(reason, more): (String, u64)| {
        Hit::new().saw(reason, format!("{more} more than at the first look"), "cilium_metrics")
    };
    now.iter().filter_map(grown).map(hit).collect()
}
