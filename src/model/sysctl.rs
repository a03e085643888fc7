//! The settings under `/proc/sys/net` that decide a packet's fate, as the netns itself sees them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sysctls {
    /// By dotted name with the value's text: `net.ipv4.ip_forward` → `1`. Interface names stand
    /// between slashes where they hold a dot, as in sysctl(8).
    pub values: BTreeMap<String, String>,
    /// Interface → the rp_filter in force: the larger of `all` and its own (Documentation/networking/ip-sysctl).
    pub effective_rp_filter: BTreeMap<String, u8>,
    /// `nf_conntrack_count` and `_max`, where conntrack is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conntrack: Option<Fill>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    pub count: u64,
    pub max: u64,
}
