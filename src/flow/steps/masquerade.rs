//! The way out for pods whose addresses mean nothing outside.

use std::net::IpAddr;

use crate::flow::error::Error;
use crate::flow::kernel::masquerade::{Element, Masquerade as Table, TABLE, family_set, is_private};
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;
use crate::model::address::Family;

pub const NAME: &str = "masquerade";

pub struct Masquerade;

impl Step for Masquerade {
    fn name(&self) -> &'static str {
        NAME
    }

    fn purpose(&self) -> &'static str {
        "let the pod out under the host's address"
    }

    fn in_cilium(&self) -> &'static str {
        "the agent's enable-ipv4-masquerade"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        let line = |verb: &str, address: IpAddr| {
            format!("nft {verb} element inet {TABLE} {} {{ {address} }}", family_set(Family::of(&address)))
        };
        private(record).into_iter().map(|address| line("add", address)).collect()
    }

    fn undo_preview(&self, record: &Record) -> Vec<String> {
        self.preview(record).into_iter().map(|line| line.replacen("add", "delete", 1)).collect()
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let addresses = private(&work.record);
        if addresses.is_empty() {
            work.notes.push("the pod's addresses are public: they are not masqueraded".to_owned());
            return Ok(Vec::new());
        }
        let owner = &work.record.wish.owner;
        let owner = format!("{}@{}", owner.container_id(), owner.ifname());
        let elements: Vec<Element> =
            addresses.iter().map(|address| Element { address: *address, owner: owner.clone() }).collect();
        Table::open(&work.run)?.add(&elements)?;
        work.record.masqueraded = addresses;
        Ok(work.record.masqueraded.iter().map(|address| Change::added(element(*address))).collect())
    }

    fn undo(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let addresses = private(&work.record);
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let removed = Table::open(&work.run)?.remove(&addresses)?;
        work.record.masqueraded.clear();
        Ok(removed.into_iter().map(|address| Change::removed(element(address))).collect())
    }
}

/// By the lease and not by what was noted, which a kill may have kept from being written.
fn private(record: &Record) -> Vec<IpAddr> {
    record.addresses.iter().map(|leased| leased.address.addr()).filter(|address| is_private(*address)).collect()
}

fn element(address: IpAddr) -> String {
    format!("nf_tables inet {TABLE} element {address}")
}
