//! Cilium's own resources (`cilium.io`), whichever version the cluster serves.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::NodeAddress;

/// What the agent wrote of an endpoint for the cluster to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CiliumEndpoint {
    pub namespace: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Of the Pod that owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// The agent's number for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<u64>,
    pub labels: Vec<String>,
    pub addresses: Vec<String>,
    #[serde(rename = "nodeIP", skip_serializing_if = "Option::is_none")]
    pub node_ip: Option<String>,
    /// The sandbox, as the CNI plugin was told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cni_attachment_id: Option<String>,
    /// Absent where the agent does not write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_enforcing: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_enforcing: Option<bool>,
}

/// One pod's entry in a CiliumEndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SliceEndpoint {
    /// The slice's name.
    pub slice: String,
    pub namespace: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<u64>,
    pub addresses: Vec<String>,
    #[serde(rename = "nodeIP", skip_serializing_if = "Option::is_none")]
    pub node_ip: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CiliumIdentity {
    pub id: u64,
    /// `security-labels`, source and key → value.
    pub labels: BTreeMap<String, String>,
}

/// A node as Cilium's agents and operator see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CiliumNode {
    pub name: String,
    pub addresses: Vec<NodeAddress>,
    /// Addresses of the health endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<String>,
    /// `spec.ipam.podCIDRs`.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Vec<String>,
    /// crd, eni, azure, alibabacloud: the addresses that the operator gave to the node (`spec.ipam.pool`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pool: BTreeMap<String, Allocation>,
    /// … and those in use (`status.ipam.used`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub used: BTreeMap<String, Allocation>,
    /// multi-pool: what the agent asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requested: Vec<PoolRequest>,
    /// … and what the operator gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allocated: Vec<PoolAllocation>,
    /// Address → where the handshake stands by which the operator takes it back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub release: BTreeMap<String, String>,
    /// Why the operator could not give (more) addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// How the key begins that other nodes encrypt for (`network.cilium.io/wg-pub-key`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wireguard_key: Option<String>,
}

/// Who holds an address of a CiliumNode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// `NAMESPACE/POD`, router, health, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The interface that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolRequest {
    pub pool: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_needed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_needed: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolAllocation {
    pub pool: String,
    pub cidrs: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CiliumPodIpPool {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<PoolFamily>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<PoolFamily>,
}

/// The part of a pool for one family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolFamily {
    pub cidrs: Vec<String>,
    /// Prefix length of the pieces that nodes get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_size: Option<u8>,
}
