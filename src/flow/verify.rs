//! What the kernel holds beside what the record says: the last step of a creation, and the plugin's CHECK.

use std::net::IpAddr;

use super::error::Error;
use super::kernel::{address, link, masquerade, route};
use super::record::End;
use super::work::Work;
use crate::model::address::Family;

/// What may have been changed since by others with a right to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The MTU of the pod's end; `None`: any smaller one.
    pub pod_mtu: Option<u32>,
    /// Of these addresses the default route is elsewhere.
    pub moved_routes: Vec<IpAddr>,
}

/// What differs, a sentence each; nothing when all is as it was made.
pub fn differences(work: &mut Work) -> Result<Vec<String>, Error> {
    let allowed = Allowed { pod_mtu: Some(work.record.mtu), moved_routes: Vec::new() };
    differences_but(work, &allowed)
}

/// As [`differences`], but for what is allowed.
pub fn differences_but(work: &mut Work, allowed: &Allowed) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let (host, pod, mtu) = (work.record.host.clone(), work.record.pod.clone(), work.record.mtu);
    let inside = link::find(work.pod()?, &pod.name)?;
    let outside = link::find(work.host()?, &host.name)?;
    let pod_mtu = allowed.pod_mtu.or(inside.as_ref().map(|inside| inside.mtu.min(mtu))).unwrap_or(mtu);
    found.extend(compare_link("the pod's interface", &pod, inside.as_ref(), pod_mtu, host.ifindex));
    found.extend(compare_link("the host's interface", &host, outside.as_ref(), mtu, pod.ifindex));
    if let Some(inside) = inside {
        compare_pod(work, inside.ifindex, allowed, &mut found)?;
    }
    // An agent's programs deliver to the pod, whatever routes there are.
    if let Some(outside) = outside.filter(|_| work.record.wish.agent.is_none()) {
        compare_host(work, outside.ifindex, &mut found)?;
    }
    Ok(found)
}

fn compare_link(whose: &str, end: &End, found: Option<&link::Found>, mtu: u32, other: u32) -> Vec<String> {
    let Some(found) = found else { return vec![format!("{whose} {} is gone", end.name)] };
    let mut differences = Vec::new();
    let mut differs = |what: &str, is: String, was: String| {
        differences.push(format!("{whose} {} has {what} {is} instead of {was}", end.name));
    };
    if found.ifindex != end.ifindex {
        differs("ifindex", found.ifindex.to_string(), end.ifindex.to_string());
    }
    if let Some(mac) = end.mac.filter(|mac| found.mac != Some(*mac)) {
        differs("MAC", found.mac.map_or("none".to_owned(), |mac| mac.to_string()), mac.to_string());
    }
    if found.mtu != mtu {
        differs("MTU", found.mtu.to_string(), mtu.to_string());
    }
    if found.link != Some(other) {
        differs(
            "its other end at",
            found.link.map_or("nowhere".to_owned(), |link| link.to_string()),
            other.to_string(),
        );
    }
    if !found.up {
        differences.push(format!("{whose} {} is down", end.name));
    }
    differences
}

fn compare_pod(work: &mut Work, ifindex: u32, allowed: &Allowed, found: &mut Vec<String>) -> Result<(), Error> {
    let name = work.record.pod.name.clone();
    let addresses = address::of(work.pod()?, ifindex)?;
    for leased in work.record.addresses.clone() {
        let address = leased.address.addr();
        if !addresses.contains(&address) {
            found.push(format!("the pod's interface {name} has no address {address}"));
            continue;
        }
        if allowed.moved_routes.contains(&address) {
            continue;
        }
        let outside = route::OUTSIDE.into_iter().find(|outside| Family::of(outside) == Family::of(&address));
        let way = outside.and_then(|outside| work.pod().ok().and_then(|pod| route::way_to(pod, outside)));
        match way {
            Some(way) if way.ifindex == ifindex && way.gateway == Some(leased.gateway) => {}
            Some(way) => found.push(format!(
                "the pod's way out is via {} on interface {} instead of {} on {ifindex}",
                way.gateway.map_or("no gateway".to_owned(), |gateway| gateway.to_string()),
                way.ifindex,
                leased.gateway
            )),
            None => found.push(format!("the pod has no default route via {}", leased.gateway)),
        }
    }
    Ok(())
}

fn compare_host(work: &mut Work, ifindex: u32, found: &mut Vec<String>) -> Result<(), Error> {
    let name = work.record.host.name.clone();
    let addresses = address::of(work.host()?, ifindex)?;
    for leased in work.record.addresses.clone() {
        let address = leased.address.addr();
        if !addresses.contains(&leased.gateway) {
            found.push(format!("the host's interface {name} has no address {}", leased.gateway));
        }
        match route::way_to(work.host()?, address) {
            Some(way) if way.ifindex == ifindex => {}
            Some(way) => found.push(format!("the host's route to {address} leads to interface {}", way.ifindex)),
            None => found.push(format!("the host has no route to {address}")),
        }
    }
    let wanted = work.record.masqueraded.clone();
    if !wanted.is_empty() {
        let listed = masquerade::list()?;
        let missing = wanted.into_iter().filter(|address| !listed.iter().any(|each| each.address == *address));
        found.extend(missing.map(|address| format!("{address} is not masqueraded any more")));
    }
    Ok(())
}
