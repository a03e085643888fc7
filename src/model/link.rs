//! A network interface, as `RTM_GETLINK` tells it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::bpf::Attachment;
pub use super::mac::Mac;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    pub ifindex: u32,
    pub name: String,
    /// `IFLA_INFO_KIND` (veth, netkit, bridge, …); `loopback`, or `physical` where the kernel names none.
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    pub mtu: u32,
    pub state: OperationalState,
    /// `IFF_*` by their `ip link` names: UP, LOWER_UP, NOARP, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Cow<'static, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// `IFLA_LINK`: the other end of a pair, or the lower device; an ifindex in the netns that
    /// `link_netnsid` names, in this one when that is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<u32>,
    /// `IFLA_LINK_NETNSID`, valid in this link's own netns only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_netnsid: Option<i32>,
    /// `IFLA_MASTER`: ifindex of the bridge or bond that it is a port of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qdisc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_queue_length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternative_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload: Option<Offload>,
    /// What the kind adds: VLAN id, VXLAN port, macvlan mode, … by `ip -d link`'s names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
    /// BPF programs attached to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Attachment>,
}

impl Link {
    /// Whether `IFF_UP` is set: somebody wants it up.
    pub fn is_up(&self) -> bool {
        self.flags.iter().any(|flag| flag == "UP")
    }

    /// The ifindex of the other end. Kernels that leave `IFLA_LINK` out do so where both ends have the same one.
    pub fn far_ifindex(&self) -> u32 {
        self.link.filter(|ifindex| *ifindex != 0).unwrap_or(self.ifindex)
    }

    /// Whether its kind comes in pairs, whose other end `link` names.
    pub fn is_paired(&self) -> bool {
        matches!(self.kind.as_str(), "veth" | "netkit" | "vxcan")
    }
}

/// `IFLA_OPERSTATE` (RFC 2863).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperationalState {
    #[default]
    Unknown,
    NotPresent,
    Down,
    LowerLayerDown,
    Testing,
    Dormant,
    Up,
}

/// Largest segment that the device takes, in bytes; the IPv4 pair exists since Linux 6.3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offload {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gso_max_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gro_max_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gso_ipv4_max_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gro_ipv4_max_size: Option<u32>,
}

/// `IFLA_STATS64`, counted since the link was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}
