//! One reservation: the pools that it touches, locked, and the order of its writes.
//!
//! Record, then file content, then names: a kill in between leaves a record that names too much,
//! which counts for nothing, and each address whole or absent.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::books::{self, Books, Places};
use super::config;
use super::error::Error;
use super::pool::Pool;
use super::reader::Reservation;
use super::record::{self, Entry};
use super::search::Found;
use super::store::{Lease, LeasedAddress, Request};
use crate::model::address::Family;

#[derive(Debug)]
pub(super) struct Ledger<'a> {
    root: &'a Path,
    request: &'a Request,
    /// By name, which is also the order in which they were locked.
    pools: BTreeMap<&'a str, (Pool, Books)>,
}

/// An address that is free, and how the search came to it when it was not asked for by name.
struct Chosen<'a> {
    pool: &'a Pool,
    books: &'a Books,
    address: IpAddr,
    found: Option<Found>,
}

impl<'a> Ledger<'a> {
    /// Locks the pools that a request names, always in the order of their names, so that two who need
    /// the same two do not wait for each other.
    pub(super) fn open(root: &'a Path, request: &'a Request) -> Result<Self, Error> {
        let mut names: Vec<&str> = request.ipv4.iter().chain(&request.ipv6).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let mut pools = BTreeMap::new();
        for name in names {
            config::pool(root, name)?;
            let books = Books::open(root, name)?;
            // Read under the lock: it may have been removed or changed until then.
            pools.insert(name, (config::pool(root, name)?, books));
        }
        if pools.is_empty() {
            return Err(Error::NothingAsked);
        }
        Ok(Self { root, request, pools })
    }

    pub(super) fn reserve(&self) -> Result<Lease, Error> {
        self.clear_stale_record()?;
        loop {
            let chosen = self.choose()?;
            if self.commit(&chosen)? {
                let addresses = chosen.iter().filter_map(|chosen| leased(chosen.pool, chosen.address));
                return Ok(Lease { owner: self.request.owner.clone(), addresses: addresses.collect() });
            }
            // Someone who takes no lock was faster. The next look sees what they took.
        }
    }

    /// Removes a record that a killed run left without addresses.
    fn clear_stale_record(&self) -> Result<(), Error> {
        let owner = &self.request.owner;
        let Some(entries) = record::read(self.root, owner)? else { return Ok(()) };
        // A pool that is not locked here may be about to give what the record names.
        let counts = |entry: &Entry| match self.pools.get(entry.pool.as_str()) {
            Some((_, books)) => books.is_held_by(entry.address, owner),
            None => Ok(Places::new(self.root, &entry.pool).held.is_dir()),
        };
        let mut addresses = Vec::new();
        for entry in &entries {
            if counts(entry)? {
                addresses.push(entry.address);
            }
        }
        if addresses.is_empty() {
            return record::remove(self.root, owner);
        }
        Err(Error::AlreadyReserved { owner: owner.clone(), addresses })
    }

    fn choose(&self) -> Result<Vec<Chosen<'_>>, Error> {
        let request = self.request;
        let mut chosen = Vec::new();
        for (family, pool) in [(Family::Ipv4, &request.ipv4), (Family::Ipv6, &request.ipv6)] {
            let wanted = wanted(&request.wanted, family)?;
            match (pool.as_deref().and_then(|name| self.pools.get(name)), wanted) {
                (Some((pool, books)), Some(address)) => chosen.push(named(pool, books, address)?),
                (Some((pool, books)), None) => chosen.extend(next(pool, books, family)?),
                (None, Some(address)) => return Err(Error::FamilyNotAsked { address }),
                (None, None) => {}
            }
        }
        if chosen.is_empty() {
            let pools = self.pools.keys().copied().collect::<Vec<_>>().join(", ");
            return Err(Error::NoFamily { pool: pools });
        }
        Ok(chosen)
    }

    /// Writes the record and the addresses; `false`, with nothing written, when one of them is held by now.
    fn commit(&self, chosen: &[Chosen<'_>]) -> Result<bool, Error> {
        let owner = &self.request.owner;
        let entry = |chosen: &Chosen<'_>| Entry { pool: chosen.pool.name.clone(), address: chosen.address };
        if !record::write(self.root, owner, &chosen.iter().map(entry).collect::<Vec<_>>())? {
            let addresses =
                record::read(self.root, owner)?.unwrap_or_default().iter().map(|entry| entry.address).collect();
            return Err(Error::AlreadyReserved { owner: owner.clone(), addresses });
        }
        let mut held = Vec::new();
        let outcome = self.hold(chosen, &mut held);
        if !matches!(outcome, Ok(true)) {
            // What cannot be taken back stays held and in the record, where a release finds it.
            let taken_back = held.iter().try_for_each(|chosen| chosen.books.unhold(chosen.address));
            let _ = taken_back.and_then(|()| record::remove(self.root, owner));
        }
        outcome
    }

    /// Notes in `held` what was taken, also when it then fails.
    fn hold<'c>(&self, chosen: &'c [Chosen<'c>], held: &mut Vec<&'c Chosen<'c>>) -> Result<bool, Error> {
        for chosen in chosen {
            chosen.found.map_or(Ok(()), |found| chosen.books.advance(found))?;
        }
        let Some(staged) = self.stage(chosen)? else { return Ok(true) };
        for chosen in chosen {
            if !chosen.books.hold(&staged, chosen.address)? {
                return Ok(false);
            }
            held.push(chosen);
        }
        books::remove(&staged)?;
        Ok(true)
    }

    /// The addresses of one owner are names of one file: they have the same content.
    fn stage(&self, chosen: &[Chosen<'_>]) -> Result<Option<PathBuf>, Error> {
        chosen.first().map(|chosen| chosen.books.stage_reservation(&self.request.owner)).transpose()
    }
}

/// The address of a family that was asked for by name.
fn wanted(all: &[IpAddr], family: Family) -> Result<Option<IpAddr>, Error> {
    let mut wanted = all.iter().copied().filter(|address| Family::of(address) == family);
    match (wanted.next(), wanted.next()) {
        (Some(first), Some(second)) => Err(Error::TwoOfAFamily { first, second }),
        (first, _) => Ok(first),
    }
}

fn named<'a>(pool: &'a Pool, books: &'a Books, address: IpAddr) -> Result<Chosen<'a>, Error> {
    let name = || pool.name.clone();
    if pool.subnet_of(address).is_none() {
        return Err(Error::NotInPool { address, pool: name() });
    }
    if let Some(reason) = pool.reason_withheld(address) {
        return Err(Error::Withheld { address, pool: name(), reason });
    }
    match books.reservation(address) {
        Some(taken) => Err(Error::Taken { address, pool: name(), holder: holder(&taken) }),
        None => Ok(Chosen { pool, books, address, found: None }),
    }
}

fn holder(taken: &Reservation) -> String {
    match &taken.holder {
        Ok(holder) => holder.to_string(),
        Err(unclear) => format!("an unknown owner: {unclear}"),
    }
}

/// The next free address, none when the pool has no subnet of that family.
fn next<'a>(pool: &'a Pool, books: &'a Books, family: Family) -> Result<Option<Chosen<'a>>, Error> {
    if !pool.families().contains(&family) {
        return Ok(None);
    }
    match books.next(pool, family)? {
        Some(found) => Ok(Some(Chosen { pool, books, address: found.address, found: Some(found) })),
        None => Err(Error::Full { pool: pool.name.clone(), family, size: pool.size(family) }),
    }
}

/// The address with what its subnet says of it.
pub(super) fn leased(pool: &Pool, address: IpAddr) -> Option<LeasedAddress> {
    let subnet = pool.subnet_of(address)?;
    let address = IpNet::new(address, subnet.cidr.prefix_len()).ok()?;
    Some(LeasedAddress { address, gateway: subnet.gateway, pool: pool.name.clone() })
}
