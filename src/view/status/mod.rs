//! `podnet status`: what there is on this node that makes and keeps the network of pods, and how each part of it is.

mod agent;
mod ipam;
mod kernel;
mod kubernetes;
mod network;
mod runtime;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::model::node::Node;
use crate::model::source::{self, Asked};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    pub collected_at: Timestamp,
    pub parts: Vec<Part>,
    pub sources: Vec<Asked>,
}

/// One thing that the network of pods depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    pub name: String,
    pub state: PartState,
    pub facts: Vec<Fact>,
    /// Why it is degraded or absent, and what could not be read of it.
    pub why: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PartState {
    Ok,
    Degraded,
    Absent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    pub name: String,
    pub value: String,
}

/// Judges the node's parts, from the kernel up.
pub fn status(node: &Node) -> Status {
    let mut parts = kernel::parts(node);
    parts.extend(source::RUNTIMES.iter().filter_map(|name| runtime::part(node, name)));
    parts.extend(node.networks.iter().flatten().map(|reader| network::part(node, reader)));
    parts.extend(source_of(node, "cilium agent").map(|asked| agent::part(node, asked)));
    parts.push(ipam::part(node));
    parts.extend(source_of(node, "kubernetes").map(|asked| kubernetes::part(node, asked)));
    Status {
        api_version: API_VERSION.to_owned(),
        kind: "Status".to_owned(),
        node: node.hostname.clone(),
        collected_at: node.collected_at,
        parts,
        sources: node.sources.clone(),
    }
}

impl Part {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), state: PartState::Ok, facts: Vec::new(), why: Vec::new() }
    }

    /// Without an answer.
    fn silent(name: &str, asked: &Asked) -> Self {
        let state = if asked.status == source::Status::Absent { PartState::Absent } else { PartState::Degraded };
        Self { state, why: asked.detail.clone().into_iter().collect(), ..Self::new(name) }
    }

    fn fact(&mut self, name: &str, value: Option<impl ToString>) {
        let value = value.map(|value| value.to_string()).filter(|value| !value.is_empty());
        self.facts.extend(value.map(|value| Fact { name: name.to_owned(), value }));
    }

    fn degrade(&mut self, why: impl Into<String>) {
        self.state = PartState::Degraded;
        self.why.push(why.into());
    }
}

fn source_of<'a>(node: &'a Node, name: &str) -> Option<&'a Asked> {
    node.sources.iter().find(|source| source.name == name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parts(node: Value) -> Vec<Part> {
        let mut whole = json!({"hostname": "n", "collectedAt": "2026-11-24T00:00:00Z", "hostNetns": 1, "workloads": [],
            "namespaces": [], "sources": []});
        whole.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
        status(&serde_json::from_value(whole).unwrap()).parts
    }

    /// State and reasons of the part of that name.
    fn judged(node: Value, name: &str) -> (PartState, String) {
        let part = parts(node).into_iter().find(|part| part.name == name).unwrap();
        (part.state, part.why.join("; "))
    }

    fn source(name: &str, status: &str, detail: &str) -> Value {
        json!([{"name": name, "status": status, "detail": detail, "elapsedMs": 1.0}])
    }

    fn reader(files: Value) -> Value {
        json!({"networks": [{"runtime": "containerd", "directory": "/etc/cni/net.d", "pluginDirectories": ["/opt/cni/bin"], "files": files}]})
    }

    #[test]
    fn a_runtime_is_as_its_socket_answered() {
        for (status, state) in [("absent", PartState::Absent), ("failed", PartState::Degraded)] {
            assert_eq!(
                judged(json!({"sources": source("docker", status, "why")}), "docker"),
                (state, "why".to_owned())
            );
        }
        let part = parts(json!({"sources": source("cri", "present", "1.7.2, 3 containers")}));
        let facts: Vec<String> =
            part.iter().find(|part| part.name == "cri").unwrap().facts.iter().map(|fact| fact.value.clone()).collect();
        assert_eq!(facts, ["1.7.2", "3 containers"]);
        let storage = json!({"sources": source("podman storage", "absent", "")});
        assert!(parts(storage).iter().all(|part| part.name != "podman storage"));
    }

    #[test]
    fn a_network_that_cannot_be_made_is_degraded() {
        let file = |standing: &str, missing: Value, problem: Value| {
            json!([{"path": "/etc/cni/net.d/05.conflist", "network": "cilium",
            "plugins": ["cilium-cni"], "standing": standing, "missing": missing, "problem": problem}])
        };
        assert_eq!(judged(reader(file("picked", json!([]), Value::Null)), "cni"), (PartState::Ok, String::new()));
        let (state, why) = judged(reader(file("picked", json!(["cilium-cni"]), Value::Null)), "cni");
        assert_eq!((state, why.as_str()), (PartState::Degraded, "its plugin cilium-cni is not in /opt/cni/bin"));
        let (state, why) = judged(reader(file("blocks", json!([]), json!("it is no JSON"))), "cni");
        assert_eq!(state, PartState::Degraded);
        assert_eq!(why, "/etc/cni/net.d/05.conflist is damaged, and so pods get no network: it is no JSON");
        assert_eq!(judged(reader(json!([])), "cni"), (PartState::Absent, "no network in /etc/cni/net.d".to_owned()));
        let mut with_pods = reader(json!([]));
        with_pods["workloads"] =
            json!([{"state": "running", "role": "container", "pod": {"namespace": "a", "name": "b"}}]);
        assert_eq!(judged(with_pods, "cni").0, PartState::Degraded);
    }

    #[test]
    fn addresses_that_run_out_are_told_before_they_have() {
        for (used, state) in
            [(10, PartState::Ok), (228, PartState::Ok), (229, PartState::Degraded), (254, PartState::Degraded)]
        {
            let fills = json!([{"family": "ipv4", "used": used, "size": 254, "cidrs": ["10.0.0.0/24"]}]);
            let node = json!({"agent": {"socket": "", "mode": {}, "ipam": {"fills": fills, "allocations": []}}});
            let (found, why) = judged(node, "ipam");
            assert_eq!(found, state, "{used}");
            assert_eq!(why.contains("the next pod gets none"), used == 254, "{why}");
        }
        let stores = json!({"addressStores": [{"kind": "host-local", "directory": "/d", "networks": [{"name": "net", "held": []}]}]});
        assert_eq!(judged(stores, "ipam").0, PartState::Ok);
        assert_eq!(judged(json!({}), "ipam").0, PartState::Absent);
    }

    #[test]
    fn the_api_server_is_blamed_for_its_own_faults_only() {
        let kubernetes = |node: Value, unread: Value| {
            json!({
                "sources": source("kubernetes", "present", ""),
                "kubernetes": {"server": "s", "credentials": "c", "nodeName": "n", "nodeNameFrom": "h", "node": node, "unread": unread},
            })
        };
        let node = |ready: &str| {
            json!({"name": "n", "uid": "", "podCIDRs": [], "addresses": [], "unschedulable": false,
            "conditions": [{"type": "Ready", "status": ready, "reason": "KubeletNotReady", "message": "cni plugin not initialized"},
                {"type": "DiskPressure", "status": "False"}]})
        };
        assert_eq!(judged(kubernetes(node("True"), json!([])), "kubernetes").0, PartState::Ok);
        let (state, why) = judged(kubernetes(node("False"), json!([])), "kubernetes");
        assert_eq!(
            (state, why.as_str()),
            (PartState::Degraded, "node condition Ready False: KubeletNotReady: cni plugin not initialized")
        );
        let forbidden = json!([{"verb": "get", "resource": "ciliumnodes.cilium.io", "status": 403, "why": "w",
            "rule": {"apiGroups": [], "resources": [], "verbs": []}}]);
        let (state, why) = judged(kubernetes(node("True"), forbidden), "kubernetes");
        assert_eq!((state, why.as_str()), (PartState::Ok, "not read: get ciliumnodes.cilium.io: w"));
        let broken = json!([{"verb": "get", "resource": "ciliumnodes.cilium.io", "status": 500, "why": "w"}]);
        assert_eq!(judged(kubernetes(node("True"), broken), "kubernetes").0, PartState::Degraded);
        assert_eq!(judged(kubernetes(Value::Null, json!([])), "kubernetes").0, PartState::Degraded);
    }

    #[test]
    fn a_bpf_file_system_is_missed_where_the_agent_needs_it() {
        let node = |places: Value| json!({"kernel": {"release": "6.1", "bpfFileSystems": places}});
        assert_eq!(judged(node(json!(["/x", "/sys/fs/bpf"])), "bpf file system").0, PartState::Ok);
        assert_eq!(judged(node(json!([])), "bpf file system").0, PartState::Absent);
        let mut beside_the_agent = node(json!([]));
        beside_the_agent["agent"] = json!({"socket": "", "mode": {}});
        assert_eq!(judged(beside_the_agent, "bpf file system").0, PartState::Degraded);
    }
}
