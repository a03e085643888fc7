//! The host's side: the gateway on its end of the pair, the route to the pod, and forwarding.

use crate::flow::error::Error;
use crate::flow::kernel::route::{self, Route};
use crate::flow::kernel::{address, sysctl};
use crate::flow::record::{Record, Shown};
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;
use crate::model::address::Family;

pub struct Host;

impl Step for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    fn purpose(&self) -> &'static str {
        "route the host to the pod, answer as its gateway, and forward"
    }

    fn in_cilium(&self) -> &'static str {
        "interfaceAdd (with the agent: its BPF programs)"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        let name = &record.host.name;
        let mut lines: Vec<String> =
            switches(record).iter().map(|(switch, value)| format!("sysctl -w net/{switch}={value}")).collect();
        for Shown { address, gateway, family } in record.shown_addresses() {
            let (length, scope) = match family {
                Family::Ipv4 => (32, "scope link"),
                Family::Ipv6 => (128, "nodad"),
            };
            lines.push(format!("ip addr add {gateway}/{length} dev {name} {scope}"));
            lines.push(format!("ip route add {address} dev {name}"));
        }
        lines
    }

    fn undo_preview(&self, record: &Record) -> Vec<String> {
        record
            .addresses
            .iter()
            .map(|leased| format!("ip route del {} dev {}", leased.address.addr(), record.host.name))
            .collect()
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for (switch, value) in switches(&work.record) {
            if sysctl::set(&switch, value)? {
                changes.push(Change::set(format!("sysctl -w net/{switch}={value}, which stays")));
            }
        }
        let (ifindex, name) = (work.record.host.ifindex, work.record.host.name.clone());
        for leased in work.record.addresses.clone() {
            address::add_gateway(work.host()?, ifindex, leased.gateway)?;
            changes.push(Change::added(format!("address {} on {name}", leased.gateway)));
            let address = leased.address.addr();
            if route::add(work.host()?, &Route::to_neighbour(address, ifindex))? {
                changes.push(Change::added(format!("route {address} dev {name}")));
            }
        }
        Ok(changes)
    }

    /// The switches stay: others rely on them by now.
    fn undo(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let (ifindex, name) = (work.record.host.ifindex, work.record.host.name.clone());
        if ifindex == 0 {
            return Ok(changes);
        }
        for leased in work.record.addresses.clone() {
            let address = leased.address.addr();
            if route::delete(work.host()?, &Route::to_neighbour(address, ifindex))? {
                changes.push(Change::removed(format!("route {address} dev {name}")));
            }
            if address::delete(work.host()?, ifindex, leased.gateway)? {
                changes.push(Change::removed(format!("address {} on {name}", leased.gateway)));
            }
        }
        Ok(changes)
    }
}

/// IPv6 forwarding makes the kernel pass over router advertisements where `accept_ra` is 1, and a host that got routes
/// by them would lose these: with 2 it goes on listening (ip-sysctl.rst).
fn switches(record: &Record) -> Vec<(String, &'static str)> {
    let mut switches = Vec::new();
    if record.wish.ipv4_pool.is_some() {
        switches.push(("ipv4/ip_forward".to_owned(), "1"));
    }
    if record.wish.ipv6_pool.is_some() && sysctl::get("ipv6/conf/all/forwarding").as_deref() == Some("0") {
        let accepts = |name: &String| sysctl::get(&format!("ipv6/conf/{name}/accept_ra")).as_deref() == Some("1");
        let listening = route::advertised().into_iter().filter(accepts);
        switches.extend(listening.map(|name| (format!("ipv6/conf/{name}/accept_ra"), "2")));
        switches.push(("ipv6/conf/all/forwarding".to_owned(), "1"));
    }
    switches
}
