//! The steps, one file each, in the order of Cilium's present plugin: a full pool fails before anything exists.
//! With an agent some have another in their place.

mod agent;
mod agent_endpoint;
mod agent_ipam;
mod configure;
mod endpoint;
mod host;
mod ipam;
mod masquerade;
mod netconf;
mod netns;
mod settings;
mod vacancy;
mod verify;
mod veth;

use super::record::Record;
use super::step::Step;
use super::wish::Wish;

/// Every step that any wish can need, in order.
pub const ALL: [&dyn Step; 14] = [
    &netconf::Netconf,
    &agent::Agent,
    &netns::Netns,
    &vacancy::Vacancy,
    &ipam::Ipam,
    &agent_ipam::AgentIpam,
    &veth::Veth,
    &settings::Settings,
    &configure::Configure,
    &host::Host,
    &masquerade::Masquerade,
    &endpoint::Endpoint,
    &agent_endpoint::AgentEndpoint,
    &verify::Verify,
];

/// Those that a wish needs.
pub fn of(wish: &Wish) -> Vec<&'static dyn Step> {
    const OWN: [&str; 5] = ["netconf", "ipam", "host", masquerade::NAME, "endpoint"];
    const AGENTS: [&str; 3] = ["agent", "agent-ipam", "agent-endpoint"];
    let needed = |step: &&dyn Step| match &wish.agent {
        Some(_) => !OWN.contains(&step.name()),
        None => !AGENTS.contains(&step.name()) && (wish.masquerade || step.name() != masquerade::NAME),
    };
    ALL.into_iter().filter(needed).collect()
}

/// How a person asks the agent the same.
fn curl(record: &Record) -> String {
    let socket = record.wish.agent.as_ref().map(|agent| agent.socket.display().to_string()).unwrap_or_default();
    format!("curl --unix-socket {socket}")
}

/// The step of that name, as journals name them.
pub fn named(name: &str) -> Option<&'static dyn Step> {
    ALL.into_iter().find(|step| step.name() == name)
}
