//! A Pod as the API server writes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::kube::pod::{Condition, ContainerPort, ContainerStatus, HostPort, KubePod};

/// Annotations that change a pod's network, and the one that tells a static pod's own uid.
const STEERING: [&str; 8] = [
    "cni.cilium.io/",
    "ipam.cilium.io/",
    "network.cilium.io/",
    "policy.cilium.io/",
    "k8s.v1.cni.cncf.io/",
    "kubernetes.io/egress-bandwidth",
    "kubernetes.io/ingress-bandwidth",
    "kubernetes.io/config.mirror",
];

#[derive(Deserialize)]
pub struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: PodStatus,
}

/// `meta/v1` ObjectMeta.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub labels: Option<BTreeMap<String, String>>,
    pub annotations: Option<BTreeMap<String, String>>,
    pub creation_timestamp: Option<Timestamp>,
    pub deletion_timestamp: Option<Timestamp>,
    pub owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize)]
pub struct Owner {
    pub kind: String,
    #[serde(default)]
    pub uid: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<String>,
    host_network: bool,
    containers: Option<Vec<Container>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    ports: Option<Vec<Port>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    container_port: Option<u16>,
    host_port: Option<u16>,
    protocol: Option<String>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<Ip>>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    conditions: Option<Vec<Condition>>,
    container_statuses: Option<Vec<Status>>,
    init_container_statuses: Option<Vec<Status>>,
}

#[derive(Deserialize)]
struct Ip {
    #[serde(default)]
    ip: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    name: String,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    restart_count: u32,
    /// One key: waiting, running or terminated.
    #[serde(default)]
    state: BTreeMap<String, Option<StateDetail>>,
}

#[derive(Deserialize)]
struct StateDetail {
    reason: Option<String>,
    message: Option<String>,
}

impl From<Pod> for KubePod {
    fn from(Pod { metadata, spec, status }: Pod) -> Self {
        let mut pod_ips: Vec<String> = status.pod_ips.into_iter().flatten().map(|each| each.ip).collect();
        // Only the oldest servers write the one without the list.
        pod_ips.extend(status.pod_ip.filter(|ip| !pod_ips.contains(ip)));
        pod_ips.retain(|ip| !ip.is_empty());
        let containers = status.init_container_statuses.into_iter().chain(status.container_statuses).flatten();
        let mut annotations = metadata.annotations.unwrap_or_default();
        let declared = spec.containers.unwrap_or_default();
        annotations.retain(|key, _| STEERING.iter().any(|prefix| key.starts_with(prefix)));
        KubePod {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            labels: metadata.labels.unwrap_or_default(),
            annotations,
            node_name: spec.node_name.filter(|name| !name.is_empty()),
            host_network: spec.host_network,
            phase: status.phase.unwrap_or_else(|| "Unknown".to_owned()),
            reason: status.reason,
            message: status.message,
            deletion_timestamp: metadata.deletion_timestamp,
            created_at: metadata.creation_timestamp,
            conditions: status.conditions.unwrap_or_default(),
            pod_ips,
            host_ip: status.host_ip,
            containers: containers.map(container).collect(),
            container_ports: declared.iter().flat_map(container_ports).collect(),
            host_ports: declared.iter().flat_map(host_ports).collect(),
        }
    }
}

/// What is left out is TCP.
fn protocol(port: &Port) -> String {
    port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())
}

fn container_ports(container: &Container) -> impl Iterator<Item = ContainerPort> {
    let ports = container.ports.iter().flatten();
    ports.filter_map(|port| {
        let number = port.container_port.filter(|port| *port != 0)?;
        Some(ContainerPort { container: container.name.clone(), port: number, protocol: protocol(port) })
    })
}

fn host_ports(container: &Container) -> impl Iterator<Item = HostPort> {
    let ports = container.ports.iter().flatten();
    ports.filter_map(|port| {
        let number = port.host_port.filter(|port| *port != 0)?;
        let host_ip = port.host_ip.clone().filter(|ip| !ip.is_empty());
        Some(HostPort { port: number, protocol: protocol(port), host_ip })
    })
}

fn container(status: Status) -> ContainerStatus {
    let (state, detail) = status.state.into_iter().next().unzip();
    let detail = detail.flatten();
    ContainerStatus {
        name: status.name,
        container_id: status.container_id.filter(|id| !id.is_empty()),
        ready: status.ready,
        restart_count: status.restart_count,
        state,
        reason: detail.as_ref().and_then(|detail| detail.reason.clone()),
        message: detail.and_then(|detail| detail.message),
    }
}
