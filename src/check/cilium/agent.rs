//! The agent itself: whether it lives, and what it says of its own state and of this node.

use super::{AGENT, is_ciliums, keeps_failing};
use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::pod::Pod;
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::agent::{Agent, Condition};
use crate::model::endpoint::QueuedDelete;
use crate::model::source::Status;

const LOGS: &str = "kubectl -n kube-system logs of the agent of this node (or crictl logs); restart it";

pub static HEARTBEAT: Rule = Rule {
    code: "PN-CIL-023",
    severity: Severity::Error,
    sentence: "The Cilium agent has not told the datapath for a while that it lives.",
    meaning: "Pods that are there go on by what was loaded last; new pods, changes of policies and of services, and names \
              that a DNS policy allows do not get through.",
    origin: "the agent hangs, was stopped, or is starting",
    confirm: "podnet status; kubectl -n kube-system get pods -o wide",
    fix: LOGS,
    needs: &[Need::Datapath],
    follows: &["PN-CIL-026"],
    run: Run::Host(heartbeat),
};

/// It writes every second.
const LATE_MS: u64 = 15_000;

fn heartbeat(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let age = facts.node.datapath.as_ref().and_then(|datapath| datapath.heartbeat_age_ms);
    let late = age.filter(|age| *age > LATE_MS && serves(facts));
    late.map(|age| Hit::new().saw("last heartbeat", format!("{} s ago", age / 1000), "cilium_runtime_config"))
        .into_iter()
        .collect()
}

pub static QUEUE: Rule = Rule {
    code: "PN-CIL-025",
    severity: Severity::Warning,
    sentence: "Deletes that were left for the Cilium agent are not done, although it is here.",
    meaning: "Pods that are gone keep their address, identity and endpoint.",
    origin: "the agent did not get to its queue when it started, or the directory is another one in its container",
    confirm: "podnet endpoint list: DELETES THAT WAIT FOR THE AGENT",
    fix: "restart the agent: it does them when it starts",
    needs: &[Need::Agent],
    follows: &[],
    run: Run::Host(queue),
};

fn queue(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let old: Vec<&QueuedDelete> = facts.node.queued_deletes.iter().filter(|one| facts.is_old(one.queued_at)).collect();
    let Some(first) = old.first() else { return Vec::new() };
    let whose = first.endpoint.clone().or_else(|| first.container_id.clone());
    vec![
        Hit::new()
            .saw("deletes that wait", old.len().to_string(), "cilium state")
            .saw(first.file.clone(), whose.or_else(|| first.problem.clone()).unwrap_or_default(), "cilium state")
            .saw_if("since", first.queued_at.map(|at| at.to_string()), "cilium state"),
    ]
}

pub static SILENT: Rule = Rule {
    code: "PN-CIL-026",
    severity: Severity::Error,
    sentence: "Cilium serves pods of this node, and its agent does not answer.",
    meaning: "Pods that are there go on by what was loaded last. New pods stay ContainerCreating, and no change of a policy, \
              a service or an identity gets through.",
    origin: "the agent crashed, is starting, or listens at another socket",
    confirm: "podnet status; ls -l /var/run/cilium/cilium.sock",
    fix: LOGS,
    needs: &[],
    follows: &[],
    run: Run::Host(silent),
};

fn silent(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let asked = facts.node.sources.iter().find(|source| source.name == AGENT && source.status != Status::Present);
    // Who may not ask does not know whether it would answer.
    let detail = |source: &crate::model::source::Asked| source.detail.clone().unwrap_or_default();
    let silent = asked.filter(|source| !detail(source).to_lowercase().contains("permission") && serves(facts));
    silent
        .map(|source| {
            Hit::new().saw("interfaces of Cilium", interfaces(facts).join(", "), "kernel").saw(
                "the agent",
                detail(source),
                AGENT,
            )
        })
        .into_iter()
        .collect()
}

/// Whether Cilium has pods here, and not only left something behind: its own interface, and one of a pod.
fn serves(facts: &Facts<'_>) -> bool {
    let own = facts.host().is_some_and(|host| host.link_named("cilium_host").is_some());
    own && !interfaces(facts).is_empty()
}

/// Those of pods that have their other end elsewhere.
fn interfaces(facts: &Facts<'_>) -> Vec<String> {
    let links = facts.host().into_iter().flat_map(|host| &host.links);
    let of_pods = links.filter(|link| is_ciliums(&link.name) && link.link_netnsid.is_some());
    of_pods.map(|link| link.name.clone()).collect()
}

pub static UNWELL: Rule = Rule {
    code: "PN-CIL-027",
    severity: Severity::Warning,
    sentence: "The Cilium agent says of itself that something is wrong.",
    meaning: "What it names does not work, or works by what was known before.",
    origin: "the API server or the key-value store is not reached, or a part of the agent hangs",
    confirm: "podnet status; cilium-dbg status --verbose",
    fix: "mend what the message tells; then look again, as the agent looks at itself once a minute",
    needs: &[Need::Agent],
    follows: &[],
    run: Run::Host(unwell),
};

fn unwell(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(agent) = &facts.node.agent else { return Vec::new() };
    let parts: [(&str, &Option<Condition>); 4] = [
        ("agent", &agent.health),
        ("kubernetes", &agent.kubernetes),
        ("kvstore", &agent.kvstore),
        ("its CNI configuration", &agent.cni_file),
    ];
    let bad = parts.into_iter().filter_map(|(name, condition)| Some((name, condition.as_ref()?)));
    let bad = bad.filter(|(_, condition)| condition.is_bad());
    let mut hit = bad.fold(Hit::new(), |hit, (name, condition)| hit.saw(name, said(condition), AGENT));
    for (probe, since) in &agent.stale_probes {
        hit = hit.saw(format!("probe {probe}"), format!("hangs since {since}"), AGENT);
    }
    if hit.evidence.is_empty() { Vec::new() } else { vec![hit] }
}

fn said(condition: &Condition) -> String {
    let message = condition.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
    format!("{}{message}", condition.state)
}

pub static CONTROLLERS: Rule = Rule {
    code: "PN-CIL-028",
    severity: Severity::Warning,
    sentence: "The Cilium agent tries something for this node again and again, and fails.",
    meaning: "What it is for is out of date: routes to other nodes, services, addresses, what other nodes know of this one.",
    origin: "the API server refuses (RBAC, a webhook) or is away, or the kernel does",
    confirm: "podnet status; cilium-dbg status --all-controllers",
    fix: "mend what the message tells; the agent goes on trying",
    needs: &[Need::Agent],
    follows: &["PN-CIL-027"],
    run: Run::Host(controllers),
};

fn controllers(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let of_endpoint = |name: &str| {
        let mut endpoints = facts.node.endpoints.iter().flat_map(|endpoint| &endpoint.controllers);
        endpoints.any(|controller| controller.name == name)
    };
    let controllers = facts.node.agent.iter().flat_map(|agent| &agent.controllers);
    // Those of endpoints are told with them.
    let failing = controllers.filter(|controller| keeps_failing(facts, controller) && !of_endpoint(&controller.name));
    failing
        .map(|controller| {
            Hit::new()
                .saw(
                    controller.name.clone(),
                    format!("failed {} times in a row", controller.consecutive_failures),
                    AGENT,
                )
                .saw_if("last error", controller.last_error.clone(), AGENT)
        })
        .collect()
}

pub static OTHER_CIDR: Rule = Rule {
    code: "PN-CIL-029",
    severity: Severity::Error,
    sentence: "The Cilium agent gives addresses from another range than Kubernetes has noted for this node.",
    meaning: "Other nodes send what is meant for its pods elsewhere, and another node may be given the same range.",
    origin: "the CiliumNode was deleted or restored while the agent ran, or the pools were changed",
    confirm: "podnet status; kubectl get ciliumnode NODE -o yaml",
    fix: "restart the agent, and make the pods with addresses of the old range anew",
    needs: &[Need::Agent, Need::Kubernetes],
    follows: &[],
    run: Run::Host(other_cidr),
};

fn other_cidr(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let node = facts.node.kubernetes.as_ref().and_then(|kubernetes| kubernetes.cilium_node.as_ref());
    let Some((agent, node)) = facts.node.agent.as_ref().zip(node) else { return Vec::new() };
    // Elsewhere ranges are handed out in pieces, or addresses one by one.
    let by_cidr = matches!(agent.mode.ipam.as_deref(), Some("kubernetes" | "cluster-pool"));
    let noted: Vec<ipnet::IpNet> = node.pod_cidrs.iter().filter_map(|cidr| cidr.parse().ok()).collect();
    if !by_cidr || noted.is_empty() {
        return Vec::new();
    }
    ranges(agent)
        .filter(|range| {
            !noted.contains(range) && noted.iter().any(|other| other.addr().is_ipv4() == range.addr().is_ipv4())
        })
        .map(|range| {
            Hit::new().saw("range of the agent", range.to_string(), AGENT).saw(
                "podCIDRs of the CiliumNode",
                node.pod_cidrs.join("  "),
                "kubernetes",
            )
        })
        .collect()
}

pub(super) fn ranges(agent: &Agent) -> impl Iterator<Item = ipnet::IpNet> {
    agent.families.iter().filter(|family| family.enabled).filter_map(|family| family.allocation_range)
}

pub static NODES_UNREACHABLE: Rule = Rule {
    code: "PN-CIL-030",
    severity: Severity::Warning,
    sentence: "Cilium's own probes do not reach this node's health endpoint, or another node.",
    meaning: "Pods here and there do not reach each other, or only with small packets.",
    origin: "a firewall between the nodes closes the tunnel's port, a route is missing, or the health endpoint is broken",
    confirm: "cilium-health status --probe",
    fix: "open the port of the tunnel (8472/udp for VXLAN, 6081/udp for Geneve, 51871/udp for WireGuard) and 4240/tcp",
    needs: &[Need::Agent],
    follows: &[],
    run: Run::Host(nodes_unreachable),
};

fn nodes_unreachable(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let condition = facts.node.agent.as_ref().and_then(|agent| agent.cluster_health.as_ref());
    let bad = condition.filter(|condition| condition.is_bad());
    bad.map(|condition| Hit::new().saw("cluster health", said(condition), AGENT)).into_iter().collect()
}
