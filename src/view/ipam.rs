//! `podnet ipam`: the pools and how full they are, and who holds which address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::ipam::Pool;
use crate::ipam::reader::{Listing, Reservation};
use crate::model::address::Family;
use crate::model::source::Asked;

/// Under «by»: podnet's own store.
pub const OWN: &str = "podnet";

/// The pools of this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolList {
    pub api_version: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Who gives the next pod its addresses: cilium agent, host-local, podnet, or another plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruled_by: Option<String>,
    /// Of the agent: kubernetes, cluster-pool, multi-pool, crd, eni, azure, alibabacloud, delegated-plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Which subnets this node gives addresses from, and whether it can take another pod, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_take_another: Option<bool>,
    /// Those of whoever gives the next address first.
    pub items: Vec<PoolUse>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Asked>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolUse {
    pub name: String,
    /// podnet, cilium agent, host-local.
    pub by: String,
    pub families: Vec<FamilyUse>,
    /// … of which nobody here tells how many addresses there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncounted: Vec<UncountedUse>,
    /// Ranges that are never given out.
    pub exclude: Vec<String>,
    /// Files in the pool's directory that are no part of the layout, and addresses that it no longer covers.
    pub problems: Vec<String>,
}

/// How full a pool is with addresses of one family. `used + resting + free` is `size`, unless
/// addresses were asked for by name beyond those that are given out unasked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FamilyUse {
    pub family: Family,
    /// The subnets that this node gives addresses from.
    #[schemars(with = "Vec<String>")]
    pub subnets: Vec<IpNet>,
    pub gateways: Vec<IpAddr>,
    /// Addresses that can be given out unasked.
    pub size: usize,
    pub used: usize,
    /// Released, to be given out again when the search comes round.
    pub resting: usize,
    pub free: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reserved: Option<IpAddr>,
}

/// Addresses of one family that are given out from more than this node knows the number of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UncountedUse {
    pub family: Family,
    #[schemars(with = "Vec<String>")]
    pub subnets: Vec<IpNet>,
    pub used: usize,
}

/// The addresses that are held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressList {
    pub api_version: String,
    pub kind: String,
    pub items: Vec<HeldAddress>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldAddress {
    pub address: IpAddr,
    /// Who says that he gave it: podnet, cilium agent, host-local; cni cache or podnet's journals, where none of them
    /// does.
    pub by: String,
    /// The pool, or the network of host-local.
    pub pool: String,
    /// By the agent's books: `namespace/pod`, router, health, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why the file does not tell who holds the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What the store knows of one address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressReport {
    pub api_version: String,
    pub kind: String,
    pub address: IpAddr,
    pub state: State,
    /// The pool that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub subnet: Option<IpNet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Of a withheld address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who holds it; of a resting address who held it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<HeldAddress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Held,
    Resting,
    Free,
    /// Network, broadcast, gateway or excluded.
    Withheld,
    /// In no pool.
    Unknown,
}

/// What was released.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    pub api_version: String,
    pub kind: String,
    pub addresses: Vec<IpAddr>,
}

pub fn pools(items: Vec<PoolUse>) -> PoolList {
    PoolList {
        api_version: API_VERSION.to_owned(),
        kind: "PoolList".to_owned(),
        node: None,
        ruled_by: None,
        mode: None,
        answer: None,
        can_take_another: None,
        items,
        sources: Vec::new(),
    }
}

/// How full a pool is.
pub fn pool(pool: &Pool, listing: &Listing, resting: &[IpAddr]) -> PoolUse {
    let outside = |held: &&Reservation| pool.subnet_of(held.address).is_none();
    let stray = listing.reservations.iter().filter(outside);
    let strangers = listing.strangers.iter().map(|name| format!("{name}: no file of an address store"));
    let problems = strangers.chain(stray.map(|held| format!("{}: held, but in no subnet of the pool", held.address)));
    PoolUse {
        name: pool.name.clone(),
        by: OWN.to_owned(),
        families: pool.families().into_iter().map(|family| family_use(pool, family, listing, resting)).collect(),
        uncounted: Vec::new(),
        exclude: pool.exclude.iter().map(ToString::to_string).collect(),
        problems: problems.collect(),
    }
}

fn family_use(pool: &Pool, family: Family, listing: &Listing, resting: &[IpAddr]) -> FamilyUse {
    let subnets: Vec<_> = pool.subnets.iter().filter(|subnet| subnet.family() == family).collect();
    let of_family = |address: &IpAddr| Family::of(address) == family;
    let used = listing.reservations.iter().filter(|held| of_family(&held.address)).count();
    let resting = resting.iter().copied().filter(of_family).collect::<BTreeSet<_>>().len();
    let size = pool.size(family);
    FamilyUse {
        family,
        subnets: subnets.iter().map(|subnet| subnet.cidr).collect(),
        gateways: subnets.iter().map(|subnet| subnet.gateway).collect(),
        size,
        used,
        resting,
        free: size.saturating_sub(used).saturating_sub(resting),
        last_reserved: listing.last_reserved.iter().map(|(_, address)| *address).find(of_family),
    }
}

/// The held addresses of one pool or network, of a store of that kind.
pub fn held(by: &str, pool: &str, listing: &Listing) -> Vec<HeldAddress> {
    let held = |reservation| HeldAddress { by: by.to_owned(), ..held_address(pool, reservation) };
    listing.reservations.iter().map(held).collect()
}

pub fn addresses(items: Vec<HeldAddress>) -> AddressList {
    AddressList { api_version: API_VERSION.to_owned(), kind: "AddressList".to_owned(), items }
}

fn held_address(pool: &str, reservation: &Reservation) -> HeldAddress {
    let holder = reservation.holder.as_ref();
    HeldAddress {
        address: reservation.address,
        by: OWN.to_owned(),
        pool: pool.to_owned(),
        owner: None,
        container_id: holder.ok().map(|holder| holder.container_id.clone()),
        ifname: holder.ok().and_then(|holder| holder.ifname.clone()),
        since: reservation.since.and_then(|since| Timestamp::try_from(since).ok()),
        problem: holder.err().map(ToString::to_string),
    }
}

/// What is known of an address: `holder` by its file, with the name of the pool, `rested` by the file
/// that it left.
pub fn address(
    address: IpAddr,
    pools: &[Pool],
    holder: Option<(&str, &Reservation)>,
    rested: Option<(&str, &Reservation)>,
) -> AddressReport {
    let pool = pools.iter().find(|pool| pool.subnet_of(address).is_some());
    let subnet = pool.and_then(|pool| pool.subnet_of(address));
    let reason = pool.and_then(|pool| pool.reason_withheld(address));
    let state = match (holder, rested, reason, pool) {
        (Some(_), ..) => State::Held,
        (_, _, Some(_), _) => State::Withheld,
        (_, Some(_), ..) => State::Resting,
        (.., Some(_)) => State::Free,
        _ => State::Unknown,
    };
    AddressReport {
        api_version: API_VERSION.to_owned(),
        kind: "Address".to_owned(),
        address,
        state,
        pool: holder.map(|(name, _)| name.to_owned()).or_else(|| pool.map(|pool| pool.name.clone())),
        subnet: subnet.map(|subnet| subnet.cidr),
        gateway: subnet.map(|subnet| subnet.gateway),
        reason: reason.map(str::to_owned),
        holder: holder.or(rested).map(|(name, reservation)| held_address(name, reservation)),
    }
}

/// As another than podnet knows the address, where podnet does not.
pub fn known_elsewhere(report: AddressReport, all: AddressList) -> AddressReport {
    if report.state != State::Unknown {
        return report;
    }
    match all.items.into_iter().find(|held| held.address == report.address) {
        Some(held) => AddressReport { state: State::Held, pool: Some(held.pool.clone()), holder: Some(held), ..report },
        None => report,
    }
}

pub fn released(addresses: Vec<IpAddr>) -> Released {
    Released { api_version: API_VERSION.to_owned(), kind: "Released".to_owned(), addresses }
}
