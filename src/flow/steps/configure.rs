//! Addresses and routes inside the pod: a single address of each family, and a gateway on the link itself.

use crate::flow::error::Error;
use crate::flow::kernel::address;
use crate::flow::kernel::route::{self, Route};
use crate::flow::record::{Record, Shown};
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;
use crate::model::address::Family;

pub struct Configure;

impl Step for Configure {
    fn name(&self) -> &'static str {
        "configure"
    }

    fn purpose(&self) -> &'static str {
        "give the pod its addresses, its gateway and its default routes"
    }

    fn in_cilium(&self) -> &'static str {
        "configureIface → addIPConfigToLink"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        let (ip, name) = (Work::command_prefix(record), &record.pod.name);
        let mut lines = Vec::new();
        for Shown { address, gateway, family } in record.shown_addresses() {
            let (length, family, nodad) = match family {
                Family::Ipv4 => (32, "", ""),
                Family::Ipv6 => (128, " -6", " nodad"),
            };
            lines.push(format!("{ip} addr add {address}/{length} dev {name}{nodad}"));
            lines.push(format!("{ip}{family} route add {gateway} dev {name} scope link"));
            let mtu = record.route_mtu().map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
            lines.push(format!("{ip}{family} route add default via {gateway} dev {name}{mtu}"));
        }
        lines
    }

    fn undo_preview(&self, record: &Record) -> Vec<String> {
        vec![format!("{} addr flush dev {}", Work::command_prefix(record), record.pod.name)]
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let (ifindex, mtu) = (work.record.pod.ifindex, work.record.route_mtu());
        let mut changes = Vec::new();
        for leased in work.record.addresses.clone() {
            address::add(work.pod()?, ifindex, leased.address.addr())?;
            changes.push(Change::added(format!("address {} on {}", leased.address.addr(), work.record.pod.name)));
            for route in routes(&leased, ifindex, mtu) {
                if route::add(work.pod()?, &route)? {
                    changes.push(Change::added(described(&route, &work.record.pod.name)));
                }
            }
        }
        Ok(changes)
    }

    fn undo(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        if !work.has_netns() || work.record.pod.ifindex == 0 {
            return Ok(changes);
        }
        let (ifindex, mtu) = (work.record.pod.ifindex, work.record.route_mtu());
        for leased in work.record.addresses.clone() {
            for route in routes(&leased, ifindex, mtu).into_iter().rev() {
                if route::delete(work.pod()?, &route)? {
                    changes.push(Change::removed(described(&route, &work.record.pod.name)));
                }
            }
            if address::delete(work.pod()?, ifindex, leased.address.addr())? {
                changes.push(Change::removed(format!("address {} on {}", leased.address.addr(), work.record.pod.name)));
            }
        }
        Ok(changes)
    }
}

/// The gateway first: the default route leads by way of it.
pub(super) fn routes(leased: &crate::ipam::LeasedAddress, ifindex: u32, mtu: Option<u32>) -> [Route; 2] {
    let way_out = Route { mtu, ..Route::default_by(leased.gateway, ifindex) };
    [Route::to_neighbour(leased.gateway, ifindex), way_out]
}

pub(super) fn described(route: &Route, interface: &str) -> String {
    match route.gateway {
        Some(gateway) => format!("route {} via {gateway} dev {interface}", route.destination),
        None => format!("route {} dev {interface}", route.destination),
    }
}
