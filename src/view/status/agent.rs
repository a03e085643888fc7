//! The Cilium agent.

use super::Part;
use crate::model::agent::{Agent, Condition, Mode};
use crate::model::endpoint::Endpoint;
use crate::model::node::Node;
use crate::model::source::Asked;

pub(super) fn part(node: &Node, asked: &Asked) -> Part {
    let name = "cilium agent";
    let Some(agent) = &node.agent else { return Part::silent(name, asked) };
    let mut part = Part::new(name);
    part.fact("version", agent.version.as_ref());
    mode(&mut part, &agent.mode);
    endpoints(&mut part, &node.endpoints);
    let conditions: [(&str, &Option<Condition>); 5] = [
        ("health", &agent.health),
        ("Kubernetes", &agent.kubernetes),
        ("kvstore", &agent.kvstore),
        ("its CNI file", &agent.cni_file),
        ("other nodes", &agent.cluster_health),
    ];
    for (what, condition) in conditions {
        if let Some(condition) = condition.as_ref().filter(|condition| condition.is_bad()) {
            let message = condition.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            part.degrade(format!("{what} {}{message}", condition.state));
        }
    }
    failing(&mut part, agent);
    for problem in &agent.problems {
        part.degrade(format!("not read: {problem}"));
    }
    part
}

fn mode(part: &mut Part, mode: &Mode) {
    let routing = match (&mode.routing, &mode.tunnel_protocol) {
        (Some(routing), Some(protocol)) => Some(format!("{routing} {protocol}")),
        (routing, protocol) => routing.clone().or_else(|| protocol.clone()),
    };
    let masquerade =
        mode.masquerade.as_ref().map(|masquerade| match (masquerade.ipv4 || masquerade.ipv6, &masquerade.by) {
            (false, _) => "off".to_owned(),
            (true, by) => by.clone().unwrap_or_else(|| "on".to_owned()),
        });
    part.fact("datapath", mode.datapath.as_ref());
    part.fact("routing", routing);
    part.fact("masquerade", masquerade);
    part.fact("kube-proxy replacement", mode.kube_proxy_replacement.as_ref());
    part.fact("host routing", mode.host_routing.as_ref());
    part.fact("ipam", mode.ipam.as_ref());
    part.fact("chaining", mode.chaining.as_ref().filter(|chaining| *chaining != "none"));
    part.fact("encryption", mode.encryption.as_ref().filter(|encryption| *encryption != "Disabled"));
}

/// The states that an endpoint does not leave by itself are the ones that matter.
fn endpoints(part: &mut Part, all: &[Endpoint]) {
    let ready = all.iter().filter(|endpoint| endpoint.state.as_deref() == Some("ready")).count();
    part.fact("endpoints", Some(format!("{ready} of {} ready", all.len())));
    let stuck = |endpoint: &&Endpoint| matches!(endpoint.state.as_deref(), Some("not-ready" | "invalid"));
    let names: Vec<String> = all
        .iter()
        .filter(stuck)
        .map(|endpoint| {
            endpoint.called().map_or_else(|| endpoint.id.to_string(), |name| format!("{} {name}", endpoint.id))
        })
        .collect();
    if !names.is_empty() {
        part.degrade(format!("endpoints not ready: {}", names.join(", ")));
    }
}

fn failing(part: &mut Part, agent: &Agent) {
    for controller in agent.controllers.iter().filter(|controller| controller.is_failing()) {
        let error = controller.last_error.as_deref().unwrap_or("without a word");
        let times = controller.consecutive_failures;
        part.degrade(format!("{} failed {times} times in a row: {error}", controller.name));
    }
    for (probe, since) in &agent.stale_probes {
        part.degrade(format!("its probe {probe} hangs since {since}"));
    }
}
