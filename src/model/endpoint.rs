//! A Cilium endpoint: what the agent believes of one pod's network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::Controller;
use super::mac::Mac;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub id: u32,
    /// waiting-for-identity, waiting-to-regenerate, regenerating, ready, not-ready, restoring, disconnecting,
    /// disconnected, invalid, or what a later agent calls it; absent where no agent told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    pub told_by: ToldBy,
    /// The security identity's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<u32>,
    /// The identity's labels, `source:key=value`.
    #[serde(default)]
    pub labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodName>,
    /// The sandbox of the pod, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// `<sandbox>:<interface in the pod>`, since Cilium 1.14.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment_id: Option<String>,
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// The pool that each address came from, where it is told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: BTreeMap<IpAddr, String>,
    /// The host's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifindex: Option<u32>,
    /// The pod's end, as it is called in there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_interface: Option<String>,
    /// Of the pod's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Of the host's end, which answers the pod's ARP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_mac: Option<Mac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Newest first. A list of endpoints holds the newest only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<StatusChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<Controller>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_ports: Vec<NamedPort>,
    /// What is in force (`realized`): PolicyAuditMode, SourceIPVerification, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Options that are wanted and not in force: name → wanted value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pending_options: BTreeMap<String, String>,
}

/// Whose word an endpoint is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ToldBy {
    #[default]
    Agent,
    /// The agent's state directory, which it would restore from.
    StateDirectory,
    /// The map `cilium_lxc`, which the datapath goes by.
    Map,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodName {
    pub namespace: String,
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// none, ingress, egress, both, audit-ingress, audit-egress, audit-both: what is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted_enforcement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realized_revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted_revision: Option<i64>,
    /// What the proxy has taken over; 0 where the endpoint has no rule for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_revision: Option<i64>,
    /// Identities that may talk to it; 0 is everybody.
    #[serde(default)]
    pub allowed_ingress: Vec<u32>,
    #[serde(default)]
    pub allowed_egress: Vec<u32>,
    #[serde(default)]
    pub denied_ingress: Vec<u32>,
    #[serde(default)]
    pub denied_egress: Vec<u32>,
}

/// OK, Bootstrap, Pending, Warning, Failure, Disabled: the agent's own words. It says OK of endpoints whose link
/// is gone, until it next looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overall: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpf: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// OK, Failure, Warning, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl StatusChange {
    /// The documents say «ok» and «failed», agents say «OK», «Warning» and «Failure».
    pub fn is_bad(&self) -> bool {
        self.code.as_ref().is_some_and(|code| !code.eq_ignore_ascii_case("ok"))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedPort {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// A file in the agent's deletion queue: a DEL that came while the agent was down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedDelete {
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Timestamp>,
    /// All endpoints of this sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// … or the one of this id: `cni-attachment-id:<sandbox>:<interface>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Why the file tells neither; the agent removes it all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Endpoint {
    /// `cilium-local`'s number of the host's own endpoint has no pod, no address and this label.
    pub fn is_host(&self) -> bool {
        self.has_reserved("host")
    }

    /// Carries `reserved:NAME`.
    pub fn has_reserved(&self, name: &str) -> bool {
        self.labels.iter().any(|label| label.strip_prefix("reserved:") == Some(name))
    }

    /// The CiliumEndpoint of it: the pod's name, as long as the pod has one interface.
    pub fn called(&self) -> Option<String> {
        self.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name))
    }
}
