//! PN-CIL: the node as Kubernetes and Cilium's operator have it noted, beside what the agent and the kernel say.

use std::net::IpAddr;

use super::{AGENT, changed};
use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::pod::Pod;
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::agent::Agent;
use crate::model::endpoint::{Endpoint, ToldBy};
use crate::model::fib::{self, Flow};
use crate::model::kube::Kubernetes;
use crate::model::kube::cilium::CiliumNode;
use crate::model::kube::node::NodeAddress;

const API: &str = "kubernetes";
const RESTART: &str = "restart the agent on this node: it writes its CiliumNode anew";

pub static OTHER_NODE_ADDRESS: Rule = Rule {
    code: "PN-CIL-034",
    severity: Severity::Error,
    sentence: "The CiliumNode notes another address of this node than Kubernetes does.",
    meaning: "Other nodes send what is meant for this node's pods, in tunnels or by routes, to that address: it does not \
              arrive.",
    origin: "the node was given another address while the agent ran, or the agent chose another network card",
    confirm: "kubectl get node NODE -o wide; kubectl get ciliumnode NODE -o yaml",
    fix: RESTART,
    needs: &[Need::Agent, Need::Kubernetes],
    follows: &[],
    run: Run::Host(other_node_address),
};

fn other_node_address(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some((noted, node)) = cilium_node(facts).zip(kubernetes(facts).and_then(|told| told.node.as_ref())) else {
        return Vec::new();
    };
    let hit = |family: Family| {
        let (by_cilium, by_kubernetes) =
            (of_kind(&noted.addresses, "InternalIP", family), of_kind(&node.addresses, "InternalIP", family));
        let strange = !by_cilium.is_empty()
            && !by_kubernetes.is_empty()
            && !by_cilium.iter().any(|address| by_kubernetes.contains(address));
        strange.then(|| {
            Hit::new().saw("InternalIP of the CiliumNode", listed(&by_cilium), API).saw(
                "InternalIP of the Node",
                listed(&by_kubernetes),
                API,
            )
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

pub static OTHER_ROUTER: Rule = Rule {
    code: "PN-CIL-035",
    severity: Severity::Warning,
    sentence: "The CiliumNode notes another address for Cilium's own interface than the agent uses.",
    meaning: "Other nodes take what this node sends by itself (probes, the proxy, the API server's calls to pods) for \
              somebody unknown, and policies refuse it.",
    origin: "the agent could not keep its router address when it was restarted, or could not write the CiliumNode since",
    confirm: "podnet status; CiliumInternalIP in kubectl get ciliumnode NODE -o yaml; ip addr show cilium_host",
    fix: RESTART,
    needs: &[Need::Agent, Need::Kubernetes],
    follows: &["PN-CIL-028"],
    run: Run::Host(other_router),
};

fn other_router(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some((agent, noted)) = facts.node.agent.as_ref().zip(cilium_node(facts)) else { return Vec::new() };
    let hit = |router: IpAddr| {
        let by_cilium = of_kind(&noted.addresses, "CiliumInternalIP", Family::of(&router));
        (!by_cilium.is_empty() && !by_cilium.contains(&router)).then(|| {
            Hit::new().saw("router of the agent", router.to_string(), AGENT).saw(
                "CiliumInternalIP of the CiliumNode",
                listed(&by_cilium),
                API,
            )
        })
    };
    routers(agent).filter_map(hit).collect()
}

pub static ROUTER_MISSING: Rule = Rule {
    code: "PN-CIL-036",
    severity: Severity::Error,
    sentence: "Cilium's interface does not have the address that is its pods' gateway.",
    meaning: "The node does not reach its own pods, nor answer them: probes of the kubelet fail, and what the routes send \
              through cilium_host has no sender.",
    origin: "somebody flushed the interface (NetworkManager, systemd-networkd, by hand), or the agent could not restore it",
    confirm: "ip addr show cilium_host, beside podnet status",
    fix: "restart the agent on this node; keep others off cilium_* (unmanaged-devices)",
    needs: &[Need::Agent],
    follows: &[],
    run: Run::Host(router_missing),
};

fn router_missing(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let link = facts.host().and_then(|host| host.link_named("cilium_host"));
    let Some((agent, link)) = facts.node.agent.as_ref().zip(link) else { return Vec::new() };
    let own: Vec<IpAddr> = link.addresses.iter().map(|address| address.address).collect();
    let missing = routers(agent).filter(|router| !own.contains(router));
    missing
        .map(|router| {
            let global: Vec<IpAddr> =
                own.iter().copied().filter(|address| Family::of(address) == Family::of(&router)).collect();
            Hit::new().saw("addresses of cilium_host", listed(&global), "kernel").saw(
                "router of the agent",
                router.to_string(),
                AGENT,
            )
        })
        .collect()
}

pub static NO_CILIUM_NODE: Rule = Rule {
    code: "PN-CIL-037",
    severity: Severity::Error,
    sentence: "A Cilium agent runs on this node, and the cluster has no CiliumNode of it.",
    meaning: "Other nodes do not know where this node's pods are, and the operator gives it no addresses.",
    origin: "it was deleted by hand or by the operator (which follows the Node), or the agent may not write it",
    confirm: "kubectl get ciliumnode NODE; podnet status under controllers",
    fix: RESTART,
    needs: &[Need::Agent, Need::Kubernetes],
    follows: &[],
    run: Run::Host(no_cilium_node),
};

fn no_cilium_node(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let told = kubernetes(facts).filter(|told| {
        let answered = !told.unread.iter().any(|unread| unread.resource.starts_with("ciliumnodes"));
        told.node.is_some() && told.serves("ciliumnodes") && answered && told.cilium_node.is_none()
    });
    told.map(|told| {
        Hit::new().saw("Node", told.node_name.clone(), API).saw("CiliumNode", format!("no {}", told.node_name), API)
    })
    .into_iter()
    .collect()
}

pub static NO_ADDRESSES: Rule = Rule {
    code: "PN-CIL-038",
    severity: Severity::Error,
    sentence: "Cilium's operator has no addresses for this node, or not all that its agent asks for.",
    meaning: "New pods stay ContainerCreating: ADD fails with «range is full» or «pool not (yet) available».",
    origin: "the cluster's ranges or the pool are used up, a pool that pods ask for does not exist, or the operator does not \
             run",
    confirm: "kubectl get ciliumnode NODE -o yaml: spec.ipam, status.ipam.operator-status",
    fix: "give the pool more ranges, make the pool that is missing, or see to cilium-operator",
    needs: &[Need::Agent, Need::Kubernetes],
    follows: &["PN-CIL-037"],
    run: Run::Host(no_addresses),
};

fn no_addresses(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some((agent, noted)) = facts.node.agent.as_ref().zip(cilium_node(facts)) else { return Vec::new() };
    let mode = agent.mode.ipam.clone().unwrap_or_default();
    let (place, given) = match mode.as_str() {
        // In the mode «kubernetes» the Node's own ranges count, and not every version notes them here, too.
        "kubernetes" if noted.operator_error.is_none() => return Vec::new(),
        "kubernetes" | "cluster-pool" => ("podCIDRs", noted.pod_cidrs.len()),
        "multi-pool" => ("pools.allocated", noted.allocated.len()),
        "crd" | "eni" | "azure" | "alibabacloud" => ("pool", noted.pool.len()),
        _ => return Vec::new(),
    };
    if given > 0 && noted.operator_error.is_none() {
        return Vec::new();
    }
    vec![
        Hit::new()
            .saw("IPAM mode of the agent", mode, AGENT)
            .saw(format!("entries of spec.ipam.{place} of the CiliumNode"), given.to_string(), API)
            .saw_if("error of the operator", noted.operator_error.clone(), API),
    ]
}

pub static NO_HEALTH_ENDPOINT: Rule = Rule {
    code: "PN-CIL-039",
    severity: Severity::Warning,
    sentence: "Cilium's agent is to have a health endpoint on this node, and has none.",
    meaning: "Other nodes call this one unreachable, whatever its pods' network is like; cilium-health tells nothing of it.",
    origin: "no address was left for it, or its namespace or program could not be made",
    confirm: "podnet endpoint list: none with reserved:health; the agent's controller cilium-health-ep",
    fix: "restart the agent on this node; see its log for cilium-health",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-028", "PN-IPAM-008"],
    run: Run::Host(no_health_endpoint),
};

fn no_health_endpoint(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let is_on = |agent: &&Agent| {
        let set = |option: &str| agent.start_options.get(option).is_some_and(|value| value == "true");
        set("EnableHealthChecking") && set("EnableEndpointHealthChecking")
    };
    // An agent that just started makes it last.
    let settled = super::is_settled(facts);
    let wanted = facts.node.agent.as_ref().filter(is_on).is_some_and(|_| super::told_all(facts) && settled);
    if !wanted || health_endpoint(facts).is_some() {
        return Vec::new();
    }
    vec![Hit::new().saw("EnableEndpointHealthChecking", "true", AGENT).saw(
        "endpoint with reserved:health",
        "none",
        AGENT,
    )]
}

pub static HEALTH_UNREACHABLE: Rule = Rule {
    code: "PN-CIL-040",
    severity: Severity::Warning,
    sentence: "The way from this node to Cilium's health endpoint is broken.",
    meaning: "Other nodes call this one unreachable. Its pods may share the fault: the health endpoint is connected as they \
              are.",
    origin: "its interface was set down, or the route to the node's pods was flushed. Judged by the interface and the route \
             alone: check sends no probe",
    confirm: "ip link show lxc_health; ip route get ADDRESS; cilium-health status --probe",
    fix: "ip link set lxc_health up; else restart the agent on this node",
    needs: &[Need::Agent, Need::Endpoints, Need::Routes, Need::Rules],
    follows: &["PN-CIL-001"],
    run: Run::Host(health_unreachable),
};

fn health_unreachable(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some((endpoint, host)) = health_endpoint(facts).zip(facts.host()) else { return Vec::new() };
    let name = endpoint.interface.as_deref().unwrap_or_default();
    let down = host.link_named(name).filter(|link| !link.is_up());
    if let Some(link) = down {
        let hit = Hit::new().saw(format!("flags of {name}"), link.flags.join(","), "kernel");
        return vec![hit.command(format!("ip link set {} up", crate::check::paste::word(name)))];
    }
    // Where the datapath passes by the node's routes there need not be one.
    let by_route = facts.node.agent.as_ref().is_some_and(|agent| agent.mode.host_routing.as_deref() == Some("Legacy"));
    let lost = endpoint.addresses.iter().filter(|to| by_route && fib::way(host, Flow::to(**to)).leads().is_none());
    lost.map(|to| {
        Hit::new().saw("address of the health endpoint", to.to_string(), AGENT).saw(
            "route of the node to it",
            "none",
            "kernel",
        )
    })
    .collect()
}

pub static OTHER_HEALTH_ADDRESS: Rule = Rule {
    code: "PN-CIL-041",
    severity: Severity::Warning,
    sentence: "The CiliumNode notes another address for the health endpoint than the agent has given it.",
    meaning: "Other nodes probe an address where nobody answers, or a pod does: they call this node unreachable.",
    origin: "the health endpoint was made anew, and the agent could not write the CiliumNode since",
    confirm: "spec.health in kubectl get ciliumnode NODE -o yaml; podnet endpoint list: reserved:health",
    fix: RESTART,
    needs: &[Need::Agent, Need::Endpoints, Need::Kubernetes],
    follows: &["PN-CIL-028", "PN-CIL-039"],
    run: Run::Host(other_health_address),
};

fn other_health_address(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some((endpoint, noted)) = health_endpoint(facts).zip(cilium_node(facts)) else { return Vec::new() };
    let settled = facts.is_old(changed(endpoint)) && !endpoint.addresses.is_empty();
    let by_node: Vec<IpAddr> = noted.health.iter().filter_map(|text| text.parse().ok()).collect();
    let strange: Vec<IpAddr> =
        by_node.into_iter().filter(|address| settled && !endpoint.addresses.contains(address)).collect();
    if strange.is_empty() {
        return Vec::new();
    }
    vec![Hit::new().saw("health of the CiliumNode", listed(&strange), API).saw(
        format!("addresses of endpoint {}", endpoint.id),
        listed(&endpoint.addresses),
        AGENT,
    )]
}

pub static OTHER_KEY: Rule = Rule {
    code: "PN-CIL-042",
    severity: Severity::Error,
    sentence: "Other nodes encrypt for a WireGuard key that this node's agent does not have.",
    meaning: "They take the key from the CiliumNode. What they send to this node's pods cannot be decrypted here, and is \
              dropped; from here to there it is the same.",
    origin: "the agent lost its key file (/run/cilium after a reboot) and made another, and could not write the CiliumNode since; \
             or two agents write one CiliumNode",
    confirm: "network.cilium.io/wg-pub-key in kubectl get ciliumnode NODE -o yaml; cilium-dbg encrypt status",
    fix: RESTART,
    needs: &[Need::Agent, Need::Kubernetes],
    follows: &["PN-CIL-028"],
    run: Run::Host(other_key),
};

fn other_key(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let noted = cilium_node(facts).and_then(|node| node.wireguard_key.as_ref());
    let mode = facts.node.agent.as_ref().map(|agent| &agent.mode);
    let Some((noted, mode)) = noted.zip(mode) else { return Vec::new() };
    let encrypts = mode.encryption.as_deref() == Some("Wireguard") && !mode.wireguard_keys.is_empty();
    if !encrypts || mode.wireguard_keys.contains(noted) {
        return Vec::new();
    }
    vec![Hit::new().saw("key of the CiliumNode", format!("{noted}…"), API).saw(
        "key of the agent",
        format!("{}…", mode.wireguard_keys.join("…  ")),
        AGENT,
    )]
}

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

fn kubernetes<'a>(facts: &Facts<'a>) -> Option<&'a Kubernetes> {
    facts.node.kubernetes.as_ref()
}

fn cilium_node<'a>(facts: &Facts<'a>) -> Option<&'a CiliumNode> {
    kubernetes(facts)?.cilium_node.as_ref()
}

fn health_endpoint<'a>(facts: &Facts<'a>) -> Option<&'a Endpoint> {
    let of_agent = facts.node.endpoints.iter().filter(|endpoint| endpoint.told_by == ToldBy::Agent);
    of_agent.into_iter().find(|endpoint| endpoint.has_reserved("health"))
}

fn of_kind(addresses: &[NodeAddress], kind: &str, family: Family) -> Vec<IpAddr> {
    let of_kind = addresses.iter().filter(|address| address.kind == kind);
    of_kind.filter_map(|address| address.address.parse().ok()).filter(|address| Family::of(address) == family).collect()
}

/// What the agent says is its router, by the families that are on.
fn routers(agent: &Agent) -> impl Iterator<Item = IpAddr> {
    agent.families.iter().filter(|family| family.enabled).filter_map(|family| family.router)
}

fn listed(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join("  ") }
}
