//! What Kubernetes believes of a pod, beside what the runtime and the kernel show.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disagreement::{Disagreement, listed};
use crate::model::endpoint::Endpoint;
use crate::model::kube::cilium::{CiliumEndpoint, CiliumIdentity, SliceEndpoint};
use crate::model::kube::pod::KubePod;
use crate::model::kube::{Kubernetes, Unread};
use crate::model::netns::NetnsState;
use crate::model::node::Node;
use crate::model::workload::{State, Workload};

/// By the kubelet's own word on a static pod, whose runtime never saw the uid that the API server gave to its image.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Identities below it are reserved, and no object stands for them (`identity.MinimalNumericIdentity`).
const FIRST_IDENTITY: u64 = 256;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InKubernetes {
    /// `NAMESPACE/POD` that was looked for.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<KubePod>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<CiliumEndpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<SliceEndpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<CiliumIdentity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<Disagreement>,
    /// What the API server did not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

/// The pod (namespace, name) that a pick stands for: that of its workload, else the one that has an address of its
/// namespace.
pub fn pod_of(node: &Node, workload: Option<&Workload>, state: &NetnsState) -> Option<(String, String)> {
    if let Some(pod) = workload.and_then(|workload| workload.pod.as_ref()) {
        return Some((pod.namespace.clone(), pod.name.clone()));
    }
    let pods = node.kubernetes.as_ref()?.pods.as_ref()?;
    let own = addresses(state);
    let owns = |pod: &&KubePod| {
        !pod.host_network && !pod.has_ended() && parsed(&pod.pod_ips).iter().any(|ip| own.contains(ip))
    };
    let pod = pods.iter().filter(|_| !state.netns.is_host).find(owns)?;
    Some((pod.namespace.clone(), pod.name.clone()))
}

/// None where Kubernetes was not asked, or the pick is no pod.
pub fn in_kubernetes(node: &Node, workload: Option<&Workload>, state: &NetnsState) -> Option<InKubernetes> {
    let told = node.kubernetes.as_ref()?;
    let (namespace, name) = pod_of(node, workload, state)?;
    let pod = told.pod(&namespace, &name).cloned();
    let endpoint = told.endpoint(&namespace, &name).cloned();
    let slice = told.slices.iter().flatten().find(|entry| entry.namespace == namespace && entry.name == name).cloned();
    let identity = endpoint.as_ref().and_then(|endpoint| told.identity(endpoint.identity?)).cloned();
    let mut found = InKubernetes {
        name: format!("{namespace}/{name}"),
        pod,
        endpoint,
        slice,
        identity,
        disagreements: Vec::new(),
        unread: told.unread.clone(),
    };
    found.compare_pod(told, workload, state);
    found.compare_endpoint(told, workload, state);
    found.compare_identity(told);
    found.compare_agent(node.endpoint_of(workload, Some(state.netns.inode)));
    Some(found)
}

impl InKubernetes {
    fn differ(&mut self, what: &str, told: &[(&str, &str)]) {
        self.disagreements.push(Disagreement::new(what, told));
    }

    fn compare_pod(&mut self, told: &Kubernetes, workload: Option<&Workload>, state: &NetnsState) {
        let runs = workload.is_some_and(|workload| workload.state == State::Running);
        let running = workload.map(running).unwrap_or_default();
        let Some(pod) = self.pod.clone() else {
            if told.pods.is_some() && runs {
                self.differ(
                    "pod",
                    &[("runtime", &running), ("API server", &format!("no pod {} on this node", self.name))],
                );
            }
            return;
        };
        if runs && pod.has_ended() {
            self.differ("phase", &[("runtime", &running), ("pod", &pod.phase)]);
        }
        let uid = workload.and_then(|workload| workload.pod.as_ref()?.uid.as_deref());
        if let Some(uid) =
            uid.filter(|uid| **uid != pod.uid && pod.annotations.get(MIRROR).is_none_or(|own| own != uid))
        {
            self.differ("uid", &[("runtime", uid), ("pod", &pod.uid)]);
        }
        // Further networks may have given it more addresses than Kubernetes knows of.
        if !pod.host_network && !pod.has_ended() && is_read(state) {
            let own = addresses(state);
            let missing = parsed(&pod.pod_ips).into_iter().any(|ip| !own.contains(&ip));
            if missing || (pod.pod_ips.is_empty() && pod.phase == "Running") {
                self.differ("addresses", &[("kernel", &listed(own)), ("pod", &listed(&pod.pod_ips))]);
            }
        }
    }

    fn compare_endpoint(&mut self, told: &Kubernetes, workload: Option<&Workload>, state: &NetnsState) {
        let own_network = self.pod.as_ref().is_some_and(|pod| !pod.host_network && pod.phase == "Running");
        let Some(endpoint) = self.endpoint.clone() else {
            if own_network && told.endpoints.is_some() && told.asked_about.contains(&self.name) {
                self.differ("CiliumEndpoint", &[("pod", "Running"), ("API server", "none of its name")]);
            }
            return;
        };
        let own = addresses(state);
        if is_read(state) && parsed(&endpoint.addresses).iter().any(|ip| !own.contains(ip)) {
            self.differ("addresses", &[("kernel", &listed(own)), ("CiliumEndpoint", &listed(&endpoint.addresses))]);
        }
        let sandbox = workload.and_then(|workload| workload.pod.as_ref()?.sandbox_id.as_deref());
        if let (Some(sandbox), Some(container)) = (sandbox, endpoint.container_id.as_deref())
            && sandbox != container
        {
            self.differ("sandbox", &[("runtime", sandbox), ("CiliumEndpoint", container)]);
        }
        let uid = self.pod.as_ref().map(|pod| pod.uid.clone());
        if let (Some(pod), Some(owner)) = (uid, endpoint.pod_uid.as_deref())
            && pod != owner
        {
            self.differ("uid", &[("pod", &pod), ("CiliumEndpoint", owner)]);
        }
    }

    fn compare_identity(&mut self, told: &Kubernetes) {
        let Some(endpoint) = self.endpoint.clone() else { return };
        let Some(id) = endpoint.identity else { return };
        if let Some(slice) = self.slice.clone()
            && slice.identity.is_some_and(|other| other != id)
        {
            let other = slice.identity.map(|other| other.to_string()).unwrap_or_default();
            self.differ("identity", &[("CiliumEndpoint", &id.to_string()), ("CiliumEndpointSlice", &other)]);
        }
        match self.identity.clone() {
            None if told.identities.is_some() && id >= FIRST_IDENTITY && !self.is_unread("ciliumidentities") => {
                self.differ(
                    "identity",
                    &[("CiliumEndpoint", &id.to_string()), ("CiliumIdentity", "none of that number")],
                );
            }
            Some(identity) => {
                let mut labels: Vec<String> =
                    identity.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let mut of_endpoint = endpoint.labels;
                labels.sort();
                of_endpoint.sort();
                if labels != of_endpoint && !of_endpoint.is_empty() {
                    self.differ(
                        "labels",
                        &[("CiliumEndpoint", &listed(of_endpoint)), ("CiliumIdentity", &listed(labels))],
                    );
                }
            }
            None => {}
        }
    }

    /// The agent that made the CiliumEndpoint may have gone on without it.
    fn compare_agent(&mut self, agent: Option<&Endpoint>) {
        let (Some(agent), Some(endpoint)) = (agent, self.endpoint.clone()) else { return };
        let mut compare = |what: &str, ours: Option<String>, theirs: Option<String>| {
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && ours != theirs
            {
                self.differ(what, &[("agent", &ours), ("CiliumEndpoint", &theirs)]);
            }
        };
        compare("endpoint", Some(agent.id.to_string()), endpoint.id.map(|id| id.to_string()));
        compare("identity", agent.identity.map(|id| id.to_string()), endpoint.identity.map(|id| id.to_string()));
        compare("state", agent.state.clone(), endpoint.state);
    }

    fn is_unread(&self, resource: &str) -> bool {
        self.unread.iter().any(|unread| unread.resource.split('.').next() == Some(resource))
    }
}

fn running(workload: &Workload) -> String {
    match workload.pid {
        Some(pid) => format!("running, pid {pid}"),
        None => "running".to_owned(),
    }
}

fn is_read(state: &NetnsState) -> bool {
    !state.netns.is_host && !state.links.is_empty()
}

/// The global ones of a namespace.
fn addresses(state: &NetnsState) -> Vec<IpAddr> {
    let all = state.links.iter().flat_map(|link| &link.addresses);
    all.filter(|address| address.scope == "global").map(|address| address.address).collect()
}

fn parsed(texts: &[String]) -> Vec<IpAddr> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A node with one pod, `demo/web`, whose every source agrees.
    fn node() -> Value {
        let netns = |inode: u64, links: Value| {
            let netns = json!({"inode": inode, "paths": [], "holders": [], "isHost": inode == 1});
            json!({"netns": netns, "links": links, "nsids": [], "routes": [], "nexthops": [], "rules": [], "neighbours": []})
        };
        let address = json!({"address": "10.0.0.5", "prefixLength": 32, "family": "ipv4", "scope": "global"});
        let eth0 =
            json!({"ifindex": 2, "name": "eth0", "kind": "veth", "mtu": 1500, "state": "up", "addresses": [address]});
        let pod = json!({"namespace": "demo", "name": "web", "uid": "u-1", "hostNetwork": false, "phase": "Running",
            "conditions": [], "podIPs": ["10.0.0.5"], "containers": []});
        let endpoint = json!({"namespace": "demo", "name": "web", "podUid": "u-1", "id": 157, "state": "ready",
            "identity": 24105, "labels": ["k8s:app=web"], "addresses": ["10.0.0.5"], "containerId": "s-1"});
        json!({
            "hostname": "n", "collectedAt": "2026-11-24T00:00:00Z", "hostNetns": 1, "sources": [],
            "workloads": [{"state": "running", "role": "container", "pid": 7, "netns": 2,
                "pod": {"namespace": "demo", "name": "web", "uid": "u-1", "sandboxId": "s-1"}}],
            "namespaces": [netns(1, json!([])), netns(2, json!([eth0]))],
            "endpoints": [{"id": 157, "toldBy": "agent", "identity": 24105, "state": "ready", "pod": {"namespace": "demo", "name": "web"}}],
            "kubernetes": {"server": "", "credentials": "", "nodeName": "n", "nodeNameFrom": "", "pods": [pod],
                "askedAbout": ["demo/web"], "endpoints": [endpoint],
                "slices": [{"slice": "s", "namespace": "demo", "name": "web", "identity": 24105, "addresses": ["10.0.0.5"]}],
                "identities": [{"id": 24105, "labels": {"k8s:app": "web"}}]},
        })
    }

    /// `WHAT: VALUE / VALUE` for each disagreement, after the change.
    fn differing(change: impl Fn(&mut Value)) -> Vec<String> {
        let mut node = node();
        change(&mut node);
        let node: Node = serde_json::from_value(node).unwrap();
        let found = in_kubernetes(&node, node.workloads.first(), node.namespace(2).unwrap()).unwrap();
        let line = |each: Disagreement| format!("{}: {} / {}", each.what, each.told[0].value, each.told[1].value);
        found.disagreements.into_iter().map(line).collect()
    }

    #[test]
    fn each_source_that_tells_otherwise_is_named() {
        assert_eq!(differing(|_| {}), [""; 0]);
        for (pointer, value, said) in [
            ("/kubernetes/pods", json!([]), "pod: running, pid 7 / no pod demo/web on this node"),
            ("/kubernetes/pods/0/phase", json!("Succeeded"), "phase: running, pid 7 / Succeeded"),
            ("/kubernetes/pods/0/podIPs", json!(["10.0.0.6"]), "addresses: 10.0.0.5 / 10.0.0.6"),
            ("/kubernetes/pods/0/podIPs", json!([]), "addresses: 10.0.0.5 / none"),
            ("/workloads/0/pod/uid", json!("u-0"), "uid: u-0 / u-1"),
            ("/workloads/0/pod/sandboxId", json!("s-2"), "sandbox: s-2 / s-1"),
            ("/kubernetes/endpoints/0/podUid", json!("u-0"), "uid: u-1 / u-0"),
            ("/kubernetes/endpoints/0/addresses", json!(["10.0.0.6"]), "addresses: 10.0.0.5 / 10.0.0.6"),
            ("/kubernetes/endpoints", json!([]), "CiliumEndpoint: Running / none of its name"),
            ("/kubernetes/slices/0/identity", json!(7777), "identity: 24105 / 7777"),
            ("/kubernetes/identities", json!([]), "identity: 24105 / none of that number"),
            ("/kubernetes/identities/0/labels", json!({"k8s:app": "db"}), "labels: k8s:app=web / k8s:app=db"),
            ("/endpoints/0/identity", json!(23990), "identity: 23990 / 24105"),
            ("/endpoints/0/state", json!("regenerating"), "state: regenerating / ready"),
            ("/endpoints/0/id", json!(158), "endpoint: 158 / 157"),
        ] {
            let found = differing(|node| *node.pointer_mut(pointer).unwrap() = value.clone());
            assert_eq!(found, [said], "{pointer} {value}");
        }
    }

    #[test]
    fn what_is_not_known_disagrees_with_nothing() {
        for pointer in ["/kubernetes/endpoints", "/kubernetes/identities", "/kubernetes/pods", "/kubernetes/slices"] {
            assert_eq!(differing(|node| *node.pointer_mut(pointer).unwrap() = Value::Null), [""; 0], "{pointer}");
        }
        assert_eq!(differing(|node| node["namespaces"][1]["links"] = json!([])), [""; 0], "the kernel was not read");
        let mirror = |node: &mut Value| {
            node["workloads"][0]["pod"]["uid"] = json!("hash");
            node["kubernetes"]["pods"][0]["annotations"] = json!({"kubernetes.io/config.mirror": "hash"});
        };
        assert_eq!(differing(mirror), [""; 0], "a static pod has two uids");
        assert_eq!(differing(|node| node["kubernetes"]["endpoints"][0]["identity"] = Value::Null), [""; 0]);
    }
}
