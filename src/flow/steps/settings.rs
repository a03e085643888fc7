//! The switches of both ends, before they have addresses.

use crate::flow::error::Error;
use crate::flow::kernel::{link, sysctl};
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;
use crate::model::address::Family;
use crate::model::link::Offload;

pub struct Settings;

impl Step for Settings {
    fn name(&self) -> &'static str {
        "settings"
    }

    fn purpose(&self) -> &'static str {
        "set the switches of both ends, and both up"
    }

    fn in_cilium(&self) -> &'static str {
        "connector.SetupVeth (rp_filter, MTU), sysctl.Disable"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        let host = host_switches(record).into_iter().map(|(name, value)| assignment(&name, value));
        let prefix = Work::command_prefix(record);
        let inside =
            pod_switches(record).into_iter().map(|(name, value)| format!("# in the pod: {}", assignment(&name, value)));
        let sizes = record.agent.iter().map(|told| sizes(record, &told.config.offload));
        let up = [&record.pod.name, "lo"].map(|name| format!("{prefix} link set {name} up"));
        host.chain(sizes.filter(|line| !line.is_empty())).chain(inside).chain(up).collect()
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let mut changes = set_all(host_switches(&work.record))?;
        let inside = pod_switches(&work.record);
        let reserved = work.record.agent.as_ref().and_then(|told| told.config.settings.reserved_ports.clone());
        let own = work.netns()?.run(|| -> Result<Vec<Change>, Error> {
            let mut changes = set_all(inside)?;
            changes.extend(reserved.map(|ports| reserve(&ports)).transpose()?.flatten());
            Ok(changes)
        })??;
        changes.extend(own.into_iter().map(|change| Change { what: format!("{} in the pod", change.what), ..change }));
        changes.extend(set_sizes(work)?);
        let ifindex = work.record.pod.ifindex;
        link::set_up(work.pod()?, ifindex)?;
        // Runtimes have a plugin for that; who makes a netns by hand forgets it.
        if let Some(loopback) = link::find(work.pod()?, "lo")? {
            link::set_up(work.pod()?, loopback.ifindex)?;
        }
        Ok(changes)
    }
}

/// A pod's packets come from addresses that the host reaches by way of the pair alone, so checking their source by
/// route would only cost; and Cilium does without, too. A host that switches IPv6 off for new interfaces must not
/// do so for this one.
fn host_switches(record: &Record) -> Vec<(String, &'static str)> {
    let name = &record.host.name;
    let mut switches = vec![(format!("ipv4/conf/{name}/rp_filter"), "0")];
    // With an agent its programs forward.
    if record.wish.agent.is_none() {
        switches.push((format!("ipv4/conf/{name}/forwarding"), "1"));
    }
    if record.has(Family::Ipv6) {
        switches.push((format!("ipv6/conf/{name}/disable_ipv6"), "0"));
        switches.push(no_dad(name));
    }
    switches
}

/// Docker switches IPv6 off in every netns of a network without it.
fn pod_switches(record: &Record) -> Vec<(String, &'static str)> {
    let name = &record.pod.name;
    if record.has(Family::Ipv6) {
        vec![("ipv6/conf/all/disable_ipv6".to_owned(), "0"), (format!("ipv6/conf/{name}/disable_ipv6"), "0")]
    } else {
        Vec::new()
    }
}

/// Both ends have MACs of podnet's choosing and nobody else is on the link: looking for a second owner of their
/// link-local addresses would only keep IPv6 waiting for two seconds.
fn no_dad(name: &str) -> (String, &'static str) {
    (format!("ipv6/conf/{name}/accept_dad"), "0")
}

/// Largest segments, of both ends: the agent says which.
fn set_sizes(work: &mut Work) -> Result<Vec<Change>, Error> {
    let Some(offload) = work.record.agent.as_ref().map(|told| told.config.offload.clone()) else {
        return Ok(Vec::new());
    };
    let line = sizes(&work.record, &offload);
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let (host, pod) = (work.record.host.ifindex, work.record.pod.ifindex);
    link::set_offload(work.host()?, host, &offload)?;
    link::set_offload(work.pod()?, pod, &offload)?;
    Ok(vec![Change::set(format!("{line}, and of {}", work.record.pod.name))])
}

/// The command for it; empty where nothing is asked.
fn sizes(record: &Record, offload: &Offload) -> String {
    let sizes = [
        ("gso_max_size", offload.gso_max_size),
        ("gro_max_size", offload.gro_max_size),
        ("gso_ipv4_max_size", offload.gso_ipv4_max_size),
        ("gro_ipv4_max_size", offload.gro_ipv4_max_size),
    ];
    let words: Vec<String> = sizes.iter().filter_map(|(name, size)| Some(format!("{name} {}", (*size)?))).collect();
    if words.is_empty() { String::new() } else { format!("ip link set {} {}", record.host.name, words.join(" ")) }
}

/// Beside those that are reserved already.
fn reserve(ports: &str) -> Result<Option<Change>, Error> {
    const NAME: &str = "ipv4/ip_local_reserved_ports";
    let there = sysctl::get(NAME).unwrap_or_default();
    let all = if there.is_empty() { ports.to_owned() } else { format!("{there},{ports}") };
    Ok(sysctl::set_if_there(NAME, &all)?.then(|| Change::set(assignment(NAME, &all))))
}

fn set_all(switches: Vec<(String, &'static str)>) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for (name, value) in switches {
        if sysctl::set_if_there(&name, value)? {
            changes.push(Change::set(assignment(&name, value)));
        }
    }
    Ok(changes)
}

fn assignment(name: &str, value: &str) -> String {
    format!("sysctl -w net/{name}={value}")
}
