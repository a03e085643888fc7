//! Addresses from the embedded store.

use std::net::IpAddr;

use crate::cni::Verb;
use crate::flow::delegate::Delegate;
use crate::flow::error::Error;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;
use crate::ipam::{LeasedAddress, Request};

pub struct Ipam;

impl Step for Ipam {
    fn name(&self) -> &'static str {
        "ipam"
    }

    fn purpose(&self) -> &'static str {
        "take an address of each family from its pool"
    }

    fn in_cilium(&self) -> &'static str {
        "IPAMAllocate → Ipam.PostIpam → IPAMResponse"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        let wish = &record.wish;
        let directory = |pool: &String| wish.store.join("networks").join(pool).display().to_string();
        let mut directories: Vec<String> = wish.ipv4_pool.iter().chain(&wish.ipv6_pool).map(directory).collect();
        directories.dedup();
        let address = if record.addresses.is_empty() { "ADDRESS" } else { "" };
        let line = |directory: &String| {
            let names = record.addresses.iter().map(|each| each.address.addr().to_string()).collect::<Vec<_>>();
            let name = if names.is_empty() { address.to_owned() } else { names.join(",") };
            format!("echo '{}' > {directory}/{name}", wish.owner.container_id())
        };
        directories.iter().map(line).collect()
    }

    fn undo_preview(&self, record: &Record) -> Vec<String> {
        let owner = &record.wish.owner;
        vec![format!("podnet ipam release --container {} --ifname {}", owner.container_id(), owner.ifname())]
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        if let Some(delegate) = work.record.wish.delegate.clone() {
            return take_from(&delegate, work);
        }
        let wish = &work.record.wish;
        let request = Request {
            owner: wish.owner.clone(),
            ipv4: wish.ipv4_pool.clone(),
            ipv6: wish.ipv6_pool.clone(),
            wanted: wish.addresses.clone(),
        };
        work.record.addresses = work.store().reserve(&request)?.addresses;
        let change =
            |each: &LeasedAddress| Change::added(format!("address {} of pool {}", each.address.addr(), each.pool));
        Ok(work.record.addresses.iter().map(change).collect())
    }

    /// By the owner, not by the record: a kill may have come between the store and the record.
    fn undo(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        if let Some(delegate) = work.record.wish.delegate.clone() {
            return give_back(&delegate, work);
        }
        let released = work.store().release(&work.record.wish.owner)?;
        work.record.addresses.clear();
        Ok(released.into_iter().map(|address| Change::removed(format!("address {address}"))).collect())
    }
}

/// The pools of the wish only say which families are wanted.
fn take_from(delegate: &Delegate, work: &mut Work) -> Result<Vec<Change>, Error> {
    let wish = &work.record.wish;
    let wanted = |address: IpAddr| if address.is_ipv4() { wish.ipv4_pool.is_some() } else { wish.ipv6_pool.is_some() };
    let given = delegate.add(&wish.owner, &work.record.netns_path(), wanted)?;
    work.record.addresses = given.addresses;
    work.record.dns = given.dns;
    let change =
        |each: &LeasedAddress| Change::added(format!("address {} from {}", each.address.addr(), delegate.kind));
    Ok(work.record.addresses.iter().map(change).collect())
}

fn give_back(delegate: &Delegate, work: &mut Work) -> Result<Vec<Change>, Error> {
    delegate.tell(Verb::Del, Some(&work.record.wish.owner), &work.record.netns_path())?;
    let returned = std::mem::take(&mut work.record.addresses);
    let change =
        |each: LeasedAddress| Change::removed(format!("address {} from {}", each.address.addr(), delegate.kind));
    Ok(returned.into_iter().map(change).collect())
}
