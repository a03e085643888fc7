//! A Pod, as far as its network goes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubePod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Those that steer its network: of Cilium, of Multus, and the bandwidth ones; and a static pod's
    /// own uid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Absent while no node was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    pub host_network: bool,
    /// Pending, Running, Succeeded, Failed, Unknown.
    pub phase: String,
    /// Why it is in this phase, where that is told: Evicted, NodeLost, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Somebody deleted it, and it is given until then to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    pub conditions: Vec<Condition>,
    /// `status.podIPs`, as written.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<String>,
    #[serde(rename = "hostIP", skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    pub containers: Vec<ContainerStatus>,
    /// Where its containers say that they listen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub container_ports: Vec<ContainerPort>,
    /// Ports of the node that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_ports: Vec<HostPort>,
}

/// `spec.containers[].ports[]`: a remark of whoever wrote the manifest, which opens nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    pub container: String,
    pub port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostPort {
    pub port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: String,
    /// Of the node's addresses; all of them where it is absent.
    #[serde(rename = "hostIP", default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
}

impl HostPort {
    /// Whether one packet can be meant for both.
    pub fn meets(&self, other: &Self) -> bool {
        let all = |port: &Self| port.host_ip.as_deref().is_none_or(|ip| matches!(ip, "0.0.0.0" | "::"));
        let address = all(self) || all(other) || self.host_ip == other.host_ip;
        self.port == other.port && self.protocol == other.protocol && address
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.host_ip.as_ref().map(|ip| format!("{ip} ")).unwrap_or_default();
        write!(f, "{address}{}/{}", self.port, self.protocol)
    }
}

impl KubePod {
    /// Whether it has ended for good, so that its addresses are no longer its own.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether it says of itself that it can serve.
    pub fn is_ready(&self) -> bool {
        self.phase == "Running"
            && self.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }

    /// `Pending, app: ContainerCreating`.
    pub fn standing(&self) -> String {
        let leaving = self.deletion_timestamp.map(|_| "being deleted".to_owned());
        let of_container = |status: &ContainerStatus| Some(format!("{}: {}", status.name, status.reason.as_ref()?));
        let parts = [Some(self.phase.clone()), self.reason.clone(), leaving].into_iter().flatten();
        parts.chain(self.containers.iter().filter_map(of_container)).collect::<Vec<_>>().join(", ")
    }
}

/// `status.conditions[]` of a Pod or a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Timestamp>,
}

/// `status.containerStatuses[]`, the init containers' too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    pub name: String,
    /// `containerd://ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    pub ready: bool,
    pub restart_count: u32,
    /// waiting, running or terminated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Of that state: ContainerCreating, CrashLoopBackOff, Completed, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
