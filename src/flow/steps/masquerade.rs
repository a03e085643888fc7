//! The way out for pods whose addresses mean nothing outside.

use std::net::IpAddr;

use crate::flow::error::Error;
use crate::flow::kernel::masquerade::{Element, Masquerade as Table, TABLE, family_set, is_private};
use crate::flow::record::{Record, Shown};
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;

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
        elements(record, "add")
    }

    fn undo_preview(&self, record: &Record) -> Vec<String> {
        elements(record, "delete")
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

/// The commands, for the addresses that are private or not known yet.
fn elements(record: &Record, verb: &str) -> Vec<String> {
    let masqueraded = |shown: &Shown| shown.address.parse().map_or(true, is_private);
    let shown = record.shown_addresses().into_iter().filter(masqueraded);
    shown
        .map(|shown| format!("nft {verb} element inet {TABLE} {} {{ {} }}", family_set(shown.family), shown.address))
        .collect()
}

/// By the lease and not by what was noted, which a kill may have kept from being written.
fn private(record: &Record) -> Vec<IpAddr> {
    record.addresses.iter().map(|leased| leased.address.addr()).filter(|address| is_private(*address)).collect()
}

fn element(address: IpAddr) -> String {
    format!("nf_tables inet {TABLE} element {address}")
}
