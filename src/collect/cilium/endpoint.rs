//! Endpoints as the agent sends them, from Cilium 1.9 to 1.20: every field may be missing or null.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::controller;
use super::time;
use crate::model::endpoint::{Endpoint, Health, NamedPort, PodName, Policy, StatusChange, ToldBy};
use crate::model::mac::Mac;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    id: u32,
    spec: Option<Configuration>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Status {
    state: Option<String>,
    external_identifiers: Option<Identifiers>,
    identity: Option<Identity>,
    labels: Option<Labels>,
    realized: Option<Configuration>,
    networking: Option<Networking>,
    policy: Option<PolicyStatus>,
    log: Option<Vec<Change>>,
    controllers: Option<Vec<controller::Wire>>,
    health: Option<WireHealth>,
    #[serde(rename = "namedPorts")]
    named_ports: Option<Vec<Port>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Identifiers {
    cni_attachment_id: Option<String>,
    container_id: Option<String>,
    container_name: Option<String>,
    pod_name: Option<String>,
    k8s_pod_name: Option<String>,
    k8s_namespace: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Identity {
    id: Option<u32>,
    labels: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Labels {
    security_relevant: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Configuration {
    options: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Networking {
    addressing: Option<Vec<AddressPair>>,
    host_mac: Option<String>,
    mac: Option<String>,
    interface_name: Option<String>,
    interface_index: Option<u32>,
    container_interface_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct AddressPair {
    ipv4: Option<String>,
    ipv4_pool_name: Option<String>,
    ipv6: Option<String>,
    ipv6_pool_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct PolicyStatus {
    spec: Option<PolicySide>,
    realized: Option<PolicySide>,
    proxy_policy_revision: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct PolicySide {
    policy_enabled: Option<String>,
    policy_revision: Option<i64>,
    allowed_ingress_identities: Option<Vec<u32>>,
    allowed_egress_identities: Option<Vec<u32>>,
    denied_ingress_identities: Option<Vec<u32>>,
    denied_egress_identities: Option<Vec<u32>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Change {
    timestamp: Option<String>,
    code: Option<String>,
    state: Option<String>,
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireHealth {
    overall_health: Option<String>,
    bpf: Option<String>,
    policy: Option<String>,
    connected: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Option<String>,
    port: u16,
    protocol: Option<String>,
}

/// The endpoints of `GET /endpoint`. One that cannot be read does not spoil the others: it is told.
pub fn endpoints(list: &[&RawValue]) -> (Vec<Endpoint>, Vec<String>) {
    let mut problems = Vec::new();
    let mut found = Vec::with_capacity(list.len());
    for (nth, raw) in list.iter().enumerate() {
        match serde_json::from_str::<Wire>(raw.get()) {
            Ok(wire) => found.push(endpoint(wire)),
            Err(error) => problems.push(format!("endpoint {} of {} in the list: {error}", nth + 1, list.len())),
        }
    }
    found.sort_by_key(|endpoint| endpoint.id);
    (found, problems)
}

/// The answer to `GET /endpoint/{id}/log`, newest first.
pub fn log(changes: Vec<serde_json::Value>) -> Vec<StatusChange> {
    let mut log: Vec<StatusChange> =
        changes.into_iter().filter_map(|value| serde_json::from_value(value).ok()).map(change).collect();
    log.sort_by_key(|change| std::cmp::Reverse(change.timestamp));
    log
}

fn endpoint(wire: Wire) -> Endpoint {
    let status = wire.status.unwrap_or_default();
    let identifiers = status.external_identifiers.unwrap_or_default();
    let networking = status.networking.unwrap_or_default();
    let identity = status.identity.unwrap_or_default();
    let options = status.realized.and_then(|realized| realized.options).unwrap_or_default();
    let wanted = wire.spec.and_then(|spec| spec.options).unwrap_or_default();
    let mut endpoint = Endpoint {
        id: wire.id,
        state: filled(status.state),
        told_by: ToldBy::Agent,
        identity: identity.id,
        labels: identity
            .labels
            .or_else(|| status.labels.and_then(|labels| labels.security_relevant))
            .unwrap_or_default(),
        pod: pod(&identifiers),
        container_id: filled(identifiers.container_id),
        container_name: filled(identifiers.container_name),
        attachment_id: filled(identifiers.cni_attachment_id),
        interface: filled(networking.interface_name),
        ifindex: networking.interface_index.filter(|ifindex| *ifindex != 0),
        container_interface: filled(networking.container_interface_name),
        mac: networking.mac.and_then(mac),
        host_mac: networking.host_mac.and_then(mac),
        policy: status.policy.map(policy),
        health: status.health.map(health),
        log: status.log.unwrap_or_default().into_iter().map(change).collect(),
        controllers: controller::controllers(status.controllers),
        named_ports: status.named_ports.unwrap_or_default().into_iter().map(named_port).collect(),
        pending_options: wanted.into_iter().filter(|(name, value)| options.get(name) != Some(value)).collect(),
        options,
        ..Endpoint::default()
    };
    for pair in networking.addressing.unwrap_or_default() {
        add(&mut endpoint, pair.ipv4, pair.ipv4_pool_name);
        add(&mut endpoint, pair.ipv6, pair.ipv6_pool_name);
    }
    endpoint
}

fn add(endpoint: &mut Endpoint, address: Option<String>, pool: Option<String>) {
    let Some(address) = address.and_then(|text| text.parse().ok()) else { return };
    endpoint.addresses.push(address);
    if let Some(pool) = filled(pool) {
        endpoint.pools.insert(address, pool);
    }
}

/// The host's endpoint has the pod name «/».
fn pod(identifiers: &Identifiers) -> Option<PodName> {
    let parts = identifiers.k8s_namespace.as_deref().zip(identifiers.k8s_pod_name.as_deref());
    let (namespace, name) = parts.or_else(|| identifiers.pod_name.as_deref()?.split_once('/'))?;
    let filled = !namespace.is_empty() && !name.is_empty();
    filled.then(|| PodName { namespace: namespace.to_owned(), name: name.to_owned() })
}

/// The zero address is no address: an L3 netkit has none.
fn mac(text: String) -> Option<Mac> {
    text.parse().ok().filter(|mac: &Mac| mac.0 != [0; 6])
}

fn policy(status: PolicyStatus) -> Policy {
    let (wanted, realized) = (status.spec.unwrap_or_default(), status.realized.unwrap_or_default());
    Policy {
        enforcement: realized.policy_enabled,
        wanted_enforcement: wanted.policy_enabled,
        realized_revision: realized.policy_revision,
        wanted_revision: wanted.policy_revision,
        proxy_revision: status.proxy_policy_revision,
        allowed_ingress: realized.allowed_ingress_identities.unwrap_or_default(),
        allowed_egress: realized.allowed_egress_identities.unwrap_or_default(),
        denied_ingress: realized.denied_ingress_identities.unwrap_or_default(),
        denied_egress: realized.denied_egress_identities.unwrap_or_default(),
    }
}

fn health(wire: WireHealth) -> Health {
    Health { overall: wire.overall_health, bpf: wire.bpf, policy: wire.policy, connected: wire.connected }
}

fn change(wire: Change) -> StatusChange {
    StatusChange {
        timestamp: wire.timestamp.as_deref().and_then(time),
        code: wire.code,
        state: wire.state,
        message: wire.message,
    }
}

fn named_port(wire: Port) -> NamedPort {
    NamedPort { name: wire.name, port: wire.port, protocol: wire.protocol }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
