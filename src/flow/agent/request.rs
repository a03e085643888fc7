//! What the agent is told of an endpoint: `EndpointChangeRequest`, with the fields that its version has.

use serde::Serialize;

use super::{Told, Version};
use crate::flow::record::Record;
use crate::model::mac::Mac;

/// Since when the agent is told of the interface in the pod.
const CONTAINER_INTERFACE: Version = (1, 14);
/// … and of the pod's uid, its netns and that one's cookie.
const NETNS: Version = (1, 16);
/// How the agent sees the host's `/run/netns`.
const NETNS_AS_MOUNTED: &str = "/var/run/cilium/netns";

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EndpointRequest {
    pub container_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_interface_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_netns_path: Option<String>,
    pub interface_name: String,
    pub interface_index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_mac: Option<Mac>,
    pub addressing: Addressing,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k8s_namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k8s_pod_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k8s_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns_cookie: Option<String>,
    pub state: &'static str,
    pub sync_build_endpoint: bool,
    pub datapath_configuration: Datapath,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Addressing {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_expiration_uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_pool_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_expiration_uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_pool_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Datapath {
    /// Another plugin gave the addresses, and takes them back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external_ipam: bool,
}

/// Of what the record says was made. `cookie` is that of the pod's netns, where the kernel has them.
pub fn endpoint(record: &Record, told: &Told, cookie: Option<u64>) -> EndpointRequest {
    let version = told.config.version;
    let pod = record.wish.agent.as_ref().and_then(|agent| agent.pod.clone());
    let since = |then: Version| version >= then;
    let netns = record.netns_path();
    let netns = netns.file_name().map(|name| format!("{NETNS_AS_MOUNTED}/{}", name.to_string_lossy()));
    EndpointRequest {
        container_id: record.wish.owner.container_id().to_owned(),
        container_interface_name: since(CONTAINER_INTERFACE).then(|| record.pod.name.clone()),
        container_netns_path: netns.filter(|_| since(NETNS)),
        interface_name: record.host.name.clone(),
        interface_index: record.host.ifindex,
        mac: record.pod.mac,
        host_mac: record.host.mac,
        addressing: addressing(told),
        k8s_namespace: pod.as_ref().map(|pod| pod.namespace.clone()),
        k8s_pod_name: pod.as_ref().map(|pod| pod.name.clone()),
        k8s_uid: pod.and_then(|pod| pod.uid).filter(|_| since(NETNS)),
        netns_cookie: since(NETNS).then(|| cookie.unwrap_or(0).to_string()),
        state: "waiting-for-identity",
        sync_build_endpoint: true,
        datapath_configuration: Datapath { external_ipam: record.wish.delegate.is_some() },
    }
}

fn addressing(told: &Told) -> Addressing {
    let mut pair = Addressing::default();
    for given in told.given.clone() {
        let (address, expiration, pool) = match given.address.is_ipv4() {
            true => (&mut pair.ipv4, &mut pair.ipv4_expiration_uuid, &mut pair.ipv4_pool_name),
            false => (&mut pair.ipv6, &mut pair.ipv6_expiration_uuid, &mut pair.ipv6_pool_name),
        };
        *address = Some(given.address.to_string());
        *expiration = given.expiration;
        *pool = given.pool;
    }
    pair
}
