//! `podnet ipam check` and `podnet ipam release --from-report`: the books of the address stores beside what is there.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::check::ipam::{Held, all_held, all_leaked};
use crate::check::{CheckReport, Facts, Finding, Skipped, pods};
use crate::ipam::leak::Fingerprint;
use crate::model::address_store::{StoredAddress, StoredNetwork};
use crate::model::node::Node;
use crate::model::source::Asked;

/// The books of each store, both ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpamReport {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    pub collected_at: Timestamp,
    /// `release` takes a report of this machine and this boot alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    pub networks: Vec<NetworkCount>,
    /// Allocated, and no namespace has it.
    pub absent: Vec<AbsentAddress>,
    /// In a namespace, and allocated to nobody.
    pub unallocated: Vec<UnallocatedAddress>,
    pub findings: Vec<Finding>,
    pub skipped: Vec<Skipped>,
    pub sources: Vec<Asked>,
}

/// Numbers of addresses of a network of host-local, or of a pool of podnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkCount {
    #[serde(flatten)]
    pub place: Place,
    pub allocated: usize,
    /// Of those that are allocated: no namespace has them.
    pub absent: usize,
    /// Of those that are absent: held for nobody, so that they can be released.
    pub leaked: usize,
    /// In a namespace, within the network's range, and not allocated.
    pub unallocated: usize,
}

/// Where a store keeps a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// host-local or podnet.
    pub store: String,
    pub directory: String,
    pub network: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbsentAddress {
    #[serde(flatten)]
    pub place: Place,
    pub address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Held for nobody, as far as can be known.
    pub leaked: bool,
    /// Of one that is leaked: its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Fingerprint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnallocatedAddress {
    #[serde(flatten)]
    pub place: Place,
    pub address: IpAddr,
    /// Whose it is, as podnet takes it for a target.
    pub of: String,
    pub interface: String,
}

/// `busy` are containers that somebody sets up or tears down just now; `file` tells the file of a leaked address.
pub fn report(
    facts: &Facts<'_>,
    judged: CheckReport,
    busy: &BTreeSet<String>,
    file: impl Fn(&Place, IpAddr) -> Option<Fingerprint>,
) -> IpamReport {
    let leaked: BTreeSet<String> = leaked(facts, busy).iter().map(Held::path).collect();
    let in_use = facts.addresses_in_use();
    let mut absent = Vec::new();
    for held in all_held(facts).filter(|held| !in_use.contains(&held.address.address)) {
        let place = place(&held);
        let leaked = leaked.contains(&held.path());
        absent.push(AbsentAddress {
            file: leaked.then(|| file(&place, held.address.address)).flatten(),
            address: held.address.address,
            container_id: held.address.container_id.clone(),
            ifname: held.address.ifname.clone(),
            since: held.address.since,
            leaked,
            place,
        });
    }
    let unallocated = unallocated(facts);
    let networks = networks(facts).map(|(place, network)| NetworkCount {
        allocated: network.held.len(),
        absent: absent.iter().filter(|own| own.place == place).count(),
        leaked: absent.iter().filter(|own| own.place == place && own.leaked).count(),
        unallocated: unallocated.iter().filter(|own| own.place == place).count(),
        place,
    });
    let host = facts.node.host.as_ref();
    IpamReport {
        api_version: API_VERSION.to_owned(),
        kind: "IpamReport".to_owned(),
        node: facts.node.hostname.clone(),
        collected_at: facts.node.collected_at,
        machine_id: host.and_then(|host| host.machine_id.clone()),
        boot_id: host.and_then(|host| host.boot_id.clone()),
        networks: networks.collect(),
        unallocated,
        absent,
        findings: judged.findings,
        skipped: judged.skipped,
        sources: judged.sources,
    }
}

/// What can be released: leaked as the rule has it, and of no container that somebody may still be setting up or
/// tearing down, be it that its namespace is mounted or that a runtime that is here did not answer.
fn leaked<'a>(facts: &Facts<'a>, busy: &BTreeSet<String>) -> Vec<Held<'a>> {
    if facts.failed_runtime().is_some() {
        return Vec::new();
    }
    let paths = || facts.node.namespaces.iter().flat_map(|state| &state.netns.paths);
    let short =
        |path: &str| path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path).to_owned();
    let mounted = |id: &str| {
        let attachments = facts.node.attachments.iter().flatten().filter(|attachment| attachment.container_id == id);
        attachments
            .filter_map(|attachment| attachment.netns.as_deref())
            .any(|own| paths().any(|path| short(path) == short(own)))
    };
    let mut leaked = all_leaked(facts);
    leaked.retain(|held| held.address.container_id.as_ref().is_some_and(|id| !busy.contains(id) && !mounted(id)));
    leaked
}

fn place(held: &Held<'_>) -> Place {
    Place {
        store: held.store.kind.clone(),
        directory: held.store.directory.clone(),
        network: held.network.name.clone(),
    }
}

fn networks<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (Place, &'a StoredNetwork)> {
    facts.node.address_stores.iter().flat_map(|store| {
        store.networks.iter().map(move |network| {
            let (store, directory) = (store.kind.clone(), store.directory.clone());
            (Place { store, directory, network: network.name.clone() }, network)
        })
    })
}

/// Of pods of this node; those of a node within a pod have their own books.
fn unallocated(facts: &Facts<'_>) -> Vec<UnallocatedAddress> {
    let mut found = Vec::new();
    for pod in pods(facts).iter().filter(|pod| facts.level(pod.inode()).is_none_or(|level| level <= 1)) {
        for (link, address) in pod.addresses().filter(|(_, address)| address.scope == "global") {
            for (place, network) in networks(facts) {
                let within = |subnet: &IpNet| subnet.contains(&address.address);
                let in_range =
                    network.ranges.is_empty() || network.ranges.iter().any(|range| range.contains(address.address));
                let held = network.held.iter().any(|held| held.address == address.address);
                if network.subnets.iter().any(within) && in_range && !held {
                    let (of, interface) = (pod.name.clone(), link.name.clone());
                    found.push(UnallocatedAddress { place, address: address.address, of, interface });
                }
            }
        }
    }
    found
}

/// What was released, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpamRelease {
    pub api_version: String,
    pub kind: String,
    /// Whether it was done; else this was only a look.
    pub applied: bool,
    pub items: Vec<ReleasedAddress>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedAddress {
    #[serde(flatten)]
    pub place: Place,
    pub address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// Released, or with nothing against it.
    pub free: bool,
    /// Why it was left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

pub fn release(applied: bool, items: Vec<ReleasedAddress>) -> IpamRelease {
    IpamRelease { api_version: API_VERSION.to_owned(), kind: "IpamRelease".to_owned(), applied, items }
}

/// Notes that a store holds an address whose file was just removed, unless somebody made another.
pub fn hold(node: &mut Node, removed: &AbsentAddress) {
    let place = &removed.place;
    let stores = node.address_stores.iter_mut();
    let own = stores.filter(|store| store.kind == place.store && store.directory == place.directory);
    let network = own.flat_map(|store| &mut store.networks).find(|network| network.name == place.network);
    let Some(network) = network.filter(|network| network.held.iter().all(|held| held.address != removed.address))
    else {
        return;
    };
    network.held.push(StoredAddress {
        address: removed.address,
        container_id: removed.container_id.clone(),
        ifname: removed.ifname.clone(),
        since: removed.since,
        problem: None,
    });
}

/// What the first report calls leaked, each with what speaks against its release by what is there now and by the other
/// reports. Not one byte of its file may have changed since any of them.
pub fn compare(reports: &[IpamReport], now: &IpamReport) -> Vec<(AbsentAddress, Option<&'static str>)> {
    let Some((first, others)) = reports.split_first() else { return Vec::new() };
    let same = |one: &AbsentAddress, other: &AbsentAddress| one.place == other.place && one.address == other.address;
    let mut compared: Vec<(AbsentAddress, Option<&'static str>)> = Vec::new();
    for leaked in first.absent.iter().filter(|absent| absent.leaked) {
        if compared.iter().any(|(known, _)| same(known, leaked)) {
            continue;
        }
        let agreed = others.iter().all(|report| report.absent.contains(leaked));
        let why = match now.absent.iter().find(|absent| same(absent, leaked)) {
            _ if !agreed => Some("the reports do not agree on it"),
            None => Some("it is in use now, or held no more"),
            Some(now) if !now.leaked => Some("it is not known to be held for nobody now"),
            Some(now) if leaked.file.is_none() || now != leaked => Some("its file is another one now"),
            Some(_) => None,
        };
        compared.push((leaked.clone(), why));
    }
    compared
}
