//! Stores in directories of their own, and short ways to say what to put in.

use std::net::IpAddr;

use podnet::ipam::pool::Pool;
use podnet::ipam::{Lease, Owner, Request, Store};
use tempfile::TempDir;

pub fn store(pools: &[Pool]) -> (TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path());
    pools.iter().for_each(|pool| store.add_pool(pool).unwrap());
    (root, store)
}

pub fn pool(name: &str, cidrs: &[&str]) -> Pool {
    let cidrs: Vec<_> = cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect();
    Pool::new(name, &cidrs, &[], Vec::new()).unwrap()
}

pub fn owner(container: &str) -> Owner {
    Owner::new(container, "eth0").unwrap()
}

/// Whatever families the pool has.
pub fn request(pool: &str, container: &str) -> Request {
    let pool = Some(pool.to_owned());
    Request { owner: owner(container), ipv4: pool.clone(), ipv6: pool, wanted: Vec::new() }
}

pub fn addresses(lease: &Lease) -> Vec<IpAddr> {
    lease.addresses.iter().map(|leased| leased.address.addr()).collect()
}
