//! The packet filter of a namespace, as nf_tables tells it: also what iptables-nft writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Firewall {
    pub chains: Vec<Chain>,
    /// Tables that the older iptables keeps (`/proc/net/ip_tables_names`), whose rules are not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legacy_tables: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// ip, ip6, inet, arp, bridge, netdev.
    pub family: String,
    pub table: String,
    pub name: String,
    /// Where packets enter it; absent for a chain that others jump to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<ChainHook>,
    /// All its rules by number, also those that `rules` leaves out.
    pub rule_count: u32,
    /// The rules of chains that filter, as far as they were read; a chain of many thousands is cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<FilterRule>,
    /// The chains that its rules lead to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jumps: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChainHook {
    /// prerouting, input, forward, output, postrouting, ingress.
    pub name: String,
    pub priority: i32,
    /// filter, nat, route.
    pub kind: String,
    /// accept or drop: what happens to a packet that no rule decides.
    pub policy: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilterRule {
    pub matches: Vec<Match>,
    /// accept, drop, return, jump NAME, goto NAME, or the name of another statement; absent for one that only counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The packets that it counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
}

/// A condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// iifname, oifname, saddr, daddr, ctstate, mark, protocol; or the name of one that was not decoded.
    pub what: String,
    /// Text of a name (a `*` at its end stands for the rest), an address or a prefix, states with commas; empty where not decoded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub negated: bool,
}
