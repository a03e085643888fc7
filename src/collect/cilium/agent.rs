//! What the agent says of itself: `GET /healthz` and `GET /config`, from Cilium 1.9 to 1.20.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use super::controller;
use crate::model::address::Family;

use crate::model::agent::{
    Agent, Allocation, Condition, FamilyAddressing, Fill, Ipam, Masquerade, Mode, PodSettings, beginning,
};
use crate::model::link::Offload;

/// The pool whose addresses are listed without its name.
const DEFAULT_POOL: &str = "default";

/// `GET /healthz` (StatusResponse).
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Health {
    cilium: Option<Status>,
    kubernetes: Option<Status>,
    kvstore: Option<Status>,
    cni_file: Option<Status>,
    cluster: Option<Cluster>,
    stale: Option<BTreeMap<String, Value>>,
    controllers: Option<Vec<controller::Wire>>,
    ipam: Option<IpamStatus>,
    bpf_maps: Option<Maps>,
    kube_proxy_replacement: Option<KubeProxyReplacement>,
    masquerading: Option<Masquerading>,
    host_routing: Option<Named>,
    routing: Option<Routing>,
    clock_source: Option<Named>,
    cni_chaining: Option<Named>,
    encryption: Option<Encryption>,
    datapath_mode: Option<String>,
    configured_datapath_mode: Option<String>,
    attach_mode: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    state: Option<String>,
    msg: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Encryption {
    mode: Option<String>,
    wireguard: Option<Wireguard>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wireguard {
    interfaces: Option<Vec<WireguardInterface>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct WireguardInterface {
    public_key: Option<String>,
}

impl Encryption {
    fn keys(&self) -> impl Iterator<Item = String> {
        let interfaces = self.wireguard.iter().filter_map(|wireguard| wireguard.interfaces.as_ref()).flatten();
        interfaces.filter_map(|interface| interface.public_key.as_deref().map(beginning))
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Cluster {
    cilium_health: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IpamStatus {
    status: Option<String>,
    allocations: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Maps {
    maps: Option<Vec<Map>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Map {
    name: String,
    size: u64,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct KubeProxyReplacement {
    mode: Option<String>,
    device_list: Option<Vec<Device>>,
    devices: Option<Vec<String>>,
    direct_routing_device: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Device {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Masquerading {
    enabled: Option<bool>,
    #[serde(rename = "enabledProtocols")]
    enabled_protocols: Option<Protocols>,
    mode: Option<String>,
    snat_exclusion_cidr: Option<String>,
    snat_exclusion_cidr_v4: Option<String>,
    snat_exclusion_cidr_v6: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Protocols {
    ipv4: Option<bool>,
    ipv6: Option<bool>,
}

/// What has a mode and nothing else that is read here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    mode: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Routing {
    inter_host_routing_mode: Option<String>,
    intra_host_routing_mode: Option<String>,
    tunnel_protocol: Option<String>,
}

/// `GET /config` (DaemonConfiguration).
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Configuration {
    status: Option<ConfigurationStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConfigurationStatus {
    addressing: Option<Addressing>,
    realized: Option<Realized>,
    daemon_configuration_map: Option<BTreeMap<String, Value>>,
    #[serde(rename = "deviceMTU")]
    device_mtu: Option<u32>,
    #[serde(rename = "routeMTU")]
    route_mtu: Option<u32>,
    datapath_mode: Option<String>,
    configured_datapath_mode: Option<String>,
    #[serde(rename = "ipam-mode")]
    ipam_mode: Option<String>,
    masquerade: Option<bool>,
    masquerade_protocols: Option<Protocols>,
    #[serde(rename = "ipLocalReservedPorts")]
    reserved_ports: Option<String>,
    #[serde(rename = "packetizationLayerPMTUDMode")]
    mtu_probing: Option<Value>,
    #[serde(rename = "enableBBRHostNamespaceOnly")]
    bbr_on_host_only: Option<bool>,
    #[serde(rename = "deviceHeadroom")]
    headroom: Option<u16>,
    #[serde(rename = "deviceTailroom")]
    tailroom: Option<u16>,
    #[serde(rename = "GSOMaxSize")]
    gso: Option<u32>,
    #[serde(rename = "GROMaxSize")]
    gro: Option<u32>,
    #[serde(rename = "GSOIPv4MaxSize")]
    gso_ipv4: Option<u32>,
    #[serde(rename = "GROIPv4MaxSize")]
    gro_ipv4: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Addressing {
    ipv4: Option<Element>,
    ipv6: Option<Element>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Element {
    enabled: Option<bool>,
    ip: Option<String>,
    alloc_range: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Realized {
    options: Option<BTreeMap<String, String>>,
    policy_enforcement: Option<String>,
}

/// Joins the two answers; either may be missing.
pub fn agent(socket: String, health: Option<Health>, configuration: Option<Configuration>) -> Agent {
    let health = health.unwrap_or_default();
    let configuration = configuration.and_then(|configuration| configuration.status).unwrap_or_default();
    let mode = mode(&health, &configuration);
    let realized = configuration.realized.unwrap_or_default();
    let addressing = configuration.addressing.unwrap_or_default();
    Agent {
        socket,
        version: health.cilium.as_ref().and_then(version),
        health: health.cilium.map(condition),
        kubernetes: health.kubernetes.map(condition),
        kvstore: health.kvstore.map(condition),
        cni_file: health.cni_file.map(condition),
        cluster_health: health.cluster.and_then(|cluster| cluster.cilium_health).map(condition),
        stale_probes: health.stale.unwrap_or_default().into_iter().map(|(name, since)| (name, plain(since))).collect(),
        mode,
        families: [(Family::Ipv4, addressing.ipv4), (Family::Ipv6, addressing.ipv6)]
            .into_iter()
            .filter_map(|(family, element)| element.map(|element| family_addressing(family, element)))
            .collect(),
        device_mtu: configuration.device_mtu,
        route_mtu: configuration.route_mtu.filter(|mtu| *mtu != 0),
        offload: Offload {
            gso_max_size: size(configuration.gso),
            gro_max_size: size(configuration.gro),
            gso_ipv4_max_size: size(configuration.gso_ipv4),
            gro_ipv4_max_size: size(configuration.gro_ipv4),
        },
        pod_settings: PodSettings {
            reserved_ports: configuration.reserved_ports.filter(|ports| !ports.is_empty()),
            mtu_probing: configuration.mtu_probing.map(plain).filter(|mode| !matches!(mode.as_str(), "" | "null")),
            cubic: configuration.bbr_on_host_only.unwrap_or(false),
            headroom: configuration.headroom,
            tailroom: configuration.tailroom,
        },
        ipam: health.ipam.map(ipam),
        controllers: controller::controllers(health.controllers),
        map_sizes: health
            .bpf_maps
            .and_then(|maps| maps.maps)
            .unwrap_or_default()
            .into_iter()
            .map(|map| (map.name, map.size))
            .collect(),
        options: realized.options.unwrap_or_default(),
        start_options: configuration.daemon_configuration_map.map(scalars).unwrap_or_default(),
        problems: Vec::new(),
    }
}

/// 0 says that it leaves the kernel's own.
fn size(size: Option<u32>) -> Option<u32> {
    size.filter(|size| *size > 0)
}

fn mode(health: &Health, configuration: &ConfigurationStatus) -> Mode {
    let started = |name: &str| configuration.daemon_configuration_map.as_ref()?.get(name);
    let started_text =
        |name: &str| started(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let routing = health.routing.as_ref();
    let routed = |field: fn(&Routing) -> &Option<String>| routing.and_then(|routing| field(routing).clone());
    let lower = |text: String| text.to_ascii_lowercase();
    let replacement = health.kube_proxy_replacement.as_ref();
    let named = |field: &Option<Named>| field.as_ref().and_then(|named| named.mode.clone());
    Mode {
        datapath: health.datapath_mode.clone().or_else(|| configuration.datapath_mode.clone()),
        configured_datapath: health
            .configured_datapath_mode
            .clone()
            .or_else(|| configuration.configured_datapath_mode.clone()),
        attach: health.attach_mode.clone(),
        ipam: configuration.ipam_mode.clone().filter(|mode| !mode.is_empty()),
        routing: routed(|routing| &routing.inter_host_routing_mode).or_else(|| started_text("RoutingMode")).map(lower),
        tunnel_protocol: routed(|routing| &routing.tunnel_protocol).or_else(|| started_text("TunnelProtocol")),
        host_routing: routed(|routing| &routing.intra_host_routing_mode).or_else(|| named(&health.host_routing)),
        endpoint_routes: started("EnableEndpointRoutes").and_then(Value::as_bool),
        masquerade: masquerade(health.masquerading.as_ref(), configuration),
        kube_proxy_replacement: replacement.and_then(|replacement| replacement.mode.clone()),
        chaining: named(&health.cni_chaining),
        encryption: health.encryption.as_ref().and_then(|encryption| encryption.mode.clone()),
        wireguard_keys: health.encryption.iter().flat_map(Encryption::keys).collect(),
        policy_enforcement: configuration.realized.as_ref().and_then(|realized| realized.policy_enforcement.clone()),
        clock_source: named(&health.clock_source),
        devices: replacement.map(devices).unwrap_or_default(),
        direct_routing_device: replacement
            .and_then(|replacement| replacement.direct_routing_device.clone())
            .filter(|name| !name.is_empty()),
    }
}

/// `enabledProtocols` since 1.10; one `enabled` for both before.
fn masquerade(health: Option<&Masquerading>, configuration: &ConfigurationStatus) -> Option<Masquerade> {
    let protocols = health
        .and_then(|health| health.enabled_protocols.as_ref())
        .or(configuration.masquerade_protocols.as_ref())
        .map(|protocols| (protocols.ipv4.unwrap_or(false), protocols.ipv6.unwrap_or(false)));
    let both = || health.and_then(|health| health.enabled).or(configuration.masquerade).map(|on| (on, on));
    let (ipv4, ipv6) = protocols.or_else(both)?;
    let exclusions = health
        .map(|health| [&health.snat_exclusion_cidr_v4, &health.snat_exclusion_cidr_v6, &health.snat_exclusion_cidr]);
    let mut exclusions: Vec<String> =
        exclusions.into_iter().flatten().flatten().filter(|cidr| !cidr.is_empty()).cloned().collect();
    exclusions.dedup();
    Some(Masquerade { ipv4, ipv6, by: health.and_then(|health| health.mode.clone()), exclusions })
}

fn devices(replacement: &KubeProxyReplacement) -> Vec<String> {
    let listed = replacement.device_list.iter().flatten().filter_map(|device| device.name.clone());
    let mut devices: Vec<String> = listed.collect();
    if devices.is_empty() {
        devices = replacement.devices.clone().unwrap_or_default();
    }
    devices
}

fn condition(status: Status) -> Condition {
    Condition { state: status.state.unwrap_or_default(), message: status.msg.filter(|message| !message.is_empty()) }
}

/// `1.15.0-dev (v1.15.0-dev-rig)` while all is well; a complaint takes its place.
fn version(status: &Status) -> Option<String> {
    let word = status.msg.as_deref()?.split_whitespace().next()?.trim_start_matches('v');
    word.starts_with(|first: char| first.is_ascii_digit()).then(|| word.to_owned())
}

fn family_addressing(family: Family, element: Element) -> FamilyAddressing {
    FamilyAddressing {
        family,
        enabled: element.enabled.unwrap_or(false),
        router: element.ip.and_then(|ip| ip.parse().ok()),
        allocation_range: element.alloc_range.and_then(|range| range.parse().ok()),
    }
}

fn ipam(status: IpamStatus) -> Ipam {
    let allocations = status.allocations.unwrap_or_default();
    let mut allocations: Vec<Allocation> =
        allocations.into_iter().filter_map(|(key, owner)| allocation(&key, owner)).collect();
    allocations.sort_by(|one, other| (&one.pool, one.address).cmp(&(&other.pool, other.address)));
    let fills = status.status.as_deref().map(fills).unwrap_or_default();
    Ipam { status: status.status.filter(|status| !status.is_empty()), fills, allocations }
}

/// The key is an address, `<pool>/<address>` where the pool is not the default one.
fn allocation(key: &str, owner: String) -> Option<Allocation> {
    let (pool, address) = key.rsplit_once('/').unwrap_or((DEFAULT_POOL, key));
    let address: IpAddr = address.parse().ok()?;
    Some(Allocation { address, pool: pool.to_owned(), owner: Some(owner).filter(|owner| !owner.is_empty()) })
}

/// `IPv4: 5/254 allocated from 10.244.1.0/24, IPv6: 3/65534 allocated from fd00::/112`; pools are only counted
/// there, which is no figure of how full they are.
fn fills(status: &str) -> Vec<Fill> {
    let (ipv4, ipv6) = status.split_once("IPv6:").unwrap_or((status, ""));
    let ipv4 = ipv4.trim().strip_prefix("IPv4:").unwrap_or_default();
    [(Family::Ipv4, ipv4), (Family::Ipv6, ipv6)].into_iter().filter_map(|(family, text)| fill(family, text)).collect()
}

fn fill(family: Family, text: &str) -> Option<Fill> {
    let mut words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let (used, size) = words.next()?.split_once('/')?;
    let (used, size) = (used.parse().ok()?, size.parse().ok()?);
    let cidrs: Vec<IpNet> = words.filter_map(|word| word.parse().ok()).collect();
    Some(Fill { family, used, size, cidrs })
}

fn scalars(map: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let scalar = |value: &Value| !(value.is_null() || value.is_object() || value.is_array());
    map.into_iter().filter(|(_, value)| scalar(value)).map(|(name, value)| (name, plain(value))).collect()
}

fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipam_figures_are_read_where_there_are_some() {
        let read = |text: &str| {
            fills(text).into_iter().map(|fill| (fill.used, fill.size, fill.cidrs.len())).collect::<Vec<_>>()
        };
        assert_eq!(read("IPv4: 5/254 allocated from 10.244.1.0/24, "), [(5, 254, 1)]);
        let both = "IPv4: 5/254 allocated from 10.244.1.0/24, IPv6: 3/65534 allocated from fd00::/112";
        assert_eq!(read(both), [(5, 254, 1), (3, 65_534, 1)]);
        assert_eq!(read("IPv4: 7/16 allocated, "), [(7, 16, 0)]);
        for none in ["", "IPv4: 2 IPAM pool(s) available, ", "delegated to plugin", "IPv6:", "IPv4: /"] {
            assert!(read(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_complaint_is_no_version() {
        let version = |text: &str| version(&Status { state: None, msg: Some(text.to_owned()) });
        assert_eq!(version("1.15.0-dev (v1.15.0-dev-rig)").as_deref(), Some("1.15.0-dev"));
        assert_eq!(version("v1.9.18 (v1.9.18-3b2)").as_deref(), Some("1.9.18"));
        assert_eq!(version("Kubernetes service is not ready"), None);
    }
}
