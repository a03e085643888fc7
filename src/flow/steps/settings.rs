//! The switches of both ends, before they have addresses.

use crate::flow::error::Error;
use crate::flow::kernel::{link, sysctl};
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;

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
        let up = [&record.pod.name, "lo"].map(|name| format!("{prefix} link set {name} up"));
        host.chain(inside).chain(up).collect()
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let mut changes = set_all(host_switches(&work.record))?;
        let inside = pod_switches(&work.record);
        let own = work.netns()?.run(|| set_all(inside))??;
        changes.extend(own.into_iter().map(|change| Change { what: format!("{} in the pod", change.what), ..change }));
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
    let mut switches =
        vec![(format!("ipv4/conf/{name}/rp_filter"), "0"), (format!("ipv4/conf/{name}/forwarding"), "1")];
    if record.wish.ipv6_pool.is_some() {
        switches.push((format!("ipv6/conf/{name}/disable_ipv6"), "0"));
        switches.push(no_dad(name));
    }
    switches
}

/// Docker switches IPv6 off in every netns of a network without it.
fn pod_switches(record: &Record) -> Vec<(String, &'static str)> {
    let name = &record.pod.name;
    match record.wish.ipv6_pool {
        Some(_) => {
            vec![("ipv6/conf/all/disable_ipv6".to_owned(), "0"), (format!("ipv6/conf/{name}/disable_ipv6"), "0")]
        }
        None => Vec::new(),
    }
}

/// Both ends have MACs of podnet's choosing and nobody else is on the link: looking for a second owner of their
/// link-local addresses would only keep IPv6 waiting for two seconds.
fn no_dad(name: &str) -> (String, &'static str) {
    (format!("ipv6/conf/{name}/accept_dad"), "0")
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
