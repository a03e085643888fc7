//! A route, as `RTM_GETROUTE` tells it, and the nexthop objects that it may name.

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
