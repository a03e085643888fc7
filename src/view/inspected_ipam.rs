//! Who handed out the addresses of a pod, from what pool, beside what the kernel shows.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disagreement::Disagreement;
use crate::model::address::Family;
use crate::model::agent::{Agent, SOURCE};
use crate::model::endpoint::Endpoint;
use crate::model::netns::NetnsState;
use crate::model::node::Node;
use crate::model::workload::Workload;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InspectedIpam {
    pub addresses: Vec<HandedOut>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<Disagreement>,
}

/// An address, and who says that he gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandedOut {
    pub address: IpAddr,
    /// cilium agent, host-local, podnet.
    pub by: String,
    /// Of the agent: kubernetes, cluster-pool, multi-pool, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The pool, or host-local's network.
    pub pool: String,
    /// `namespace/pod`, or the container that the store names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub cidr: Option<IpNet>,
    /// How many addresses of the pool are taken, of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The agent gave it and no endpoint has taken it: it takes it back 10 minutes after the ADD.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unclaimed: bool,
    /// Seconds that the kernel still keeps it, where that is not for ever (DHCP, SLAAC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_seconds: Option<u32>,
}

/// None where nobody on this node says that he gave an address, and nobody should have.
pub fn inspected(
    node: &Node,
    endpoint: Option<&Endpoint>,
    workload: Option<&Workload>,
    state: &NetnsState,
) -> Option<InspectedIpam> {
    if state.netns.is_host {
        return None;
    }
    let mut found = InspectedIpam { addresses: Vec::new(), disagreements: Vec::new() };
    let lifetimes = lifetimes(state);
    let believed = endpoint.map(|endpoint| endpoint.addresses.as_slice()).unwrap_or_default();
    let addresses: BTreeSet<IpAddr> =
        lifetimes.iter().map(|(address, _)| *address).chain(believed.iter().copied()).collect();
    for address in addresses {
        let mut given = by_agent(node, endpoint, address);
        given.extend(by_stores(node, address));
        let seconds = lifetimes.iter().find(|(own, _)| *own == address).and_then(|(_, seconds)| *seconds);
        given.iter_mut().for_each(|given| given.valid_seconds = seconds);
        found.compare(node, endpoint, workload, address, &given);
        found.addresses.extend(given);
    }
    let silent = found.addresses.is_empty() && found.disagreements.is_empty();
    (!silent).then_some(found)
}

fn lifetimes(state: &NetnsState) -> Vec<(IpAddr, Option<u32>)> {
    let all = state.links.iter().flat_map(|link| &link.addresses);
    all.filter(|address| address.scope == "global").map(|address| (address.address, address.valid_seconds)).collect()
}

fn by_agent(node: &Node, endpoint: Option<&Endpoint>, address: IpAddr) -> Vec<HandedOut> {
    let Some((agent, ipam)) = node.agent.as_ref().and_then(|agent| Some((agent, agent.ipam.as_ref()?))) else {
        return Vec::new();
    };
    let taken = |address: &IpAddr| node.endpoints.iter().chain(endpoint).any(|other| other.addresses.contains(address));
    let fill = ipam.fills.iter().find(|fill| fill.family == Family::of(&address));
    let held = ipam.allocations.iter().filter(|held| held.address == address);
    let given = held.map(|held| HandedOut {
        address,
        by: SOURCE.to_owned(),
        mode: agent.mode.ipam.clone(),
        pool: held.pool.clone(),
        owner: held.owner.clone(),
        cidr: range_of(agent, address),
        used: fill.map(|fill| fill.used),
        size: fill.map(|fill| fill.size),
        since: None,
        unclaimed: !taken(&address),
        valid_seconds: None,
    });
    given.collect()
}

/// The range of this node that the agent says it gives such an address from.
fn range_of(agent: &Agent, address: IpAddr) -> Option<IpNet> {
    let filled = agent.ipam.iter().flat_map(|ipam| &ipam.fills).flat_map(|fill| fill.cidrs.iter().copied());
    let announced = agent.families.iter().filter_map(|family| family.allocation_range);
    filled.chain(announced).find(|range| range.contains(&address))
}

fn by_stores(node: &Node, address: IpAddr) -> Vec<HandedOut> {
    let mut given = Vec::new();
    for store in &node.address_stores {
        for network in &store.networks {
            let held = network.held.iter().filter(|held| held.address == address);
            given.extend(held.map(|held| HandedOut {
                address,
                by: store.kind.clone(),
                mode: None,
                pool: network.name.clone(),
                owner: held.container_id.clone(),
                cidr: network.subnets.iter().find(|subnet| subnet.contains(&address)).copied(),
                used: Some(network.held.len() as u64),
                size: None,
                since: held.since,
                unclaimed: false,
                valid_seconds: None,
            }));
        }
    }
    given
}

impl InspectedIpam {
    fn differ(&mut self, what: &str, told: &[(&str, &str)]) {
        self.disagreements.push(Disagreement::new(what, told));
    }

    fn compare(
        &mut self,
        node: &Node,
        endpoint: Option<&Endpoint>,
        workload: Option<&Workload>,
        address: IpAddr,
        given: &[HandedOut],
    ) {
        let own = workload.and_then(|workload| workload.pod.as_ref());
        let name = own.map(|pod| format!("{}/{}", pod.namespace, pod.name));
        let sandbox =
            own.and_then(|pod| pod.sandbox_id.as_ref()).or(workload.and_then(|workload| workload.id.as_ref()));
        for held in given {
            let agent = held.mode.is_some() || held.by == SOURCE;
            let owner = held.owner.as_deref().map(|owner| owner.split(' ').next().unwrap_or(owner));
            let expected = if agent { name.as_ref() } else { sandbox };
            // Only `namespace/pod` names a pod; «router» and the like are told of no pod's address but a wrong one.
            if let (Some(owner), Some(expected)) = (owner, expected)
                && owner != expected
            {
                self.differ("owner", &[("runtime", expected), (&held.by, owner)]);
            }
            let pool = endpoint.and_then(|endpoint| endpoint.pools.get(&address));
            if let Some(pool) = pool.filter(|pool| agent && **pool != held.pool) {
                self.differ("pool", &[("endpoint", pool), (&held.by, &held.pool)]);
            }
        }
        self.compare_unallocated(node, endpoint, address, given);
    }

    /// An address of the agent's range that it has not given, or will give again.
    fn compare_unallocated(&mut self, node: &Node, endpoint: Option<&Endpoint>, address: IpAddr, given: &[HandedOut]) {
        let Some(agent) = node.agent.as_ref().filter(|agent| agent.ipam.is_some()) else { return };
        let delegated = agent.mode.ipam.as_deref() == Some("delegated-plugin");
        let chained = agent.mode.chaining.as_deref().is_some_and(|mode| !matches!(mode, "none" | "portmap" | ""));
        if delegated || chained || !given.is_empty() {
            return;
        }
        if endpoint.is_some_and(|endpoint| endpoint.addresses.contains(&address)) {
            self.differ("allocation", &[("endpoint", &address.to_string()), ("agent's IPAM", "not allocated")]);
        } else if range_of(agent, address).is_some() {
            self.differ("allocation", &[("kernel", &address.to_string()), ("agent's IPAM", "not allocated")]);
        }
    }
}
