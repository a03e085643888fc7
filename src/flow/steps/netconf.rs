//! What is asked for, checked against the node, and what it leaves open, filled in.

use ipnet::IpNet;

use crate::flow::error::Error;
use crate::flow::kernel::{route, sysctl};
use crate::flow::mac;
use crate::flow::names;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::wish::Place;
use crate::flow::work::Work;
use crate::ipam::Pool;

/// `ETH_DATA_LEN`, where no uplink tells another.
const USUAL_MTU: u32 = 1500;

pub struct Netconf;

impl Step for Netconf {
    fn name(&self) -> &'static str {
        "netconf"
    }

    fn purpose(&self) -> &'static str {
        "check what is asked for, choose MACs and the MTU"
    }

    fn in_cilium(&self) -> &'static str {
        "types.LoadNetConf"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        match record.wish.mtu {
            Some(_) => vec!["ip route   # no route may overlap the pool".to_owned()],
            None => vec!["ip route get 192.0.2.1   # the uplink, and its MTU".to_owned()],
        }
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        work.record.wish.validate()?;
        refuse_existing_netns(&work.record.wish.place)?;
        choose_families(work)?;
        refuse_overlap(work)?;
        let asked = work.record.wish.mtu;
        work.record.mtu = match asked {
            Some(mtu) => mtu,
            None => route::uplink_mtu(work.host()?)?.unwrap_or(USUAL_MTU),
        };
        work.record.host.name = names::host_interface(&work.record.wish.owner);
        work.record.pod.mac = work.record.pod.mac.or(work.record.wish.mac);
        mac::chosen(&mut work.record.host.mac)?;
        mac::chosen(&mut work.record.pod.mac)?;
        Ok(Vec::new())
    }
}

/// Seen here, before the step that makes one: a netns that is found after a kill in that step is podnet's.
pub(super) fn refuse_existing_netns(place: &Place) -> Result<(), Error> {
    match place {
        Place::Named(_) if place.path().symlink_metadata().is_ok() => Err(Error::NetnsExists { path: place.path() }),
        _ => Ok(()),
    }
}

/// IPv6 is left out where the kernel has none.
fn choose_families(work: &mut Work) -> Result<(), Error> {
    if work.record.wish.ipv6_pool.is_some() && !sysctl::has_ipv6() {
        work.record.wish.ipv6_pool = None;
        work.notes.push("the kernel has no IPv6: the pod gets IPv4 alone".to_owned());
    }
    let wish = &work.record.wish;
    if wish.ipv4_pool.is_none() && wish.ipv6_pool.is_none() { Err(Error::NoFamily) } else { Ok(()) }
}

/// Routes to single addresses are the pods' own.
fn refuse_overlap(work: &mut Work) -> Result<(), Error> {
    if work.record.wish.delegate.is_some() {
        return Ok(());
    }
    let store = work.store();
    let mut routes = route::destinations(work.host()?);
    routes.retain(|route: &IpNet| route.prefix_len() < route.max_prefix_len());
    let wish = &work.record.wish;
    let mut names: Vec<&String> = wish.ipv4_pool.iter().chain(&wish.ipv6_pool).collect();
    names.dedup();
    for name in names {
        let pool: Pool = store.pool(name)?;
        pool.validate_routes(&routes, &Default::default()).map_err(|source| Error::Overlap { source })?;
    }
    Ok(())
}
