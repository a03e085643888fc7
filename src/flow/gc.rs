//! What podnet made and nobody has any more.
//!
//! Looking changes nothing. Only what both of two looks found is removed, each thing under the lock of its
//! attachment and after one more check; what a run in flight or a live container holds is never found.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::error::Error;
use super::journal::{Phase, State};
use super::kernel::{deletion, link, masquerade};
use super::names;
use super::step::Change;
use crate::collect::kernel::netlink::Netlink;
use crate::collect::proc;
use crate::ipam::{Owner, Store};
use crate::model::link::Link;
use crate::model::netns::{HolderKind, Inode};
use crate::model::node::Node;
use crate::model::peer::Peers;
use crate::model::workload::State as WorkloadState;
use crate::netns::Handle;

/// What is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// A run was killed while it created or undid.
    Run(Owner),
    /// All was made, its interface is gone since, and nobody lives where it was.
    Attachment(Owner),
    /// An interface that no journal knows, in whose netns nobody lives.
    Interface { owner: Owner, name: String },
    /// An address whose owner has neither journal nor interface, nor runs.
    Address { owner: Owner, address: IpAddr },
    /// An address in the table of nf_tables that no attachment has.
    Masquerade(IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Run,
    Attachment,
    Interface,
    Address,
    Masquerade,
}

impl Leftover {
    pub fn kind(&self) -> Kind {
        match self {
            Leftover::Run(_) => Kind::Run,
            Leftover::Attachment(_) => Kind::Attachment,
            Leftover::Interface { .. } => Kind::Interface,
            Leftover::Address { .. } => Kind::Address,
            Leftover::Masquerade(_) => Kind::Masquerade,
        }
    }

    /// Why nobody has it any more.
    pub fn why(&self) -> &'static str {
        match self {
            Leftover::Run(_) => "podnet was killed while it worked on it",
            Leftover::Attachment(_) => "its interface is gone, with its pod",
            Leftover::Interface { .. } => "no journal knows it, and nobody lives at its other end",
            Leftover::Address { .. } => "its owner has no interface and does not run",
            Leftover::Masquerade(_) => "no interface of podnet has it",
        }
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leftover::Run(owner) | Leftover::Attachment(owner) => owner.fmt(out),
            Leftover::Interface { owner, name } => write!(out, "link {name} of {owner}"),
            Leftover::Address { owner, address } => write!(out, "address {address} of {owner}"),
            Leftover::Masquerade(address) => write!(out, "nf_tables inet {} element {address}", masquerade::TABLE),
        }
    }
}

/// Looks around. `node` is what runs here, as a survey read it just now; `store` the root of the address store.
pub fn look(engine: &Engine, store: &Path, node: &Node) -> Result<Vec<Leftover>, Error> {
    let journals = engine.journals();
    let owners = journals.owners()?;
    let mut found = Vec::new();
    let mut addresses = BTreeSet::new();
    for owner in &owners {
        let in_flight = journals.in_flight(owner)?;
        let state = journals.peek(owner)?;
        let recorded = state.iter().flat_map(|state| &state.record.addresses);
        addresses.extend(recorded.map(|leased| leased.address.addr()));
        match state {
            // Whoever runs may be about to masquerade what no record tells of yet.
            _ if in_flight => addresses.extend(leased(store, owner)?),
            Some(state) if state.phase == Phase::Ready => {
                if has_gone(&state)? {
                    found.push(Leftover::Attachment(owner.clone()));
                }
            }
            _ => found.push(Leftover::Run(owner.clone())),
        }
    }
    found.extend(interfaces(node, Handle::own()?.inode(), &owners));
    found.extend(held_addresses(store, node, &owners)?);
    let elements = masquerade::list()?.into_iter().map(|element| element.address);
    found.extend(elements.filter(|address| !addresses.contains(address)).map(Leftover::Masquerade));
    Ok(found)
}

fn leased(store: &Path, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
    let lease = Store::open(store).lease(owner)?;
    Ok(lease.addresses.iter().map(|leased| leased.address.addr()).collect())
}

/// A pair lives and dies as one: without the host's end there is none in the pod. Whoever lives on without it has lost
/// his interface, and neither his netns nor his address.
fn has_gone(state: &State) -> Result<bool, Error> {
    let found = link::find(&mut host()?, &state.record.host.name)?;
    let gone = found.is_none_or(|found| found.mac != state.record.host.mac);
    Ok(gone && !state.record.netns.map(may_be_lived_in).transpose()?.unwrap_or(false))
}

/// Whoever may not be looked at may live there.
fn may_be_lived_in(netns: Inode) -> Result<bool, Error> {
    let walk = proc::walk(Path::new("/proc")).map_err(|source| Error::Processes { source })?;
    Ok(walk.processes.values().any(|process| process.netns.is_none_or(|own| own == netns)))
}

fn host() -> Result<Netlink, Error> {
    Netlink::open(netlink_sys::protocols::NETLINK_ROUTE)
        .map_err(|source| Error::Kernel { what: "open a netlink socket".to_owned(), source })
}

/// `host` is the netns that podnet is in.
fn interfaces(node: &Node, host: Inode, owners: &[Owner]) -> Vec<Leftover> {
    let Some(state) = node.namespace(host) else { return Vec::new() };
    let peers = Peers::new(&node.namespaces);
    let abandoned = |link: &Link| {
        let owner = names::owner_of_alias(link.alias.as_deref()?)?;
        let lived_in = peers.of(host, link).and_then(|peer| peer.netns).is_none_or(|netns| {
            let holders = node.namespace(netns.inode).map(|state| state.netns.holders.as_slice()).unwrap_or_default();
            holders
                .iter()
                .any(|holder| matches!(holder.kind, HolderKind::Process | HolderKind::Fd | HolderKind::Thread))
        });
        let known = owners.contains(&owner);
        (!known && !lived_in).then(|| Leftover::Interface { owner, name: link.name.clone() })
    };
    state.links.iter().filter_map(abandoned).collect()
}

fn held_addresses(store: &Path, node: &Node, owners: &[Owner]) -> Result<Vec<Leftover>, Error> {
    let mut netlink = host()?;
    let mut found = Vec::new();
    for held in Store::open(store).held()? {
        let Ok(holder) = &held.reservation.holder else { continue };
        let ifname = holder.ifname.as_deref().unwrap_or("eth0");
        let Ok(owner) = Owner::new(&holder.container_id, ifname) else { continue };
        let runs = node.workloads.iter().any(|workload| {
            let sandbox = workload.pod.as_ref().and_then(|pod| pod.sandbox_id.as_deref());
            let own = workload.id.as_deref() == Some(owner.container_id()) || sandbox == Some(owner.container_id());
            own && !matches!(workload.state, WorkloadState::Stopped | WorkloadState::Dead)
        });
        if !runs && !owners.contains(&owner) && link::find(&mut netlink, &names::host_interface(&owner))?.is_none() {
            found.push(Leftover::Address { owner, address: held.reservation.address });
        }
    }
    Ok(found)
}

/// Removes a leftover, unless somebody works on it or has it by now; then nothing is changed.
pub fn remove(engine: &Engine, store: &Path, leftover: &Leftover) -> Result<Vec<Change>, Error> {
    let journals = engine.journals();
    match leftover {
        Leftover::Run(owner) => {
            let Some(journal) = journals.try_open(owner)? else { return Ok(Vec::new()) };
            let unfinished = journal.state().is_none_or(|state| state.phase != Phase::Ready);
            if unfinished { engine.undo(journal) } else { Ok(Vec::new()) }
        }
        Leftover::Attachment(owner) => {
            let Some(journal) = journals.try_open(owner)? else { return Ok(Vec::new()) };
            let gone = journal.state().map(has_gone).transpose()?.unwrap_or(false);
            if gone { engine.undo(journal) } else { Ok(Vec::new()) }
        }
        Leftover::Interface { owner, name } => alone(engine, owner, || {
            let mut netlink = host()?;
            let found = link::find(&mut netlink, name)?.filter(|found| found.alias == Some(names::alias(owner)));
            let Some(found) = found else { return Ok(Vec::new()) };
            let deleted = deletion::delete(&mut netlink, found.ifindex)?;
            Ok(if deleted { vec![Change::removed(format!("link {} {name}", found.ifindex))] } else { Vec::new() })
        }),
        Leftover::Address { owner, address } => alone(engine, owner, || {
            if link::find(&mut host()?, &names::host_interface(owner))?.is_some() {
                return Ok(Vec::new());
            }
            let released = Store::open(store).release(owner)?;
            let change = |released: &IpAddr| Change::removed(format!("address {released}"));
            Ok(released.iter().filter(|released| *released == address).map(change).collect())
        }),
        Leftover::Masquerade(address) => {
            let removed = masquerade::Masquerade::open(journals.run())?.remove(&[*address])?;
            Ok(removed.iter().map(|address| Change::removed(format!("element {address}"))).collect())
        }
    }
}

/// Works under the lock of an attachment that has no journal; when it has one by now it is somebody's.
fn alone(
    engine: &Engine,
    owner: &Owner,
    work: impl FnOnce() -> Result<Vec<Change>, Error>,
) -> Result<Vec<Change>, Error> {
    let Some(journal) = engine.journals().try_open(owner)? else { return Ok(Vec::new()) };
    if journal.state().is_some() {
        return Ok(Vec::new());
    }
    let changes = work();
    journal.remove()?;
    changes
}
