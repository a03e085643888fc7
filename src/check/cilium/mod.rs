//! PN-CIL: what the Cilium agent and its datapath believe of a pod beside what the kernel and the runtimes show.
//!
//! The agent says «ready» and «OK» of endpoints whose link, program or route is gone: it looks rarely. Where the kernel
//! says something else, the kernel is right.

pub mod agent;
pub mod drops;
pub mod endpoint;
pub mod ipam;
pub mod map;
pub mod node;
pub mod program;
pub mod state;

use jiff::Timestamp;

use super::facts::Facts;
use super::hit::Hit;
use super::pod::{End, Pod};
use crate::model::agent::Controller;
use crate::model::endpoint::{Endpoint, ToldBy};

const RESTART: &str = "restart the agent on this node: kubectl -n kube-system delete pod of it; or make the pod anew";
pub(super) const AGENT: &str = crate::model::agent::SOURCE;

/// Whose word it is.
fn source(endpoint: &Endpoint) -> &'static str {
    match endpoint.told_by {
        ToldBy::Agent => AGENT,
        ToldBy::StateDirectory => "cilium state",
        ToldBy::Map => "cilium maps",
    }
}

/// Whether the agent told all of its endpoints; then one that is missing is missing.
fn told_all(facts: &Facts<'_>) -> bool {
    facts.node.agent.as_ref().is_some_and(|agent| agent.problems.is_empty())
}

/// When something last happened to it.
pub(super) fn changed(endpoint: &Endpoint) -> Option<Timestamp> {
    endpoint.log.first().and_then(|change| change.timestamp)
}

/// Whether nothing happened to any endpoint of the agent's for some while, as it does when that starts.
pub(super) fn is_settled(facts: &Facts<'_>) -> bool {
    let of_agent = || facts.node.endpoints.iter().filter(|endpoint| endpoint.told_by == ToldBy::Agent);
    of_agent().next().is_some() && of_agent().all(|endpoint| facts.is_old(changed(endpoint)))
}

fn is_past_grace(facts: &Facts<'_>, at: Timestamp) -> bool {
    facts.node.collected_at.duration_since(at) >= facts.grace
}

/// `lxc` and twelve hexadecimal digits, as the plugin names the host's end.
fn is_ciliums(name: &str) -> bool {
    let digits = name.strip_prefix("lxc");
    digits.is_some_and(|rest| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The pod's endpoint, by what says most: its sandbox, the proven host's end, its name, its address.
pub(super) fn of<'a>(pod: &Pod<'a>) -> Option<&'a Endpoint> {
    let all = || pod.facts.node.endpoints.iter().filter(|endpoint| !endpoint.is_host());
    let by_sandbox = || all().find(|one| one.container_id.as_deref().is_some_and(|id| pod.is_container(id)));
    let leads = |one: &Endpoint| {
        pod.ends.iter().filter_map(End::pair).any(|far| {
            far.state.netns.is_host
                && one.ifindex == Some(far.link.ifindex)
                && one.interface.as_ref().is_none_or(|name| *name == far.link.name)
        })
    };
    let by_interface = || all().find(|one| leads(one));
    let named = pod.workloads.iter().find_map(|workload| workload.pod.as_ref());
    let by_name = || {
        let named = named?;
        all().find(|one| one.pod.as_ref().is_some_and(|pod| pod.namespace == named.namespace && pod.name == named.name))
    };
    let by_address = || all().find(|one| pod.addresses().any(|(_, own)| one.addresses.contains(&own.address)));
    by_sandbox().or_else(by_interface).or_else(by_name).or_else(by_address)
}

/// Its endpoint, by the agent, where the agent's own plugin made the pair: chained behind another, MACs and routes are
/// the other's.
fn managed<'a>(pod: &Pod<'a>) -> Option<&'a Endpoint> {
    of(pod).filter(|endpoint| endpoint.told_by == ToldBy::Agent && !is_chained(pod.facts))
}

fn is_chained(facts: &Facts<'_>) -> bool {
    let mode = facts.node.agent.as_ref().and_then(|agent| agent.mode.chaining.as_deref());
    mode.is_some_and(|mode| !matches!(mode, "none" | "portmap" | ""))
}

/// The end of the pod whose other one is on the host, and what that is called.
fn host_end<'p, 'a>(pod: &'p Pod<'a>) -> Option<(&'p End<'a>, &'a str)> {
    let on_host = |end: &'p End<'a>| {
        let far = end.pair().filter(|far| far.state.netns.is_host)?;
        Some((end, far.link.name.as_str()))
    };
    let ends = || pod.ends.iter().filter_map(on_host);
    ends().find(|(_, name)| is_ciliums(name)).or_else(|| ends().next())
}

/// A hit about the pod of an endpoint; about the endpoint itself where it has none here.
pub(super) fn about(endpoint: &Endpoint, pods: &[Pod<'_>]) -> Hit {
    match pods.iter().find(|pod| of(pod).is_some_and(|own| own.id == endpoint.id)) {
        Some(pod) => Hit::new().about(pod.inode()),
        None => Hit::new().thing(format!("ep:{}", endpoint.id)).saw_if(
            "pod of the endpoint",
            endpoint.called(),
            source(endpoint),
        ),
    }
}

/// Once or twice is nothing: it is why there are controllers.
fn keeps_failing(facts: &Facts<'_>, controller: &Controller) -> bool {
    const OFTEN: u64 = 3;
    controller.consecutive_failures >= OFTEN && controller.last_success.is_none_or(|at| facts.is_old(Some(at)))
}
