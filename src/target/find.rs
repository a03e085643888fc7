//! What each reading of a target finds on a node.

use std::collections::BTreeSet;
use std::path::Path;

use super::candidate::spelling;
use super::reading::{Reading, pid_of_path};
use super::resolve::Pick;
use crate::model::endpoint::{Endpoint, PodName};
use crate::model::link::Link;
use crate::model::mac::Mac;
use crate::model::netns::{Inode, NetnsState};
use crate::model::node::Node;
use crate::model::workload::{Role, State, Workload};

/// One thing that a reading finds.
pub(super) struct Match {
    pub(super) pick: Pick,
    pub(super) typed: Typed,
    pub(super) reason: &'static str,
    pub(super) spelling: String,
}

/// How much was typed of what something is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    All,
    /// So much that it was meant for nothing else ([`is_enough_of_id`]).
    Enough,
    Beginning,
}

/// Whether nobody calls something else so by chance: it begins the id that a runtime drew for a container, 64 digits that
/// are as good as random. Two digits are a word sooner (`db`), and who chooses ids himself numbers them.
pub fn is_enough_of_id(text: &str, id: &str) -> bool {
    const DRAWN: usize = 64;
    const ENOUGH: usize = 6;
    text.len() >= ENOUGH && id.len() == DRAWN && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.starts_with(text)
}

impl Match {
    /// A host interface whose other end was not found.
    pub(super) fn is_unseen(&self) -> bool {
        self.pick == Pick::default()
    }
}

pub(super) fn find(node: &Node, reading: &Reading) -> Vec<Match> {
    match reading {
        Reading::Container { runtime, id } => containers(node, runtime.as_deref(), id),
        Reading::Name(name) => names(node, name),
        Reading::Pod { namespace, name, container } => pods(node, namespace.as_deref(), name, container.as_deref()),
        Reading::Pid(pid) => process(node, *pid),
        Reading::Path(path) => namespaces(node, |state| leads_to(state, path), "path"),
        Reading::NetnsName(name) => namespaces(node, |state| is_mounted_as(state, name), "netns name"),
        Reading::Inode(inode) => namespaces(node, |state| state.netns.inode == *inode, "netns inode"),
        Reading::Ip(ip) => namespaces(
            node,
            |state| state.links.iter().any(|link| link.addresses.iter().any(|a| a.address == *ip)),
            "address",
        ),
        Reading::Mac(mac) => mac_owner(node, *mac),
        Reading::Device(name) => devices(node, |link| is_called(link, name), "host interface"),
        Reading::Ifindex(ifindex) => devices(node, |link| link.ifindex == *ifindex, "host ifindex"),
        Reading::Endpoint(id) => endpoints(node, |endpoint| endpoint.id == *id, "endpoint"),
        Reading::Identity(identity) => endpoints(node, |endpoint| endpoint.identity == Some(*identity), "identity"),
        Reading::CiliumEndpoint { namespace, name } => {
            let named = |pod: &PodName| pod.namespace == *namespace && pod.name == *name;
            endpoints(node, |endpoint| endpoint.pod.as_ref().is_some_and(named), "CiliumEndpoint")
        }
    }
}

fn is_mounted_as(state: &NetnsState, name: &str) -> bool {
    state.netns.paths.iter().any(|path| Path::new(path).file_name().is_some_and(|last| last == name))
}

fn containers(node: &Node, runtime: Option<&str>, id: &str) -> Vec<Match> {
    let of_runtime = |workload: &Workload| runtime.is_none_or(|runtime| workload.runtime.as_deref() == Some(runtime));
    let all = node.workloads.iter().enumerate().filter(|(_, workload)| of_runtime(workload));
    let found = all.filter_map(|(index, workload)| {
        let own = workload.id.as_deref()?;
        let (typed, reason) = match id {
            "" => return None,
            id if id == own => (Typed::All, "id"),
            id if is_enough_of_id(id, own) => (Typed::Enough, "id starts with it"),
            id if own.starts_with(id) => (Typed::Beginning, "id starts with it"),
            // Where a runtime is said, a word of that runtime's is meant.
            name if runtime.is_some() && workload.name.as_deref() == Some(name) => (Typed::All, "name"),
            _ => return None,
        };
        Some(of_workload(index, workload, typed, reason))
    });
    found.collect()
}

/// Plain containerd lets the user choose the id, which is then the only name.
fn names(node: &Node, name: &str) -> Vec<Match> {
    let called = |word: &Option<String>| word.as_deref() == Some(name);
    let named = |workload: &Workload| {
        workload.role != Role::Process && (called(&workload.name) || workload.name.is_none() && called(&workload.id))
    };
    let found = node.workloads.iter().enumerate().filter(|(_, workload)| named(workload));
    found.map(|(index, workload)| of_workload(index, workload, Typed::All, "name")).collect()
}

fn pods(node: &Node, namespace: Option<&str>, name: &str, container: Option<&str>) -> Vec<Match> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for workload in &node.workloads {
        let Some(pod) = &workload.pod else { continue };
        let here = namespace.is_none_or(|namespace| pod.namespace == namespace) && pod.name.starts_with(name);
        if !here || !seen.insert((&pod.namespace, &pod.name)) {
            continue;
        }
        let of_pod = |workload: &Workload| {
            let same = workload
                .pod
                .as_ref()
                .is_some_and(|other| (&other.namespace, &other.name) == (&pod.namespace, &pod.name));
            same && container.is_none_or(|container| {
                workload.pod.as_ref().and_then(|pod| pod.container.as_deref()) == Some(container)
            })
        };
        let Some(index) = foremost(node, of_pod) else { continue };
        let Some(main) = node.workloads.get(index) else { continue };
        let (typed, reason) = match pod.name == name {
            true => (Typed::All, "pod"),
            false => (Typed::Beginning, "pod name starts with it"),
        };
        let spelling = format!("pod:{}/{}", pod.namespace, pod.name);
        found.push(Match {
            pick: Pick { workload: Some(index), netns: main.netns, ..Pick::default() },
            typed,
            reason,
            spelling,
        });
    }
    found
}

fn process(node: &Node, pid: u32) -> Vec<Match> {
    let spelling = format!("pid:{pid}");
    if let Some(index) = node.workloads.iter().position(|workload| workload.pid == Some(pid)) {
        let netns = node.workloads.get(index).and_then(|workload| workload.netns);
        return vec![Match {
            pick: Pick { workload: Some(index), netns, ..Pick::default() },
            typed: Typed::All,
            reason: "PID",
            spelling,
        }];
    }
    let held =
        |state: &&NetnsState| state.netns.holders.iter().any(|holder| holder.pid == Some(pid) && holder.path.is_none());
    let container =
        |state: &NetnsState| state.netns.holders.iter().find(|holder| holder.pid == Some(pid))?.container.clone();
    let found = node.namespaces.iter().find(held).map(|state| {
        let of_container = container(state)
            .and_then(|id| node.workloads.iter().position(|workload| workload.id.as_ref() == Some(&id)));
        let workload = of_container.or_else(|| inhabitant(node, state.netns.inode));
        Match {
            pick: Pick { workload, netns: Some(state.netns.inode), ..Pick::default() },
            typed: Typed::All,
            reason: "PID",
            spelling,
        }
    });
    found.into_iter().collect()
}

fn namespaces(node: &Node, fits: impl Fn(&NetnsState) -> bool, reason: &'static str) -> Vec<Match> {
    let found = node.namespaces.iter().filter(|state| fits(state));
    found.map(|state| of_namespace(node, state.netns.inode, reason)).collect()
}

fn leads_to(state: &NetnsState, path: &str) -> bool {
    let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
    let by_process = || {
        let pid = pid_of_path(path)?;
        Some(
            state.netns.holders.iter().any(|holder| holder.pid == Some(pid) && holder.path.is_none())
                || (state.netns.is_host && pid == 1),
        )
    };
    state.netns.paths.iter().any(|mounted| mounted == path) || by_process().unwrap_or(false)
}

/// The link itself counts first; only then the host's end of a pair, which leads to the other end.
fn mac_owner(node: &Node, mac: Mac) -> Vec<Match> {
    let inside = |state: &NetnsState| !state.netns.is_host && state.links.iter().any(|link| link.mac == Some(mac));
    let found = namespaces(node, inside, "MAC");
    if found.is_empty() { devices(node, |link| link.mac == Some(mac), "MAC of its host interface") } else { found }
}

/// Also with its other end behind it, as `ip` prints it: `lxc1@if2`.
fn is_called(link: &Link, name: &str) -> bool {
    let own = |name: &str| link.name == name || link.alternative_names.iter().any(|alternative| alternative == name);
    own(name) || name.split_once('@').is_some_and(|(name, _)| own(name))
}

/// A host interface means the namespace that its other end is in, and the host's own where it has none. Where that namespace
/// was not found it means nothing that can be shown: surely not the host's.
fn devices(node: &Node, fits: impl Fn(&Link) -> bool, reason: &'static str) -> Vec<Match> {
    let Some(host) = node.namespace(node.host_netns) else { return Vec::new() };
    let found = host.links.iter().filter(|link| fits(link)).map(|link| {
        let nsid = link.link_netnsid.filter(|_| link.is_paired());
        let beyond = nsid.map_or(Some(node.host_netns), |nsid| host.netns_of_id(nsid));
        let found = beyond.map(|inode| of_namespace(node, inode, reason));
        let pick = found.map(|found| found.pick).unwrap_or_default();
        Match { pick, typed: Typed::All, reason, spelling: format!("dev:{}", link.name) }
    });
    found.collect()
}

/// An endpoint means the pod that it was made for: its sandbox, or what is at the other end of its interface; itself
/// where nothing of that is left.
fn endpoints(node: &Node, fits: impl Fn(&Endpoint) -> bool, reason: &'static str) -> Vec<Match> {
    let found = node.endpoints.iter().enumerate().filter(|(_, endpoint)| fits(endpoint)).map(|(index, endpoint)| {
        let place = of_endpoint(node, endpoint).map(|found| found.pick).unwrap_or_default();
        let pick = Pick { endpoint: Some(index), ..place };
        Match { pick, typed: Typed::All, reason, spelling: format!("ep:{}", endpoint.id) }
    });
    found.collect()
}

fn of_endpoint(node: &Node, endpoint: &Endpoint) -> Option<Match> {
    let sandboxed = |workload: &Workload| {
        let sandbox = workload.pod.as_ref().and_then(|pod| pod.sandbox_id.as_ref());
        endpoint.container_id.is_some() && [sandbox, workload.id.as_ref()].contains(&endpoint.container_id.as_ref())
    };
    let of_pod = |workload: &Workload| {
        let pod = workload.pod.as_ref().map(|pod| (&pod.namespace, &pod.name));
        pod.is_some() && pod == endpoint.pod.as_ref().map(|pod| (&pod.namespace, &pod.name))
    };
    let found = foremost(node, sandboxed).or_else(|| foremost(node, of_pod));
    if let Some((index, workload)) = found.and_then(|index| Some((index, node.workloads.get(index)?))) {
        return Some(of_workload(index, workload, Typed::All, "endpoint"));
    }
    if endpoint.is_host() {
        return Some(of_namespace(node, node.host_netns, "endpoint"));
    }
    let interface =
        |link: &Link| endpoint.ifindex == Some(link.ifindex) && endpoint.interface.as_ref() == Some(&link.name);
    devices(node, interface, "endpoint").into_iter().next()
}

fn of_workload(index: usize, workload: &Workload, typed: Typed, reason: &'static str) -> Match {
    Match {
        pick: Pick { workload: Some(index), netns: workload.netns, ..Pick::default() },
        typed,
        reason,
        spelling: spelling(workload),
    }
}

fn of_namespace(node: &Node, inode: Inode, reason: &'static str) -> Match {
    let workload = (inode != node.host_netns).then(|| inhabitant(node, inode)).flatten();
    Match {
        pick: Pick { workload, netns: Some(inode), ..Pick::default() },
        typed: Typed::All,
        reason,
        spelling: format!("netns:{inode}"),
    }
}

/// The workload that stands for a namespace.
pub fn inhabitant(node: &Node, inode: Inode) -> Option<usize> {
    foremost(node, |workload| workload.netns == Some(inode))
}

/// Of those that fit: what runs before what does not, applications before the sandbox, whose netns it is before who
/// joined it, then by name.
fn foremost(node: &Node, fits: impl Fn(&Workload) -> bool) -> Option<usize> {
    let found = node.workloads.iter().enumerate().filter(|(_, workload)| fits(workload));
    let rank = |workload: &Workload| {
        let joined = workload.network_mode.as_ref().is_some_and(|mode| mode.starts_with("container:"));
        (workload.state != State::Running, workload.role, joined, workload.name.clone(), workload.id.clone())
    };
    found.min_by_key(|(_, workload)| rank(workload)).map(|(index, _)| index)
}
