//! A route, as `RTM_GETROUTE` tells it, and the nexthop objects that it may name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Family;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    pub family: Family,
    /// `0.0.0.0/0` or `::/0` for the default route.
    #[schemars(with = "String")]
    pub destination: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub source_prefix: Option<IpNet>,
    /// IPv4: only for packets with this type of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos: Option<u8>,
    /// unicast, local, broadcast, blackhole, unreachable, prohibit, throw, …
    pub kind: String,
    pub table: u32,
    /// `RTA_PRIORITY`; absent is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// kernel, boot, static, bgp, … or a number.
    pub protocol: String,
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_source: Option<IpAddr>,
    /// One, or several for ECMP; none for types that go nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_hops: Vec<NextHop>,
    /// `RTA_NH_ID`: the nexthop object that the hops come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nexthop_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// The rest of `RTA_METRICS`, by the names and in the units of `ip route`: initcwnd, hoplimit, rto_min, lock, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, String>,
    /// `RTA_PREF` of a router advertisement (RFC 4191), unless it is medium: low, high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<String>,
    /// `RTNH_F_*` and `RTM_F_*` by their `ip route` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

impl Route {
    pub fn is_default(&self) -> bool {
        self.destination.prefix_len() == 0
    }

    /// Whether packets end here, instead of being sent on.
    pub fn refuses(&self) -> bool {
        matches!(self.kind.as_str(), "blackhole" | "unreachable" | "prohibit")
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextHop {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifindex: Option<u32>,
    /// Name of that interface, in the netns of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// 1 unless ECMP says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// The tunnel that packets are put in, in the words of `ip route`: `mpls 100/200`, `ip id 7 dst 10.0.0.9`, `bpf`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encap: Option<String>,
    /// onlink, linkdown, dead, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// A nexthop object (`ip nexthop`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nexthop {
    pub id: u32,
    #[serde(flatten)]
    pub hop: NextHop,
    pub blackhole: bool,
    /// Ids and weights, when it is a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<(u32, u16)>,
}
