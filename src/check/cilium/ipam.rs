//! PN-IPAM, PN-CIL: the agent's addresses beside its endpoints, the kernel, the runtimes and Kubernetes.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{AGENT, about, changed, is_chained, is_ciliums, of, told_all};
use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::pod::{Pod, family_of};
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::agent::{Agent, Allocation};
use crate::model::endpoint::{Endpoint, ToldBy};
use crate::model::kube::cilium::CiliumNode;

pub static OUTSIDE_RANGES: Rule = Rule {
    code: "PN-IPAM-010",
    severity: Severity::Warning,
    sentence: "The pod has an address that is outside of every range this node's pods are numbered from.",
    meaning: "Other nodes send what is meant for it elsewhere, and firewalls, masquerading and policies by range pass it by. \
              The range may be another node's by now, which then gives the same address to another pod.",
    origin: "the pod is older than the node's ranges: the CiliumNode was made anew, the IPAM mode or the pools were changed, \
             or the pod came with another CNI. Judged are the ranges of Cilium's agent and of its CiliumNode; that an address \
             store gave an address outside of its range is PN-IPAM-006",
    confirm: "podnet inspect POD; podnet status; kubectl get ciliumnode NODE -o yaml",
    fix: "make the pod anew (kubectl delete pod)",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-011", "PN-CIL-029"],
    run: Run::Pod(outside_ranges),
};

fn outside_ranges(pod: &Pod<'_>) -> Vec<Hit> {
    let Some(endpoint) = of(pod).filter(|endpoint| endpoint.told_by == ToldBy::Agent) else { return Vec::new() };
    let Some(ranges) = ranges(pod.facts) else { return Vec::new() };
    let outside = |address: &&IpAddr| {
        let own: Vec<&IpNet> = ranges.iter().filter(|range| family_of(range) == Family::of(address)).collect();
        !own.is_empty() && !own.iter().any(|range| range.contains(*address))
    };
    let here = |address: &&IpAddr| pod.addresses().any(|(_, own)| own.address == **address);
    let lost: Vec<String> = endpoint.addresses.iter().filter(here).filter(outside).map(ToString::to_string).collect();
    if lost.is_empty() {
        return Vec::new();
    }
    let listed: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    vec![Hit::new().saw(format!("address in {}", pod.place()), lost.join("  "), "kernel").saw(
        "ranges of this node",
        listed.join("  "),
        AGENT,
    )]
}

/// All that the agent gives addresses from; None where that is not known whole, or addresses are handed out one by one.
fn ranges(facts: &Facts<'_>) -> Option<Vec<IpNet>> {
    let agent = facts.node.agent.as_ref().filter(|_| !is_chained(facts))?;
    let node = cilium_node(facts);
    let noted = node.iter().flat_map(|node| {
        let of_pools = node.allocated.iter().flat_map(|pool| &pool.cidrs);
        node.pod_cidrs.iter().chain(of_pools).filter_map(|cidr| cidr.parse::<IpNet>().ok())
    });
    match (agent.mode.ipam.as_deref()?, node) {
        ("kubernetes", _) | ("cluster-pool" | "multi-pool", Some(_)) => {}
        _ => return None,
    }
    let mut ranges: Vec<IpNet> = super::agent::ranges(agent).chain(noted).collect();
    ranges.sort_unstable();
    ranges.dedup();
    Some(ranges)
}

pub static HELD_FOR_NOBODY: Rule = Rule {
    code: "PN-IPAM-011",
    severity: Severity::Warning,
    sentence: "Cilium's agent holds an address for a pod that is not here.",
    meaning: "Nobody else gets it. When enough have gathered, new pods fail with «range is full».",
    origin: "ADD failed or was killed half-way, or DEL never came. After a failed ADD the agent gives the address back by \
             itself within ten minutes; when that is up, it does not tell, so it cannot be told apart here",
    confirm: "podnet ipam; podnet endpoint list: no endpoint has the address. Look again in ten minutes",
    fix: "if it is still held after ten minutes, restart the agent on this node: it rebuilds its addresses from its endpoints",
    needs: &[Need::Agent, Need::Runtimes, Need::Everyone],
    follows: &[],
    run: Run::Node(held_for_nobody),
};

fn held_for_nobody(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    // An ADD that is under way has its address before its endpoint, and its namespace before both.
    let under_way = pods.iter().any(|pod| of(pod).is_none() && !facts.is_old(pod.state.netns.since));
    if !told_all(facts) || under_way {
        return Vec::new();
    }
    let in_use = facts.addresses_in_use();
    let nobodys = allocations(facts).filter_map(|allocation| {
        let owner = allocation.owner.as_deref()?;
        let (namespace, name) = pod_of(owner)?;
        let has_endpoint = facts.node.endpoints.iter().any(|endpoint| {
            endpoint.addresses.contains(&allocation.address) || endpoint.called().as_deref() == Some(owner)
        });
        let in_runtime = facts.node.workloads.iter().filter_map(|workload| workload.pod.as_ref());
        let lives = in_runtime.into_iter().any(|pod| pod.namespace == namespace && pod.name == name);
        let by_kubernetes = facts.node.kubernetes.as_ref().and_then(|told| told.pod(namespace, name));
        let waits = by_kubernetes.is_some_and(|pod| pod.phase == "Pending" && pod.deletion_timestamp.is_none());
        let free = !has_endpoint && !lives && !waits && !in_use.contains(&allocation.address);
        free.then_some((allocation, owner))
    });
    nobodys
        .map(|(allocation, owner)| {
            Hit::new()
                .thing(format!("ip:{}", allocation.address))
                .saw(format!("owner of {} in pool {}", allocation.address, allocation.pool), owner, AGENT)
                .saw("endpoint with it, or of that pod", "none", AGENT)
                .saw("known to a runtime, or in a netns", "no", "proc")
        })
        .collect()
}

/// `NAMESPACE/POD`; the agent's own (router, health, ingress), what it left out or has not given yet are no pod's.
fn pod_of(owner: &str) -> Option<(&str, &str)> {
    owner.split_once('/').filter(|_| !owner.contains([' ', '(', '<']))
}

pub static NOT_ALLOCATED: Rule = Rule {
    code: "PN-IPAM-012",
    severity: Severity::Error,
    sentence: "Cilium's agent has an endpoint whose address it does not hold for anybody.",
    meaning: "It believes that the address is free, and will give it to the next pod that asks: then two have it.",
    origin: "the address could not be claimed when the agent restored the endpoint, or was released while it was in use",
    confirm: "podnet ipam, beside podnet endpoint list",
    fix: "make the pod anew; until then keep new pods off the node (kubectl cordon)",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-001", "PN-CIL-011", "PN-CIL-012", "PN-CIL-009"],
    run: Run::Node(not_allocated),
};

fn not_allocated(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let mode = facts.node.agent.as_ref().and_then(|agent| agent.mode.ipam.as_deref());
    // A plugin of its own, or the CNI that it is chained to, gives the addresses.
    let gives = mode.is_some_and(|mode| mode != "delegated-plugin") && !is_chained(facts);
    let held: Vec<IpAddr> = allocations(facts).map(|allocation| allocation.address).collect();
    // An agent that told none does not tell them.
    if !gives || held.is_empty() || !told_all(facts) {
        return Vec::new();
    }
    let settled = |endpoint: &&Endpoint| {
        let leaving = endpoint.state.as_deref().is_some_and(|state| state.starts_with("disconnect"));
        endpoint.told_by == ToldBy::Agent && endpoint.pod.is_some() && !leaving && facts.is_old(changed(endpoint))
    };
    let hit = |endpoint: &Endpoint| {
        let free: Vec<String> =
            endpoint.addresses.iter().filter(|address| !held.contains(address)).map(ToString::to_string).collect();
        (!free.is_empty()).then(|| {
            about(endpoint, pods).saw(format!("addresses of endpoint {}", endpoint.id), free.join("  "), AGENT).saw(
                "held in its pools",
                "by nobody",
                AGENT,
            )
        })
    };
    facts.node.endpoints.iter().filter(settled).filter_map(hit).collect()
}

pub static NOT_CILIUMS: Rule = Rule {
    code: "PN-CIL-033",
    severity: Severity::Error,
    sentence: "The pod runs on a node of Cilium, and Cilium does not manage it.",
    meaning: "The agent knows neither its address nor its labels: policies take it for somebody outside of the cluster, other \
              nodes do not find it, and no policy protects it.",
    origin: "the pod is older than Cilium on this node, or another CNI's configuration was in force when it was made",
    confirm: "podnet inspect POD: its other end is none of Cilium's; podnet endpoint list",
    fix: "kubectl delete pod: it is made anew by Cilium (podnet status tells which network is in force)",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &[],
    run: Run::Pod(not_ciliums),
};

fn not_ciliums(pod: &Pod<'_>) -> Vec<Hit> {
    let facts = pod.facts;
    let serves = facts.node.endpoints.iter().any(|one| one.told_by == ToldBy::Agent && one.pod.is_some());
    let on_host = || pod.ends.iter().filter_map(super::super::pod::End::pair).filter(|far| far.state.netns.is_host);
    let others = on_host().next().is_some() && !on_host().any(|far| is_ciliums(&far.link.name));
    let judged = told_all(facts) && serves && !is_chained(facts) && pod.is_of_kubernetes();
    if !judged || !others || of(pod).is_some() || !facts.is_old(pod.state.netns.since) {
        return Vec::new();
    }
    let named = pod.workloads.iter().find_map(|workload| workload.pod.as_ref());
    let noted = named.and_then(|named| facts.node.kubernetes.as_ref()?.pod(&named.namespace, &named.name));
    let addresses: Vec<String> = pod.addresses().map(|(_, address)| address.address.to_string()).collect();
    let end: Vec<&str> = on_host().map(|far| far.link.name.as_str()).collect();
    vec![
        Hit::new()
            .saw("the host's end", end.join(", "), "kernel")
            .saw(format!("addresses in {}", pod.place()), addresses.join("  "), "kernel")
            .saw_if("address by Kubernetes", noted.map(|noted| noted.pod_ips.join("  ")), "kubernetes")
            .saw("endpoint of the pod, or with its address", "none", AGENT),
    ]
}

fn allocations<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a Allocation> {
    let agent: Option<&Agent> = facts.node.agent.as_ref();
    agent.and_then(|agent| agent.ipam.as_ref()).into_iter().flat_map(|ipam| &ipam.allocations)
}

fn cilium_node<'a>(facts: &Facts<'a>) -> Option<&'a CiliumNode> {
    facts.node.kubernetes.as_ref()?.cilium_node.as_ref()
}
