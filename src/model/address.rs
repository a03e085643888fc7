//! An address of an interface, as `RTM_GETADDR` tells it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// `IFA_LOCAL`, or `IFA_ADDRESS` where the kernel sends no local one (IPv6).
    pub address: IpAddr,
    pub prefix_length: u8,
    pub family: Family,
    /// `global`, `link`, `host`, `site`, or a number (`ifa_scope`).
    pub scope: String,
    /// The other end of a point-to-point link: `IFA_ADDRESS` where it differs from the local one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `IFA_FLAGS` by their `ip addr` names: permanent, tentative, dadfailed, deprecated, nodad, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Cow<'static, str>>,
    /// Seconds, absent when for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_seconds: Option<u32>,
}
