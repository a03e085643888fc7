//! Cilium's resources as the API server writes them: the field paths are alike in v2 and v2alpha1, every field may be
//! missing.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::pod::Metadata;
use crate::model::agent::beginning;
use crate::model::kube::cilium::{
    Allocation, CiliumEndpoint, CiliumIdentity, CiliumNode, CiliumPodIpPool, PoolAllocation, PoolFamily, PoolRequest,
    SliceEndpoint,
};
use crate::model::kube::node::NodeAddress;

const WIREGUARD_KEY: &str = "network.cilium.io/wg-pub-key";

#[derive(Deserialize)]
pub struct Endpoint {
    metadata: Metadata,
    #[serde(default)]
    status: EndpointStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct EndpointStatus {
    id: Option<u64>,
    state: Option<String>,
    identity: Option<IdentityOf>,
    networking: Option<Networking>,
    external_identifiers: ExternalIdentifiers,
    policy: Policy,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IdentityOf {
    id: Option<u64>,
    labels: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Networking {
    addressing: Option<Vec<Pair>>,
    node: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pair {
    ipv4: Option<String>,
    ipv6: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct ExternalIdentifiers {
    container_id: Option<String>,
    cni_attachment_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Policy {
    ingress: Option<Direction>,
    egress: Option<Direction>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Direction {
    enforcing: Option<bool>,
}

impl Networking {
    fn addresses(&self) -> Vec<String> {
        let pairs = self.addressing.iter().flatten();
        let both = pairs.flat_map(|pair| [pair.ipv4.clone(), pair.ipv6.clone()]);
        both.flatten().filter(|address| !address.is_empty()).collect()
    }
}

impl From<Endpoint> for CiliumEndpoint {
    fn from(Endpoint { metadata, status }: Endpoint) -> Self {
        let owners = metadata.owner_references.unwrap_or_default();
        let networking = status.networking.unwrap_or_default();
        let identity = status.identity.unwrap_or_default();
        Self {
            namespace: metadata.namespace,
            name: metadata.name,
            created_at: metadata.creation_timestamp,
            pod_uid: owners.into_iter().find(|owner| owner.kind == "Pod").map(|owner| owner.uid),
            id: status.id,
            state: status.state,
            identity: identity.id,
            labels: identity.labels.unwrap_or_default(),
            addresses: networking.addresses(),
            node_ip: networking.node,
            container_id: status.external_identifiers.container_id,
            cni_attachment_id: status.external_identifiers.cni_attachment_id,
            ingress_enforcing: status.policy.ingress.and_then(|direction| direction.enforcing),
            egress_enforcing: status.policy.egress.and_then(|direction| direction.enforcing),
        }
    }
}

#[derive(Deserialize)]
pub struct Slice {
    metadata: Metadata,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    endpoints: Option<Vec<InSlice>>,
}

#[derive(Deserialize)]
struct InSlice {
    #[serde(default)]
    name: String,
    /// Of the identity, not of the endpoint.
    id: Option<u64>,
    #[serde(default)]
    networking: Option<Networking>,
}

impl Slice {
    /// Its entries.
    pub fn entries(self) -> impl Iterator<Item = SliceEndpoint> {
        let (slice, namespace) = (self.metadata.name, self.namespace);
        self.endpoints.into_iter().flatten().map(move |entry| {
            let networking = entry.networking.unwrap_or_default();
            SliceEndpoint {
                slice: slice.clone(),
                namespace: namespace.clone(),
                name: entry.name,
                identity: entry.id,
                addresses: networking.addresses(),
                node_ip: networking.node,
            }
        })
    }
}

#[derive(Deserialize)]
pub struct Identity {
    metadata: Metadata,
    #[serde(rename = "security-labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Identity {
    /// None where its name is no number, which is the only id that it has.
    pub fn into_model(self) -> Option<CiliumIdentity> {
        Some(CiliumIdentity { id: self.metadata.name.parse().ok()?, labels: self.labels.unwrap_or_default() })
    }
}

#[derive(Deserialize)]
pub struct Node {
    metadata: Metadata,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    addresses: Option<Vec<Address>>,
    health: Pair,
    ipam: Ipam,
    bootid: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ipam {
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
    pool: Option<BTreeMap<String, Allocation>>,
    #[serde(rename = "ipv6-pool")]
    ipv6_pool: Option<BTreeMap<String, Allocation>>,
    pools: Pools,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pools {
    requested: Option<Vec<Requested>>,
    allocated: Option<Vec<Allocated>>,
}

#[derive(Deserialize)]
struct Requested {
    #[serde(default)]
    pool: String,
    #[serde(default)]
    needed: Needed,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Needed {
    ipv4_addrs: Option<u64>,
    ipv6_addrs: Option<u64>,
}

#[derive(Deserialize)]
struct Allocated {
    #[serde(default)]
    pool: String,
    cidrs: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    ipam: IpamStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct IpamStatus {
    used: Option<BTreeMap<String, Allocation>>,
    ipv6_used: Option<BTreeMap<String, Allocation>>,
    release_ips: Option<BTreeMap<String, String>>,
    release_ipv6s: Option<BTreeMap<String, String>>,
    operator_status: OperatorStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OperatorStatus {
    error: Option<String>,
}

impl From<Node> for CiliumNode {
    fn from(Node { metadata, spec, status }: Node) -> Self {
        let address = |address: Address| NodeAddress { kind: address.kind, address: address.ip };
        let needed = |request: Requested| PoolRequest {
            pool: request.pool,
            ipv4_needed: request.needed.ipv4_addrs,
            ipv6_needed: request.needed.ipv6_addrs,
        };
        let given = |given: Allocated| PoolAllocation { pool: given.pool, cidrs: given.cidrs.unwrap_or_default() };
        let ipam = spec.ipam;
        Self {
            name: metadata.name,
            addresses: spec.addresses.into_iter().flatten().map(address).collect(),
            health: [spec.health.ipv4, spec.health.ipv6].into_iter().flatten().collect(),
            pod_cidrs: ipam.pod_cidrs.unwrap_or_default(),
            pool: both(ipam.pool, ipam.ipv6_pool),
            used: both(status.ipam.used, status.ipam.ipv6_used),
            requested: ipam.pools.requested.into_iter().flatten().map(needed).collect(),
            allocated: ipam.pools.allocated.into_iter().flatten().map(given).collect(),
            release: both(status.ipam.release_ips, status.ipam.release_ipv6s),
            operator_error: status.ipam.operator_status.error.filter(|text| !text.is_empty()),
            boot_id: spec.bootid,
            wireguard_key: metadata
                .annotations
                .and_then(|annotations| annotations.get(WIREGUARD_KEY).map(|key| beginning(key))),
        }
    }
}

/// The families' maps in one: an address tells its family itself.
fn both<T>(ipv4: Option<BTreeMap<String, T>>, ipv6: Option<BTreeMap<String, T>>) -> BTreeMap<String, T> {
    ipv4.into_iter().chain(ipv6).flatten().collect()
}

#[derive(Deserialize)]
pub struct Pool {
    metadata: Metadata,
    #[serde(default)]
    spec: PoolSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PoolSpec {
    ipv4: Option<PoolPart>,
    ipv6: Option<PoolPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PoolPart {
    cidrs: Option<Vec<PoolCidr>>,
    /// 1.20 has a second list, of CIDRs with reserved ranges.
    pool: Option<Vec<PoolCidr>>,
    mask_size: Option<u8>,
}

/// A plain string, or one in an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum PoolCidr {
    Plain(String),
    Object { cidr: String },
}

impl From<Pool> for CiliumPodIpPool {
    fn from(Pool { metadata, spec }: Pool) -> Self {
        Self { name: metadata.name, ipv4: spec.ipv4.map(PoolFamily::from), ipv6: spec.ipv6.map(PoolFamily::from) }
    }
}

impl From<PoolPart> for PoolFamily {
    fn from(part: PoolPart) -> Self {
        let cidrs = part.cidrs.into_iter().flatten().chain(part.pool.into_iter().flatten());
        let text = |cidr: PoolCidr| match cidr {
            PoolCidr::Plain(cidr) | PoolCidr::Object { cidr } => cidr,
        };
        Self { cidrs: cidrs.map(text).collect(), mask_size: part.mask_size }
    }
}
