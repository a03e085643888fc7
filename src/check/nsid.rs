//! PN-NS: namespaces that the host's own has a number for, and nobody is seen to hold.

use super::facts::Facts;
use super::hit::Hit;
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::netns::NetnsState;

pub static LEAKED: Rule = Rule {
    code: "PN-NS-009",
    severity: Severity::Info,
    sentence: "The host has a number for a network namespace that nobody is seen to hold.",
    meaning: "It is kept alive all the same: by a socket that was opened in it, or a descriptor on its way from one process to \
              another. Its interfaces, addresses and memory stay until that ends. No process, thread, mount or descriptor \
              leads to it, so it cannot be entered.",
    origin: "a program opened a socket in a pod's namespace and did not close it when the pod went (an agent, a monitor, a \
             storage client of the kernel's)",
    confirm: "ip netns list-id; lsns -t net does not show as many",
    fix: "restart the agents that work in the namespaces of pods, one by one, until ip netns list-id shows it no more",
    needs: &[Need::Routes, Need::Everyone],
    follows: &[],
    run: Run::Node(leaked),
};

fn leaked(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host().filter(|host| host.unread_table("nsids").is_none()) else { return Vec::new() };
    // Of a pair whose other end is in one that was not found, the pair tells.
    if facts.node.namespaces.iter().any(leads_to_unknown) {
        return Vec::new();
    }
    host.unexplained_nsids
        .iter()
        .map(|nsid| {
            Hit::new()
                .thing(format!("nsid:{nsid}"))
                .saw("number in the host's namespace", nsid.to_string(), "kernel")
                .saw("processes, threads, mounts and descriptors of it", "none", "proc")
        })
        .collect()
}

fn leads_to_unknown(state: &NetnsState) -> bool {
    let is_known = |nsid: i32| nsid < 0 || state.nsids.iter().any(|known| known.nsid == nsid);
    state.links.iter().filter_map(|link| link.link_netnsid).any(|nsid| !is_known(nsid))
}
