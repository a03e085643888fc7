//! `podnet status`: what there is on this node that makes and keeps the network of pods, and how each part of it is.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::model::address::Family;
use crate::model::agent::{Agent, Condition, Fill, Mode};
use crate::model::endpoint::Endpoint;
use crate::model::kube::Kubernetes;
use crate::model::network::{NetworkFile, NetworkReader, Standing};
use crate::model::node::Node;
use crate::model::source::{self, Asked};

/// Sources that are runtimes; the second knows Podman's containers where its service does not run.
const RUNTIMES: [&str; 6] = ["docker", "podman", "podman storage", "containerd", "cri-o", "cri"];
/// Where Cilium keeps its maps when nothing is mounted at the usual place; the usual place.
const BPF_PLACES: [&str; 2] = ["/sys/fs/bpf", "/run/cilium/bpffs"];
/// Of a hundred: from here on pods will soon find no address.
const NEARLY_FULL: u64 = 90;

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
    let mut parts = kernel(node);
    parts.extend(RUNTIMES.iter().filter_map(|name| runtime(node, name)));
    parts.extend(node.networks.iter().flatten().map(|reader| network(node, reader)));
    parts.extend(source_of(node, "cilium agent").map(|asked| agent(node, asked)));
    parts.push(ipam(node));
    parts.extend(source_of(node, "kubernetes").map(|asked| api_server(node, asked)));
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

fn kernel(node: &Node) -> Vec<Part> {
    let Some(kernel) = &node.kernel else { return Vec::new() };
    let mut release = Part::new("kernel");
    release.fact("release", Some(&kernel.release));
    let mut bpf = Part::new("bpf file system");
    let places: Vec<&String> =
        kernel.bpf_file_systems.iter().filter(|place| BPF_PLACES.contains(&place.as_str())).collect();
    bpf.fact("at", places.first().or(kernel.bpf_file_systems.first().as_ref()));
    match (places.is_empty(), &node.agent) {
        (false, _) => {}
        (true, None) => {
            bpf.state = PartState::Absent;
            bpf.why.push(format!("none at {}, where programs and maps outlive those who loaded them", BPF_PLACES[0]));
        }
        (true, Some(_)) => {
            bpf.degrade(format!("the Cilium agent runs, and podnet sees none at {}", BPF_PLACES.join(" or ")))
        }
    }
    vec![release, bpf]
}

fn runtime(node: &Node, name: &str) -> Option<Part> {
    let asked = source_of(node, name)?;
    if asked.status != source::Status::Present {
        // Whether there is storage says nothing where there is no Podman.
        return (name != "podman storage").then(|| Part::silent(name, asked));
    }
    let mut part = Part::new(name);
    let (version, count) = match asked.detail.as_deref().and_then(|detail| detail.rsplit_once(", ")) {
        Some((version, count)) => (Some(version), Some(count)),
        None => (None, asked.detail.as_deref()),
    };
    part.fact("version", version);
    part.fact("with", count);
    Some(part)
}

fn network(node: &Node, reader: &NetworkReader) -> Part {
    let mut part = Part::new("cni");
    let blocking = reader.files.iter().find(|file| file.standing == Standing::Blocks);
    match (reader.picked(), &reader.problem) {
        (_, Some(problem)) => part.degrade(problem),
        (Some(file), None) => in_force(&mut part, reader, file),
        (None, None) => {
            part.fact("for", reader.runtime.as_ref());
            part.fact("reads", Some(&reader.directory));
            match blocking {
                Some(file) => part.degrade(format!(
                    "{} is damaged, and so pods get no network: {}",
                    file.path,
                    file.problem.as_deref().unwrap_or_default()
                )),
                None => without_network(&mut part, node, reader),
            }
        }
    }
    part
}

fn in_force(part: &mut Part, reader: &NetworkReader, file: &NetworkFile) {
    part.fact("network", file.network.as_ref());
    part.fact("plugins", Some(file.plugins.join(", ")));
    part.fact("file", Some(&file.path));
    part.fact("for", reader.runtime.as_ref());
    let others = reader.files.iter().filter(|other| other.path != file.path && other.standing != Standing::Also);
    part.fact("not used", Some(others.map(|other| other.path.clone()).collect::<Vec<_>>().join(", ")));
    for missing in &file.missing {
        part.degrade(format!("its plugin {missing} is not in {}", reader.plugin_directories.join(" or ")));
    }
    for refused in &file.not_executable {
        part.degrade(format!("its plugin {refused} may not be executed"));
    }
}

/// Docker's own networks need none; the kubelet's pods do.
fn without_network(part: &mut Part, node: &Node, reader: &NetworkReader) {
    let why = match reader.files.as_slice() {
        [] => format!("no network in {}", reader.directory),
        files => format!("none of the {} files in {} can be used", files.len(), reader.directory),
    };
    let has_pods = node.workloads.iter().any(|workload| workload.pod.is_some());
    if has_pods || reader.runtime.is_some() && !reader.files.is_empty() {
        part.degrade(format!("{why}: new pods get no network"));
    } else {
        part.state = PartState::Absent;
        part.why.push(why);
    }
}

fn agent(node: &Node, asked: &Asked) -> Part {
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

/// By the agent, which rules where it is; else by the stores of the address plugins.
fn ipam(node: &Node) -> Part {
    let mut part = Part::new("ipam");
    match node.agent.as_ref().and_then(|agent| agent.ipam.as_ref()) {
        Some(told) => {
            told.fills.iter().for_each(|fill| filled(&mut part, fill));
            if told.fills.is_empty() {
                part.fact("held", Some(format!("{} addresses", told.allocations.len())));
            }
        }
        None => {
            for store in &node.address_stores {
                for network in &store.networks {
                    part.fact(&store.kind, Some(format!("{} {} addresses held", network.name, network.held.len())));
                }
            }
        }
    }
    if part.facts.is_empty() {
        part.state = PartState::Absent;
        part.why.push("no agent, and no store of an address plugin".to_owned());
    }
    let operator = node.kubernetes.as_ref().and_then(|told| told.cilium_node.as_ref()?.operator_error.as_ref());
    if let Some(error) = operator {
        part.degrade(format!("Cilium's operator: {error}"));
    }
    part
}

fn filled(part: &mut Part, fill: &Fill) {
    let family = if fill.family == Family::Ipv4 { "IPv4" } else { "IPv6" };
    let cidrs: Vec<String> = fill.cidrs.iter().map(ToString::to_string).collect();
    let from = if cidrs.is_empty() { String::new() } else { format!(" from {}", cidrs.join(", ")) };
    part.fact(family, Some(format!("{} of {} used{from}", fill.used, fill.size)));
    let free = fill.size.saturating_sub(fill.used);
    if free == 0 && fill.size > 0 {
        part.degrade(format!("no {family} address is free: the next pod gets none"));
    } else if fill.used.saturating_mul(100) >= fill.size.saturating_mul(NEARLY_FULL) {
        part.degrade(format!("only {free} {family} addresses are free"));
    }
}

fn api_server(node: &Node, asked: &Asked) -> Part {
    let Some(told) = &node.kubernetes else { return Part::silent("kubernetes", asked) };
    let mut part = Part::new("kubernetes");
    part.fact("version", told.version.as_ref());
    part.fact("server", Some(&told.server));
    part.fact("node", Some(&told.node_name));
    part.fact("pods", told.pods.as_ref().map(Vec::len));
    part.fact("as", Some(&told.credentials));
    conditions(&mut part, told);
    for unread in &told.unread {
        let why = format!("not read: {}", unread.told());
        // What RBAC does not allow podnet is no fault of the server's.
        if unread.rule.is_some() { part.why.push(why) } else { part.degrade(why) }
    }
    part
}

/// Of the Node: Ready must be true, all others (pressure, unavailability) false.
fn conditions(part: &mut Part, told: &Kubernetes) {
    let Some(node) = &told.node else {
        if !told.unread.iter().any(|unread| unread.resource == "nodes") {
            part.degrade(format!("the cluster has pods for the node {}, but no such node", told.node_name));
        }
        return;
    };
    for condition in &node.conditions {
        let good = if condition.kind == "Ready" { "True" } else { "False" };
        if condition.status != good {
            let why = [condition.reason.clone(), condition.message.clone()].into_iter().flatten().collect::<Vec<_>>();
            part.degrade(format!("node condition {} {}: {}", condition.kind, condition.status, why.join(": ")));
        }
    }
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
