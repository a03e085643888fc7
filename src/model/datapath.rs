//! What Cilium's datapath goes by, read from its pinned BPF maps: that works while the agent is down, too.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mac::Mac;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Datapath {
    /// `cilium_lxc`; absent where it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<LocalEndpoint>>,
    /// `cilium_ipcache` or `cilium_ipcache_v2`, as far as it was read: which identity the addresses of this node's endpoints have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<AddressIdentity>,
    /// `cilium_call_policy`: the endpoints that have a program for what is sent to them; absent where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_program: Option<Vec<u32>>,
    /// `cilium_runtime_config`: how long ago the agent last wrote that it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_age_ms: Option<u64>,
    /// `cilium_metrics`, without what was forwarded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<Drops>,
}

/// Packets that the datapath dropped since it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drops {
    /// As bpf/lib/drop_reasons.h numbers it.
    pub reason: u8,
    /// As the program sees it: ingress, egress, service, unknown.
    pub direction: String,
    pub packets: u64,
}

/// An entry of `cilium_lxc`: where packets to an address of this node go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalEndpoint {
    pub address: IpAddr,
    /// 0 for addresses of the host.
    pub endpoint_id: u16,
    /// Of the host's end; 0 for addresses of the host.
    pub ifindex: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_mac: Option<Mac>,
    /// Since 1.14.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<u32>,
    /// An address of the node itself.
    pub is_host: bool,
}

/// What the ipcache says of an address, by the longest prefix that covers it; the kernel does not tell which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressIdentity {
    pub address: IpAddr,
    pub identity: u32,
    /// The node that it is behind; absent for what is on this one, or reached without a tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel_endpoint: Option<IpAddr>,
    /// Which of the IPsec keys; 0 is none.
    pub encryption_key: u8,
}

impl Datapath {
    pub fn identity_of(&self, address: IpAddr) -> Option<&AddressIdentity> {
        self.identities.iter().find(|entry| entry.address == address)
    }
}
