//! Addresses from the embedded store.

use crate::flow::error::Error;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;
use crate::ipam::Request;

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
        let wish = &work.record.wish;
        let request = Request {
            owner: wish.owner.clone(),
            ipv4: wish.ipv4_pool.clone(),
            ipv6: wish.ipv6_pool.clone(),
            wanted: wish.addresses.clone(),
        };
        work.record.addresses = work.store().reserve(&request)?.addresses;
        let change = |each: &crate::ipam::LeasedAddress| {
            Change::added(format!("address {} of pool {}", each.address.addr(), each.pool))
        };
        Ok(work.record.addresses.iter().map(change).collect())
    }

    /// By the owner, not by the record: a kill may have come between the store and the record.
    fn undo(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let released = work.store().release(&work.record.wish.owner)?;
        work.record.addresses.clear();
        Ok(released.into_iter().map(|address| Change::removed(format!("address {address}"))).collect())
    }
}
