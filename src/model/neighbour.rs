//! A neighbour entry (ARP, NDP), as `RTM_GETNEIGH` tells it.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mac::Mac;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Neighbour {
    pub address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// `NUD_*` in lower case: reachable, stale, failed, permanent, …
    pub state: String,
    pub ifindex: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// router, proxy, extern-learn, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}
