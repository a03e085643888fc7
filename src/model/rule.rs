//! A policy routing rule, as `RTM_GETRULE` tells it.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Family;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    pub family: Family,
    pub priority: u32,
    /// table, goto, nop, blackhole, unreachable, prohibit (`FR_ACT_*`; `table` is FR_ACT_TO_TBL).
    pub action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub from: Option<IpNet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub to: Option<IpNet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark_mask: Option<u32>,
    pub inverted: bool,
    /// The priority of the rule to go on with, of `goto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goto: Option<u32>,
    /// Routes with a prefix no longer than this don't count (`suppress_prefixlength`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress_prefix_length: Option<u32>,
    /// What else it goes by, as `ip rule` writes it: `ipproto tcp`, `dport 80`, `uidrange 0-5`, `tos 0x10`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<String>,
    /// It means only a part of the packets, by protocol, port, user, tunnel or VRF.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub narrowed: bool,
}
