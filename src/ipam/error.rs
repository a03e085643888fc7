//! What can go wrong in the address store.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use super::owner::{self, Owner};
use super::pool;
use crate::model::address::Family;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Owner(#[from] owner::Invalid),
    #[error("pool {pool} is refused")]
    Pool { pool: String, source: pool::Invalid },
    #[error("there is no pool {pool} (there are: {})", known.join(", "))]
    NoSuchPool { pool: String, known: Vec<String> },
    #[error("there is a pool {pool} already (podnet ipam pool rm {pool})")]
    PoolExists { pool: String },
    #[error("pool {pool} is built in and cannot be removed; a pool of the same name replaces it")]
    BuiltIn { pool: String },
    #[error("pool {pool} cannot be changed: {held} of its addresses are held (podnet ipam list --pool {pool})")]
    PoolInUse { pool: String, held: usize },
    #[error("{path} does not describe a pool")]
    PoolFile { path: PathBuf, source: serde_json::Error },
    #[error("pool {pool} is full: all {size} {family:?} addresses are held (podnet ipam list --pool {pool})")]
    Full { pool: String, family: Family, size: usize },
    #[error("pool {pool} has no subnet of the families asked for")]
    NoFamily { pool: String },
    #[error("no pool was named to take an address from")]
    NothingAsked,
    #[error("two addresses of one family were asked for, {first} and {second}; an interface gets one of each")]
    TwoOfAFamily { first: IpAddr, second: IpAddr },
    #[error("{address} was asked for, but no pool for an address of its family")]
    FamilyNotAsked { address: IpAddr },
    #[error("{address} lies in no subnet of pool {pool}")]
    NotInPool { address: IpAddr, pool: String },
    #[error("{address} is {reason} of pool {pool} and is never given out")]
    Withheld { address: IpAddr, pool: String, reason: &'static str },
    #[error("{address} of pool {pool} is held by {holder}")]
    Taken { address: IpAddr, pool: String, holder: String },
    #[error("{owner} holds {} already (DEL, or podnet ipam release, comes first)", list(addresses))]
    AlreadyReserved { owner: Owner, addresses: Vec<IpAddr> },
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} is not of an address store, or a link, and is left alone")]
    NotOfStore { path: PathBuf },
    #[error("{path} is left alone: no copy of it can be kept in case that its address is taken meanwhile")]
    NoCopy { path: PathBuf, source: io::Error },
    #[error("{path} was removed, its address was taken meanwhile, and it cannot be put back: write it anew")]
    NotPutBack { path: PathBuf, source: io::Error },
    #[error("cannot lock {path}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("{path} is locked by another process since {seconds} s (fuser {path} names it)")]
    Locked { path: PathBuf, seconds: u64 },
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
