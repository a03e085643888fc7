//! PN-CNI: what CNI made of a pod, and whether the runtime can make the next one.

pub mod attachment;
pub mod network;
pub mod runtime;
pub mod several;

use super::facts::Facts;
use crate::model::network::NetworkReader;

const CONFIGURATION: &str = "CNI configuration";

/// Whether this machine runs pods; elsewhere an empty directory is nobody's fault.
fn runs_pods(facts: &Facts<'_>) -> bool {
    let by_runtime = facts.node.workloads.iter().any(|workload| workload.pod.is_some());
    by_runtime || facts.node.attachments.iter().flatten().any(|attachment| attachment.pod.is_some())
}

/// Of a machine that runs pods.
fn readers<'a>(facts: &'a Facts<'a>) -> impl Iterator<Item = &'a NetworkReader> {
    let runs_pods = runs_pods(facts);
    facts.node.networks.iter().flatten().filter(move |_| runs_pods)
}
