//! What the Cilium agent of this node says of itself: version, health, mode, and whom it gave addresses to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::link::Offload;

/// The name under «sources», and of the agent's IPAM.
pub const SOURCE: &str = "cilium agent";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub socket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its own verdict on itself, which may be minutes old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kvstore: Option<Condition>,
    /// The CNI configuration file that it keeps (`cni-file`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cni_file: Option<Condition>,
    /// Reachability of the other nodes, as `cilium-health` sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_health: Option<Condition>,
    /// Probes that have hung since then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stale_probes: BTreeMap<String, String>,
    pub mode: Mode,
    /// Addresses of `cilium_host`, which are the pods' gateways, and what each family's pods are numbered from.
    #[serde(default)]
    pub families: Vec<FamilyAddressing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_mtu: Option<u32>,
    /// Largest segments that it sets on the interfaces of pods.
    #[serde(default)]
    pub offload: Offload,
    #[serde(default)]
    pub pod_settings: PodSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam: Option<Ipam>,
    #[serde(default)]
    pub controllers: Vec<Controller>,
    /// Size of each BPF map by the agent's own name for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub map_sizes: BTreeMap<String, u64>,
    /// Runtime options in force: Debug, PolicyAuditMode, MonitorAggregationLevel, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Start options with a plain value (`daemonConfigurationMap`, since 1.12): EnableEndpointRoutes, RoutingMode, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub start_options: BTreeMap<String, String>,
    /// What it did not answer, each with why; what depends on it is then absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// Ok, Warning, Failure, Disabled, or what a later agent says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Condition {
    pub fn is_bad(&self) -> bool {
        !matches!(self.state.as_str(), "Ok" | "Disabled" | "")
    }
}

/// As much of a public key as tells it from others.
pub fn beginning(key: &str) -> String {
    key.chars().take(12).collect()
}

/// How it moves packets, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mode {
    /// veth, netkit, netkit-l2, ipvlan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datapath: Option<String>,
    /// What was asked for, where that is «auto».
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured_datapath: Option<String>,
    /// tc or tcx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attach: Option<String>,
    /// kubernetes, cluster-pool, multi-pool, crd, eni, azure, alibabacloud, delegated-plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam: Option<String>,
    /// tunnel or native: between nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<String>,
    /// vxlan or geneve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel_protocol: Option<String>,
    /// BPF or Legacy: within the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_routing: Option<String>,
    /// A route for each endpoint, instead of one for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_routes: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masquerade: Option<Masquerade>,
    /// True, False; Strict, Partial, Probe, Disabled before 1.14.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kube_proxy_replacement: Option<String>,
    /// none, portmap, flannel, aws-cni, generic-veth, azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chaining: Option<String>,
    /// Disabled, IPsec, Wireguard, Ztunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// How the public keys of its WireGuard interfaces begin: enough to tell one from another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wireguard_keys: Vec<String>,
    /// default, always, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_enforcement: Option<String>,
    /// ktime or jiffies: what times in the maps are counted by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_source: Option<String>,
    /// Interfaces that it takes for the node's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_routing_device: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Masquerade {
    pub ipv4: bool,
    pub ipv6: bool,
    /// BPF or iptables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Not masqueraded towards these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FamilyAddressing {
    pub family: super::address::Family,
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub allocation_range: Option<IpNet>,
}

/// What it wants of a pod's netns beside addresses, since 1.16.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Ports that nobody in the pod may bind by chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_ports: Option<String>,
    /// `tcp_mtu_probing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu_probing: Option<String>,
    /// BBR is the host's alone: pods go back to cubic.
    pub cubic: bool,
    /// Of netkit devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headroom: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tailroom: Option<u16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ipam {
    /// `IPv4: 5/254 allocated from 10.244.1.0/24, IPv6: …`, as it puts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The figures of `status`, where it gives some.
    #[serde(default)]
    pub fills: Vec<Fill>,
    pub allocations: Vec<Allocation>,
}

/// `N/M allocated from CIDR`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    pub family: super::address::Family,
    pub used: u64,
    pub size: u64,
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub cidrs: Vec<IpNet>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    pub address: IpAddr,
    pub pool: String,
    /// `namespace/pod`, router, health, ingress, `… (excluded)`; absent where the agent knows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A task that the agent repeats until it succeeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Controller {
    pub name: String,
    pub successes: u64,
    pub failures: u64,
    /// Since the last success; above 0 it is failing now.
    pub consecutive_failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl Controller {
    pub fn is_failing(&self) -> bool {
        self.consecutive_failures > 0
    }
}
