//! `podnet inspect`: everything about one workload's network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use super::cni::{Attached, attached};
use super::host_route::{self, Detour};
use super::inspected_endpoint::{self, InspectedEndpoint};
use super::inspected_ipam::{self, InspectedIpam};
use super::kube::{InKubernetes, in_kubernetes};
use crate::model::dns::Dns;
use crate::model::link::Link;
use crate::model::neighbour::Neighbour;
use crate::model::netns::{Netns, NetnsState};
use crate::model::node::Node;
use crate::model::peer::{Peer, Peers};
use crate::model::route::{Nexthop, Route};
use crate::model::rule::Rule;
use crate::model::socket::Sockets;
use crate::model::source::Asked;
use crate::model::sysctl::Sysctls;
use crate::model::workload::Workload;
use crate::target::Pick;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    pub collected_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The other workloads of its netns; nobody, for the host's own.
    pub shared_with: Vec<Workload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
    pub interfaces: Vec<Interface>,
    pub routes: Vec<Route>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nexthops: Vec<Nexthop>,
    pub rules: Vec<Rule>,
    pub neighbours: Vec<Neighbour>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<Sysctls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sockets: Option<Sockets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// Its attachments by libcni's cache, where that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cni: Option<Vec<Attached>>,
    /// Cilium's endpoint for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<InspectedEndpoint>,
    /// Who gave it its addresses, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam: Option<InspectedIpam>,
    /// Of a pod, where the API server was asked and answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<InKubernetes>,
    /// What `podnet check` finds wrong with it, as far as it was read for this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What could not be read.
    pub problems: Vec<String>,
    pub sources: Vec<Asked>,
}

/// The code of a rule, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    pub code: String,
    pub message: String,
}

/// A link, with what is at its other end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    #[serde(flatten)]
    pub link: Link,
    /// The name of `master`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    /// How the host reaches each address: address → the route that its rules and tables lead to, unless that is the default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_routes: BTreeMap<IpAddr, Route>,
    /// The addresses that no route of the host leads to by the other end, and what becomes of packets to them instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_detours: BTreeMap<IpAddr, Detour>,
}

/// Puts together what the node knows of the pick, with the name resolution that was read for it.
pub fn inspection(node: &Node, pick: Pick, dns: Option<Dns>) -> Inspection {
    let workload = pick.workload.and_then(|index| node.workloads.get(index)).cloned();
    let state = pick.netns.and_then(|inode| node.namespace(inode)).cloned().unwrap_or_default();
    let netns = pick.netns.map(|_| state.netns.clone());
    let endpoint = pick.endpoint.and_then(|index| node.endpoints.get(index));
    let endpoint = endpoint.or_else(|| node.endpoint_of(workload.as_ref(), pick.netns));
    Inspection {
        api_version: API_VERSION.to_owned(),
        kind: "Inspection".to_owned(),
        node: node.hostname.clone(),
        collected_at: node.collected_at,
        shared_with: shared_with(node, pick),
        cni: attached(node, workload.as_ref(), &state),
        kubernetes: in_kubernetes(node, workload.as_ref(), &state),
        interfaces: interfaces(node, &state),
        endpoint: endpoint.map(|endpoint| inspected_endpoint::inspected(node, endpoint, workload.as_ref(), &state)),
        ipam: inspected_ipam::inspected(node, endpoint, workload.as_ref(), &state),
        workload,
        netns,
        routes: state.routes,
        nexthops: state.nexthops,
        rules: state.rules,
        neighbours: state.neighbours,
        sysctls: state.sysctls,
        sockets: state.sockets,
        dns,
        faults: Vec::new(),
        problems: state.problems,
        sources: node.sources.clone(),
    }
}

fn shared_with(node: &Node, pick: Pick) -> Vec<Workload> {
    let Some(inode) = pick.netns.filter(|inode| *inode != node.host_netns) else { return Vec::new() };
    let others = node
        .workloads
        .iter()
        .enumerate()
        .filter(|(index, workload)| Some(*index) != pick.workload && workload.netns == Some(inode));
    others.map(|(_, workload)| workload.clone()).collect()
}

fn interfaces(node: &Node, state: &NetnsState) -> Vec<Interface> {
    let peers = Peers::new(&node.namespaces);
    let host = node.namespace(node.host_netns).filter(|host| host.netns.inode != state.netns.inode);
    let interface = |link: &Link| {
        let peer = peers.of(state.netns.inode, link).or_else(|| peers.beneath(state.netns.inode, link));
        let on_host = host.map(|host| host_route::ways(host, link, peer.as_ref())).unwrap_or_default();
        Interface {
            master_name: link.master.and_then(|master| name_of(state, master)),
            peer,
            host_routes: on_host.routes,
            host_detours: on_host.detours,
            link: link.clone(),
        }
    };
    state.links.iter().map(interface).collect()
}

fn name_of(state: &NetnsState, ifindex: u32) -> Option<String> {
    state.links.iter().find(|link| link.ifindex == ifindex).map(|link| link.name.clone())
}
