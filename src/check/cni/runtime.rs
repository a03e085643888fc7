//! PN-CNI: what the runtime itself says of its network.

use super::runs_pods;
use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::pod::Pod;
use crate::check::rule::{Need, Rule, Run, Severity};

pub static NOT_READY: Rule = Rule {
    code: "PN-CNI-021",
    severity: Severity::Error,
    sentence: "The container runtime says that its network is not ready.",
    meaning: "The kubelet goes by that: the node becomes NotReady, and pods stay ContainerCreating.",
    origin: "the runtime has loaded no configuration (another directory, a file that it cannot use, an inotify limit), or \
             a plugin of its network answers STATUS with an error: runtimes of CNI 1.1 ask that themselves. check runs no \
             plugin, so it is the runtime's word that is told",
    confirm: "crictl info: NetworkReady; podnet cni status asks the plugins",
    fix: "mend what the message tells; podnet status names the file that should be in force",
    needs: &[Need::NetworkStatus],
    follows: &["PN-CNI-007", "PN-CNI-010", "PN-CNI-011", "PN-CNI-012", "PN-CNI-017"],
    run: Run::Host(not_ready),
};

fn not_ready(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    // A runtime that runs no pods needs no network for them.
    let bad = facts.node.network_status.iter().filter(|status| !status.ready && runs_pods(facts));
    bad.map(|status| {
        Hit::new()
            .saw(format!("NetworkReady by {}", status.runtime), "false", "cri")
            .saw_if("its reason", status.reason.clone(), "cri")
            .saw_if("its message", status.message.clone(), "cri")
    })
    .collect()
}
