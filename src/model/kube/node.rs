//! The Node of this machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pod::Condition;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeNode {
    pub name: String,
    pub uid: String,
    /// `spec.podCIDRs`, as written.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Vec<String>,
    pub addresses: Vec<NodeAddress>,
    pub conditions: Vec<Condition>,
    /// `KEY=VALUE:EFFECT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<String>,
    pub unschedulable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubelet_version: Option<String>,
    /// As the kubelet last told it; another than this machine's own means another machine, or one that has not
    /// reported since it booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
}

/// `status.addresses[]` of a Node, `spec.addresses[]` of a CiliumNode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAddress {
    /// InternalIP, ExternalIP, Hostname, CiliumInternalIP, …
    #[serde(rename = "type")]
    pub kind: String,
    pub address: String,
}
