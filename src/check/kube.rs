//! PN-KUBE: what Kubernetes has written down of this node's pods, beside what is here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::facts::Facts;
use super::hit::Hit;
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::endpoint::{Endpoint, ToldBy};
use crate::model::kube::Kubernetes;
use crate::model::kube::node::KubeNode;
use crate::model::kube::pod::{HostPort, KubePod};
use crate::model::source::Status;
use crate::model::workload::Role;

pub(super) const API: &str = "kubernetes";

pub static OTHER_ADDRESS: Rule = Rule {
    code: "PN-KUBE-001",
    severity: Severity::Error,
    sentence: "Kubernetes has noted an address for the pod that it does not have.",
    meaning: "Services, other pods and probes send to the noted one; nobody answers, or another pod does.",
    origin: "the pod's network was made again without its sandbox, or the address was changed in the pod",
    confirm: "kubectl get pod -o wide; podnet exec POD -- ip addr",
    fix: "kubectl delete pod",
    needs: &[Need::Kubernetes],
    follows: &["PN-CNI-001", "PN-ADDR-001", "PN-LINK-019", "PN-LINK-010", "PN-SYS-006", "PN-CIL-011"],
    run: Run::Pod(other_address),
};

fn other_address(pod: &Pod<'_>) -> Vec<Hit> {
    let noted = named(pod).and_then(|(namespace, name)| kubernetes(pod.facts)?.pod(namespace, name));
    let Some(noted) = noted.filter(|noted| is_expected(noted)) else { return Vec::new() };
    let own: Vec<IpAddr> =
        pod.state.links.iter().flat_map(|link| &link.addresses).map(|address| address.address).collect();
    let bridged = pod.state.links.iter().any(|link| link.master.is_some());
    let lost = noted.pod_ips.iter().filter(|text| text.parse().is_ok_and(|address: IpAddr| !own.contains(&address)));
    let lost: Vec<&str> = lost.map(String::as_str).collect();
    if lost.is_empty() || bridged {
        return Vec::new();
    }
    let here: Vec<String> = pod.addresses().map(|(_, address)| address.address.to_string()).collect();
    let here = if here.is_empty() { "none".to_owned() } else { here.join("  ") };
    vec![Hit::new().saw(format!("addresses in {}", pod.place()), here, "kernel").saw(
        "noted, and not there",
        lost.join("  "),
        API,
    )]
}

pub static NO_SANDBOX: Rule = Rule {
    code: "PN-KUBE-002",
    severity: Severity::Error,
    sentence: "Kubernetes believes that a pod runs on this node, and there is no sandbox of it.",
    meaning: "It is sent connections, and nothing is there to take them.",
    origin: "the kubelet is stopped or hangs, the runtime lost its state, or the sandbox was removed behind its back",
    confirm: "kubectl get pod -o wide; crictl pods",
    fix: "see to the kubelet (systemctl status kubelet); kubectl delete pod",
    needs: &[Need::Kubernetes, Need::Runtimes, Need::Everyone],
    follows: &[],
    run: Run::Node(no_sandbox),
};

fn no_sandbox(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let here = names_here(facts, pods);
    let known = |pod: &KubePod| here.contains(&(pod.namespace.as_str(), pod.name.as_str()));
    let noted = || kubernetes(facts).into_iter().flat_map(|kubernetes| kubernetes.pods.iter().flatten());
    // Where none of them is known, the kubelet's runtime is another one than those that answered.
    if !noted().any(known) {
        return Vec::new();
    }
    let gone = noted().filter(|pod| {
        pod.phase == "Running"
            && is_expected(pod)
            && is_of_this_node(facts, pod)
            && facts.is_old(pod.created_at)
            && !known(pod)
    });
    gone.map(|pod| {
        Hit::new()
            .thing(format!("{}/{}", pod.namespace, pod.name))
            .saw("the pod", format!("{}, {}", pod.standing(), pod.pod_ips.join("  ")), API)
            .saw("sandboxes of it", "none", "proc")
    })
    .collect()
}

pub static POD_UNKNOWN: Rule = Rule {
    code: "PN-KUBE-003",
    severity: Severity::Warning,
    sentence: "A pod runs on this node of which Kubernetes does not know.",
    meaning: "Nobody will tear it down: its address and identity stay taken, and its program goes on working.",
    origin: "it was deleted by force while the kubelet did not answer, or the kubelet lost its state",
    confirm: "kubectl get pod of that name; crictl pods",
    fix: "crictl stopp and crictl rmp of its sandbox, once it is sure that nobody wants it",
    needs: &[Need::Kubernetes],
    follows: &["PN-CIL-012", "PN-CIL-001"],
    run: Run::Node(pod_unknown),
};

fn pod_unknown(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let Some(kubernetes) = kubernetes(facts).filter(|kubernetes| kubernetes.pods.is_some()) else { return Vec::new() };
    let known = |(namespace, name): (&str, &str)| {
        // A static pod is refused a mirror by some clusters; it carries the node's name.
        kubernetes.pod(namespace, name).is_some() || name.ends_with(&format!("-{}", kubernetes.node_name))
    };
    let named: Vec<(&Pod<'_>, (&str, &str))> =
        pods.iter().filter_map(|pod| Some((pod, lives(pod).then(|| named(pod))??))).collect();
    if !named.iter().any(|(_, name)| known(*name)) {
        return Vec::new();
    }
    let unknown = named.into_iter().filter(|(pod, name)| !known(*name) && facts.is_old(pod.state.netns.since));
    unknown
        .map(|(pod, (namespace, name))| {
            let since = pod.state.netns.since.map(|since| since.to_string());
            Hit::new()
                .about(pod.inode())
                .saw("pod of that name", format!("no {namespace}/{name}"), API)
                .saw("runs here", pod.place(), "kernel")
                .saw_if("since", since, "kernel")
        })
        .collect()
}

pub static NO_CILIUM_ENDPOINT: Rule = Rule {
    code: "PN-KUBE-004",
    severity: Severity::Warning,
    sentence: "The pod has no CiliumEndpoint, so other nodes do not know its identity.",
    meaning: "Policies on other nodes take what it sends for somebody unknown, and refuse it.",
    origin: "the agent may not write it (RBAC, a webhook), or it was deleted by hand",
    confirm: "kubectl get ciliumendpoint -n NAMESPACE POD; podnet endpoint get POD under controllers",
    fix: "mend what the controller sync-to-k8s-ciliumendpoint tells; else restart the agent on this node",
    needs: &[Need::Agent, Need::Endpoints, Need::Kubernetes],
    follows: &["PN-CIL-004", "PN-CIL-005", "PN-CIL-006", "PN-CIL-001", "PN-CIL-012", "PN-KUBE-003"],
    run: Run::Node(no_cilium_endpoint),
};

fn no_cilium_endpoint(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let missing = asked_about(facts).filter(|(kubernetes, endpoint, (namespace, name))| {
        let disabled = facts.node.agent.as_ref().is_some_and(|agent| {
            agent.start_options.get("DisableCiliumEndpointCRD").is_some_and(|value| value == "true")
        });
        let wanted = kubernetes.pod(namespace, name).is_some_and(is_expected);
        wanted
            && !disabled
            && kubernetes.endpoint(namespace, name).is_none()
            && facts.is_old(super::cilium::changed(endpoint))
    });
    missing
        .map(|(_, endpoint, (namespace, name))| {
            super::cilium::about(endpoint, pods).saw("CiliumEndpoint", format!("no {namespace}/{name}"), API).saw(
                format!("endpoint {}", endpoint.id),
                "ready",
                super::cilium::AGENT,
            )
        })
        .collect()
}

pub static CILIUM_ENDPOINT_DIFFERS: Rule = Rule {
    code: "PN-KUBE-005",
    severity: Severity::Warning,
    sentence: "The pod's CiliumEndpoint says something else than the agent of its node.",
    meaning: "Other nodes go by the CiliumEndpoint: they take the pod for another identity, or look for it elsewhere.",
    origin: "a pod of the same name ran on another node just before, or the agent could not write for a while",
    confirm: "kubectl get ciliumendpoint -n NAMESPACE POD -o yaml; podnet endpoint get POD",
    fix: "kubectl delete ciliumendpoint of it: the agent writes it anew",
    needs: &[Need::Agent, Need::Endpoints, Need::Kubernetes],
    follows: &["PN-CIL-004", "PN-CIL-005", "PN-CIL-006", "PN-CIL-008"],
    run: Run::Node(cilium_endpoint_differs),
};

fn cilium_endpoint_differs(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let hit = |(kubernetes, endpoint, (namespace, name)): (&Kubernetes, &Endpoint, (&str, &str))| {
        let noted = kubernetes.endpoint(namespace, name).filter(|_| facts.is_old(super::cilium::changed(endpoint)))?;
        let own: BTreeSet<String> = endpoint.addresses.iter().map(ToString::to_string).collect();
        let theirs: BTreeSet<String> = noted.addresses.iter().cloned().collect();
        let text = |id: Option<u64>| id.map(|id| id.to_string()).unwrap_or_default();
        let joined = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>().join("  ");
        let pairs = [
            ("id", text(noted.id), endpoint.id.to_string()),
            ("identity", text(noted.identity), text(endpoint.identity.map(u64::from))),
            ("state", noted.state.clone().unwrap_or_default(), endpoint.state.clone().unwrap_or_default()),
            ("addresses", joined(&theirs), joined(&own)),
        ];
        let different =
            pairs.into_iter().filter(|(_, theirs, own)| !theirs.is_empty() && !own.is_empty() && theirs != own);
        let hit = different.fold(super::cilium::about(endpoint, pods), |hit, (what, theirs, own)| {
            hit.saw(format!("{what} by the CiliumEndpoint"), theirs, API).saw(
                format!("{what} by the agent"),
                own,
                super::cilium::AGENT,
            )
        });
        hit.evidence.iter().any(|evidence| evidence.source == API).then_some(hit)
    };
    asked_about(facts).filter_map(hit).collect()
}

pub static NODE_NOT_READY: Rule = Rule {
    code: "PN-KUBE-006",
    severity: Severity::Error,
    sentence: "Kubernetes takes this node's network for not ready.",
    meaning: "No new pod is sent here, and those that tolerate it stay ContainerCreating.",
    origin: "the kubelet sees no CNI configuration, its STATUS fails, or the CNI's agent has not reported yet",
    confirm: "kubectl describe node: its conditions",
    fix: "podnet status tells which part is missing",
    needs: &[Need::Kubernetes],
    follows: &["PN-CNI-007", "PN-CNI-010", "PN-CNI-011", "PN-CNI-012", "PN-CNI-017", "PN-CNI-021"],
    run: Run::Host(node_not_ready),
};

fn node_not_ready(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let conditions = kube_node(facts).into_iter().flat_map(|node| &node.conditions);
    let bad = conditions.filter(|condition| match condition.kind.as_str() {
        "NetworkUnavailable" => condition.status == "True",
        "Ready" => {
            let message = condition.message.as_deref().unwrap_or_default().to_lowercase();
            condition.status == "False" && (message.contains("network") || message.contains("cni"))
        }
        _ => false,
    });
    bad.map(|condition| {
        Hit::new()
            .saw(condition.kind.clone(), condition.status.clone(), API)
            .saw_if("its reason", condition.reason.clone(), API)
            .saw_if("its message", condition.message.clone(), API)
    })
    .collect()
}

pub static AGENT_TAINT: Rule = Rule {
    code: "PN-KUBE-007",
    severity: Severity::Warning,
    sentence: "The node still has the taint of a Cilium agent that is not ready, although it answers.",
    meaning: "No new pod is sent here.",
    origin: "Cilium's operator, which removes the taint, does not run or may not change nodes",
    confirm: "kubectl describe node: node.cilium.io/agent-not-ready; kubectl -n kube-system get pods of cilium-operator",
    fix: "see to the operator",
    needs: &[Need::Kubernetes, Need::Agent],
    follows: &["PN-CIL-027"],
    run: Run::Host(agent_taint),
};

fn agent_taint(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let well = facts.node.agent.as_ref().and_then(|agent| agent.health.as_ref()).is_some_and(|health| !health.is_bad());
    let taints = kube_node(facts).into_iter().flat_map(|node| &node.taints);
    let left = taints.filter(|taint| well && taint.starts_with("node.cilium.io/agent-not-ready"));
    left.map(|taint| Hit::new().saw("taint", taint.clone(), API).saw("the agent", "Ok", super::cilium::AGENT)).collect()
}

pub static HOST_PORT: Rule = Rule {
    code: "PN-KUBE-008",
    severity: Severity::Error,
    sentence: "Two pods of this node want the same port of it.",
    meaning: "What comes to the port is led to one of them; the other is never reached.",
    origin: "one of them is a static pod, or was put on the node past the scheduler (nodeName)",
    confirm: "kubectl get pods -A -o wide, and their hostPort",
    fix: "give one of them another hostPort, or move it to another node",
    needs: &[Need::Kubernetes],
    follows: &[],
    run: Run::Node(host_port),
};

fn host_port(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let wanted: Vec<(&KubePod, &HostPort)> =
        here(facts).flat_map(|pod| pod.host_ports.iter().map(move |port| (pod, port))).collect();
    let mut hits = Vec::new();
    for (nth, (pod, port)) in wanted.iter().enumerate() {
        for (other, same) in
            wanted.iter().skip(nth + 1).filter(|(other, same)| other.uid != pod.uid && port.meets(same))
        {
            hits.push(
                Hit::new()
                    .thing(format!("port:{}", port.port))
                    .saw(format!("hostPort of {}/{}", pod.namespace, pod.name), port.to_string(), API)
                    .saw(format!("hostPort of {}/{}", other.namespace, other.name), same.to_string(), API),
            );
        }
    }
    hits
}

pub(super) fn kubernetes<'a>(facts: &Facts<'a>) -> Option<&'a Kubernetes> {
    facts.node.kubernetes.as_ref()
}

fn kube_node<'a>(facts: &Facts<'a>) -> Option<&'a KubeNode> {
    kubernetes(facts)?.node.as_ref()
}

/// Whether it should have a network of its own here: one that ended has given its back, and keeps the address noted.
pub(super) fn is_expected(pod: &KubePod) -> bool {
    !pod.host_network && !pod.has_ended() && pod.deletion_timestamp.is_none()
}

fn is_of_this_node(facts: &Facts<'_>, pod: &KubePod) -> bool {
    kubernetes(facts).is_some_and(|kubernetes| pod.node_name.as_ref() == Some(&kubernetes.node_name))
}

/// The pods of this node that have not ended.
pub(super) fn here<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a KubePod> {
    let pods = kubernetes(facts).into_iter().flat_map(|kubernetes| kubernetes.pods.iter().flatten());
    let node = kubernetes(facts).map(|kubernetes| kubernetes.node_name.clone());
    pods.filter(move |pod| !pod.has_ended() && pod.deletion_timestamp.is_none() && pod.node_name == node)
}

/// Namespace and name: by a runtime, by what CNI was told, or by the agent.
pub(super) fn named<'p>(pod: &'p Pod<'_>) -> Option<(&'p str, &'p str)> {
    let by_runtime = pod.workloads.iter().find_map(|workload| workload.pod.as_ref());
    let by_cni = || pod.attachments.iter().find_map(|attachment| attachment.pod.as_ref());
    let told = by_runtime.or_else(by_cni).map(|pod| (pod.namespace.as_str(), pod.name.as_str()));
    let by_agent = || {
        let endpoint = super::cilium::of(pod).filter(|endpoint| endpoint.told_by == ToldBy::Agent)?;
        endpoint.pod.as_ref().map(|pod| (pod.namespace.as_str(), pod.name.as_str()))
    };
    told.or_else(by_agent)
}

/// Whether somebody is in it.
fn lives(pod: &Pod<'_>) -> bool {
    pod.is_used() && !pod.has_no_process()
}

fn names_here<'p>(facts: &'p Facts<'_>, pods: &'p [Pod<'_>]) -> BTreeSet<(&'p str, &'p str)> {
    let of_netns = pods.iter().filter(|pod| pod.is_used()).filter_map(named);
    let sandboxes = facts.node.workloads.iter().filter(|workload| workload.role != Role::Process);
    let by_runtime = sandboxes.filter_map(|workload| workload.pod.as_ref());
    of_netns.chain(by_runtime.map(|pod| (pod.namespace.as_str(), pod.name.as_str()))).collect()
}

/// The agent's ready endpoints of which the API server was asked, with the pod's name.
fn asked_about<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (&'a Kubernetes, &'a Endpoint, (&'a str, &'a str))> {
    let told = facts.node.kubernetes.as_ref().filter(|kubernetes| {
        let silent = facts.node.sources.iter().any(|source| source.name == API && source.status != Status::Present);
        kubernetes.endpoints.is_some() && !silent
    });
    told.into_iter().flat_map(|kubernetes| {
        let ready = facts
            .node
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.told_by == ToldBy::Agent && endpoint.state.as_deref() == Some("ready"));
        ready.filter_map(move |endpoint| {
            let pod = endpoint.pod.as_ref()?;
            let asked = kubernetes.asked_about.contains(&format!("{}/{}", pod.namespace, pod.name));
            asked.then_some((kubernetes, endpoint, (pod.namespace.as_str(), pod.name.as_str())))
        })
    })
}
