//! The store that `create`, `delete` and the CNI plugin use: reserve, release, look up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::books::{Books, Places};
use super::config;
use super::error::Error;
use super::ledger::{Ledger, leased};
use super::owner::Owner;
use super::pool::Pool;
use super::reader::{self, Listing, Reservation};
use super::record::{self, Entry};

/// An address store under a root directory. Opening it touches nothing; what it needs is made by the
/// first reservation. Any number of processes may use one root at once.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// What an interface needs.
#[derive(Clone, Debug)]
pub struct Request {
    pub owner: Owner,
    /// The pool to take an IPv4 address from. `None`: no IPv4.
    pub ipv4: Option<String>,
    /// The pool to take an IPv6 address from. `None`: no IPv6.
    pub ipv6: Option<String>,
    /// Addresses asked for by name, one of a family at most.
    pub wanted: Vec<IpAddr>,
}

/// What an interface was given: one address of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub owner: Owner,
    pub addresses: Vec<LeasedAddress>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasedAddress {
    /// The address with the prefix length of its subnet.
    pub address: IpNet,
    pub gateway: IpAddr,
    pub pool: String,
}

/// An address that is held, whoever wrote its file.
#[derive(Debug)]
pub struct Held {
    pub pool: String,
    pub reservation: Reservation,
}

impl Store {
    pub fn open(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every pool by name, the built-in `default` included.
    pub fn pools(&self) -> Result<Vec<Pool>, Error> {
        config::pools(&self.root)
    }

    pub fn pool(&self, name: &str) -> Result<Pool, Error> {
        config::pool(&self.root, name)
    }

    /// Adds a pool that overlaps no other. One named `default` replaces the built-in one.
    pub fn add_pool(&self, pool: &Pool) -> Result<(), Error> {
        config::add(&self.root, pool)
    }

    /// Removes a pool that holds no address.
    pub fn remove_pool(&self, name: &str) -> Result<(), Error> {
        config::remove(&self.root, name)
    }

    /// What stands in the directory of a pool.
    pub fn listing(&self, pool: &str) -> Result<Listing, Error> {
        reader::read(&Places::new(&self.root, pool).held)
    }

    /// The addresses of a pool that were released and are not given out again yet.
    pub fn resting(&self, pool: &str) -> Result<Vec<IpAddr>, Error> {
        Places::new(&self.root, pool).all_resting()
    }

    /// Who held an address before it was released, while it rests; when, in `since`, is when it was taken.
    pub fn last_holder(&self, pool: &str, address: IpAddr) -> Option<Reservation> {
        Places::new(&self.root, pool).resting(address)
    }

    /// Every address that is held, by pool and address.
    pub fn held(&self) -> Result<Vec<Held>, Error> {
        let mut held = Vec::new();
        for pool in self.directories()? {
            let reservations = self.listing(&pool)?.reservations;
            held.extend(reservations.into_iter().map(|reservation| Held { pool: pool.clone(), reservation }));
        }
        Ok(held)
    }

    /// What an owner holds; no addresses when nothing.
    pub fn lease(&self, owner: &Owner) -> Result<Lease, Error> {
        let pools = self.pools()?;
        let entries = record::read(&self.root, owner)?.unwrap_or_default();
        let held = entries.into_iter().filter(|entry| self.is_held_by(entry, owner));
        let addresses = held.filter_map(|entry| {
            let pool = pools.iter().find(|pool| pool.name == entry.pool)?;
            leased(pool, entry.address)
        });
        Ok(Lease { owner: owner.clone(), addresses: addresses.collect() })
    }

    fn is_held_by(&self, entry: &Entry, owner: &Owner) -> bool {
        let reservation = Places::new(&self.root, &entry.pool).reservation(entry.address);
        reservation.is_some_and(|found| found.holder.is_ok_and(|holder| holder.is(owner)))
    }

    /// Gives an interface an address of each family that was asked for and that the pool has, all or
    /// none. An owner that holds addresses gets [`Error::AlreadyReserved`], as the CNI spec wants.
    pub fn reserve(&self, request: &Request) -> Result<Lease, Error> {
        Ledger::open(&self.root, request)?.reserve()
    }

    /// Releases what an owner holds, and says what that was. Nothing held is fine.
    pub fn release(&self, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
        match record::read(&self.root, owner)? {
            Some(entries) => self.release_recorded(owner, entries),
            None => self.release_searched(owner),
        }
    }

    fn release_recorded(&self, owner: &Owner, mut entries: Vec<Entry>) -> Result<Vec<IpAddr>, Error> {
        loop {
            let books = self.open_books(&entries)?;
            // Whoever writes a record holds the locks of its pools, so it stands still now,
            // if it still is the one that was read.
            let now = record::read(&self.root, owner)?.unwrap_or_default();
            if now != entries {
                entries = now;
                continue;
            }
            let mut released = Vec::new();
            for Entry { pool, address } in entries {
                let Some(books) = books.get(&pool) else { continue };
                if books.is_held_by(address, owner)? {
                    books.release(address)?;
                    released.push(address);
                }
            }
            record::remove(&self.root, owner)?;
            return Ok(released);
        }
    }

    /// Locks the pools that a record names, in the order of their names as every reservation does.
    fn open_books(&self, entries: &[Entry]) -> Result<BTreeMap<String, Books>, Error> {
        let names: BTreeSet<&str> = entries.iter().map(|entry| entry.pool.as_str()).collect();
        let there = names.into_iter().filter(|name| Places::new(&self.root, name).held.is_dir());
        there.map(|name| Ok((name.to_owned(), Books::open(&self.root, name)?))).collect()
    }

    /// For files that podnet did not write, or whose record was lost.
    fn release_searched(&self, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
        let mut released = Vec::new();
        for pool in self.directories()? {
            let books = Books::open(&self.root, &pool)?;
            for address in books.search_owner(owner)? {
                books.release(address)?;
                released.push(address);
            }
        }
        Ok(released)
    }

    /// Who holds an address; `None` when nobody.
    pub fn holder(&self, address: IpAddr) -> Result<Option<Held>, Error> {
        let held = |pool: String| {
            let reservation = Places::new(&self.root, &pool).reservation(address)?;
            Some(Held { pool, reservation })
        };
        Ok(self.directories()?.into_iter().find_map(held))
    }

    /// Releases all that is `chosen`, whoever holds it, unless `free` objects to any of it; says what that was. While it is
    /// asked nobody takes or gives an address of those pools.
    pub fn release_unless<E: From<Error>>(
        &self,
        chosen: impl Fn(&Reservation) -> bool,
        free: impl FnOnce(&[Held]) -> Result<(), E>,
    ) -> Result<Vec<IpAddr>, E> {
        let pools: BTreeSet<String> =
            self.held()?.into_iter().filter(|held| chosen(&held.reservation)).map(|held| held.pool).collect();
        let open = |pool: String| Ok((pool.clone(), Books::open(&self.root, &pool)?));
        let books: BTreeMap<String, Books> = pools.into_iter().map(open).collect::<Result<_, Error>>()?;
        let mut held = self.held()?;
        held.retain(|held| books.contains_key(&held.pool) && chosen(&held.reservation));
        if !held.is_empty() {
            free(&held)?;
        }
        let mut released = Vec::new();
        for Held { pool, reservation } in held {
            let Some(books) = books.get(&pool) else { continue };
            books.release(reservation.address)?;
            released.push(reservation.address);
        }
        Ok(released)
    }

    /// The pools that have a directory, also of one whose configuration is gone.
    fn directories(&self) -> Result<Vec<String>, Error> {
        let mut pools = reader::networks(&self.root.join("networks"))?;
        pools.retain(|name| super::pool::is_name(name));
        Ok(pools)
    }
}
