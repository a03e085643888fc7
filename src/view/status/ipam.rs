//! The addresses for pods, and how many are left.

use super::{Part, PartState};
use crate::model::agent::Fill;
use crate::model::count::counted;
use crate::model::node::Node;

/// Of a hundred: from here on pods will soon find no address.
const NEARLY_FULL: u64 = 90;

/// By the agent, which rules where it is; else by the stores of the address plugins.
pub(super) fn part(node: &Node) -> Part {
    let mut part = Part::new("ipam");
    match node.agent.as_ref().and_then(|agent| agent.ipam.as_ref()) {
        Some(told) => {
            told.fills.iter().for_each(|fill| filled(&mut part, fill));
            if told.fills.is_empty() {
                part.fact("held", Some(counted(told.allocations.len(), "address", "addresses")));
            }
        }
        None => {
            for store in &node.address_stores {
                for network in &store.networks {
                    let held = counted(network.held.len(), "address", "addresses");
                    part.fact(&store.kind, Some(format!("{} {held} held", network.name)));
                }
            }
        }
    }
    if part.facts.is_empty() {
        part.state = PartState::Absent;
        part.why.push("no agent, and no store of an address plugin".to_owned());
    }
    let operator = node.kubernetes.as_ref().and_then(|told| told.cilium_node.as_ref()?.operator_error.as_ref());
    if let Some(error) = operator {
        part.degrade(format!("Cilium's operator: {error}"));
    }
    part
}

fn filled(part: &mut Part, fill: &Fill) {
    let family = fill.family;
    let cidrs: Vec<String> = fill.cidrs.iter().map(ToString::to_string).collect();
    let from = if cidrs.is_empty() { String::new() } else { format!(" from {}", cidrs.join(", ")) };
    part.fact(&family.to_string(), Some(format!("{} of {} used{from}", fill.used, fill.size)));
    let free = fill.size.saturating_sub(fill.used);
    if free == 0 && fill.size > 0 {
        part.degrade(format!("no {family} address is free: the next pod gets none"));
    } else if fill.used.saturating_mul(100) >= fill.size.saturating_mul(NEARLY_FULL) {
        let (one, many) = (format!("{family} address is free"), format!("{family} addresses are free"));
        part.degrade(format!("only {}", counted(free, &one, &many)));
    }
}
