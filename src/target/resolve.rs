//! Picking what was named out of a node.

use std::collections::BTreeSet;
use std::path::Path;

use super::reading::{Reading, Target, pid_of_path};
use crate::model::endpoint::{Endpoint, PodName};
use crate::model::link::Link;
use crate::model::netns::{Inode, NetnsState};
use crate::model::node::Node;
use crate::model::source::{Asked, Status};
use crate::model::workload::{Role, State, Workload};

/// What was found: a workload, a namespace, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// Index into `node.workloads`.
    pub workload: Option<usize>,
    /// Absent for a stopped container, which has none any more.
    pub netns: Option<Inode>,
    /// Index into `node.endpoints`, where it was named by one.
    pub endpoint: Option<usize>,
}

#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    #[error("nothing on this node is called «{text}»")]
    NotFound { text: String, nearest: Vec<String>, asked: Vec<Asked> },
    #[error("«{text}» is more than one workload")]
    Ambiguous { text: String, candidates: Vec<Candidate> },
}

/// One of several that fit, with the spelling that picks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub spelling: String,
    pub name: String,
    pub reason: &'static str,
}

struct Match {
    pick: Pick,
    exact: bool,
    reason: &'static str,
    spelling: String,
}

/// Exact matches win over prefixes; several that are one pod's or one namespace's are one answer.
pub fn resolve(node: &Node, target: &Target) -> Result<Pick, Unresolved> {
    let mut matches: Vec<Match> = target.readings.iter().flat_map(|reading| find(node, reading)).collect();
    if matches.iter().any(|found| found.exact) {
        matches.retain(|found| found.exact);
    }
    let mut distinct: Vec<Match> = Vec::new();
    for found in matches {
        match distinct.iter_mut().find(|other| same(node, other.pick, found.pick)) {
            Some(other) if other.pick.workload.is_none() => *other = found,
            Some(_) => {}
            None => distinct.push(found),
        }
    }
    match distinct.as_slice() {
        [] => Err(not_found(node, target)),
        [one] => Ok(one.pick),
        several => {
            let mut candidates: Vec<Candidate> = several.iter().map(|found| candidate(node, found)).collect();
            candidates.sort_by(|one, other| (&one.name, &one.spelling).cmp(&(&other.name, &other.spelling)));
            Err(Unresolved::Ambiguous { text: target.text.clone(), candidates })
        }
    }
}

/// A namespace and a workload in it are the same answer, and so are two containers of one pod that its name found.
fn same(node: &Node, one: Pick, other: Pick) -> bool {
    if one.workload.is_some() && other.workload.is_some() {
        return one.workload == other.workload;
    }
    if (one.netns, other.netns) == (None, None) && (one.workload, other.workload) == (None, None) {
        return one.endpoint == other.endpoint;
    }
    let shared = one.netns.is_some() && one.netns == other.netns;
    shared && one.netns != Some(node.host_netns)
}

fn find(node: &Node, reading: &Reading) -> Vec<Match> {
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
        Reading::Device(name) => {
            devices(node, |link| link.name == *name || link.alternative_names.contains(name), "host interface")
        }
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
    let fits = |workload: &Workload| {
        let of_runtime = runtime.is_none_or(|runtime| workload.runtime.as_deref() == Some(runtime));
        of_runtime && workload.id.as_deref().is_some_and(|own| !id.is_empty() && own.starts_with(id))
    };
    let found = node.workloads.iter().enumerate().filter(|(_, workload)| fits(workload));
    found
        .map(|(index, workload)| of_workload(index, workload, workload.id.as_deref() == Some(id), "id starts with it"))
        .collect()
}

/// Plain containerd lets the user choose the id, which is then the only name.
fn names(node: &Node, name: &str) -> Vec<Match> {
    let called = |word: &Option<String>| word.as_deref() == Some(name);
    let named = |workload: &Workload| {
        workload.role != Role::Process && (called(&workload.name) || workload.name.is_none() && called(&workload.id))
    };
    let found = node.workloads.iter().enumerate().filter(|(_, workload)| named(workload));
    found.map(|(index, workload)| of_workload(index, workload, true, "name")).collect()
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
        let exact = pod.name == name;
        let reason = if exact { "pod" } else { "pod name starts with it" };
        let spelling = format!("pod:{}/{}", pod.namespace, pod.name);
        found.push(Match {
            pick: Pick { workload: Some(index), netns: main.netns, ..Pick::default() },
            exact,
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
            exact: true,
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
            exact: true,
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
fn mac_owner(node: &Node, mac: crate::model::mac::Mac) -> Vec<Match> {
    let inside = |state: &NetnsState| !state.netns.is_host && state.links.iter().any(|link| link.mac == Some(mac));
    let found = namespaces(node, inside, "MAC");
    if found.is_empty() { devices(node, |link| link.mac == Some(mac), "MAC of its host interface") } else { found }
}

/// A host interface means the namespace that its other end is in, and the host's own where it has none.
fn devices(node: &Node, fits: impl Fn(&Link) -> bool, reason: &'static str) -> Vec<Match> {
    let Some(host) = node.namespace(node.host_netns) else { return Vec::new() };
    let found = host.links.iter().filter(|link| fits(link)).map(|link| {
        let nsid = link.link_netnsid.filter(|_| link.is_paired());
        let beyond = nsid.and_then(|nsid| host.nsids.iter().find(|known| known.nsid == nsid));
        let mut found = of_namespace(node, beyond.map_or(node.host_netns, |known| known.inode), reason);
        found.spelling = format!("dev:{}", link.name);
        found
    });
    found.collect()
}

/// An endpoint means the pod that it was made for: its sandbox, or what is at the other end of its interface; itself
/// where nothing of that is left.
fn endpoints(node: &Node, fits: impl Fn(&Endpoint) -> bool, reason: &'static str) -> Vec<Match> {
    let found = node.endpoints.iter().enumerate().filter(|(_, endpoint)| fits(endpoint)).map(|(index, endpoint)| {
        let place = of_endpoint(node, endpoint).map(|found| found.pick).unwrap_or_default();
        let pick = Pick { endpoint: Some(index), ..place };
        Match { pick, exact: true, reason, spelling: format!("ep:{}", endpoint.id) }
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
        return Some(of_workload(index, workload, true, "endpoint"));
    }
    if endpoint.is_host() {
        return Some(of_namespace(node, node.host_netns, "endpoint"));
    }
    let interface =
        |link: &Link| endpoint.ifindex == Some(link.ifindex) && endpoint.interface.as_ref() == Some(&link.name);
    devices(node, interface, "endpoint").into_iter().next()
}

fn of_workload(index: usize, workload: &Workload, exact: bool, reason: &'static str) -> Match {
    Match {
        pick: Pick { workload: Some(index), netns: workload.netns, ..Pick::default() },
        exact,
        reason,
        spelling: spelling(workload),
    }
}

fn of_namespace(node: &Node, inode: Inode, reason: &'static str) -> Match {
    let workload = (inode != node.host_netns).then(|| inhabitant(node, inode)).flatten();
    Match {
        pick: Pick { workload, netns: Some(inode), ..Pick::default() },
        exact: true,
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

/// How to name exactly this one.
fn spelling(workload: &Workload) -> String {
    let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
    match (&workload.runtime, &workload.id, workload.pid) {
        (Some(runtime), Some(id), _) => format!("{runtime}://{}", short(id)),
        (None, Some(id), _) => format!("container:{}", short(id)),
        (_, None, Some(pid)) => format!("pid:{pid}"),
        _ => workload.name.clone().unwrap_or_default(),
    }
}

fn candidate(node: &Node, found: &Match) -> Candidate {
    let workload = found.pick.workload.and_then(|index| node.workloads.get(index));
    let netns = |inode| if inode == node.host_netns { "the host".to_owned() } else { format!("netns {inode}") };
    let endpoint = found.pick.endpoint.and_then(|index| node.endpoints.get(index)?.called());
    let name = workload.map(called).or(endpoint).or_else(|| found.pick.netns.map(netns)).unwrap_or_default();
    Candidate { spelling: found.spelling.clone(), name, reason: found.reason }
}

/// A workload as one of several to choose from.
pub fn candidate_of(workload: &Workload, reason: &'static str) -> Candidate {
    Candidate { spelling: spelling(workload), name: called(workload), reason }
}

fn called(workload: &Workload) -> String {
    let pod = workload.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name));
    pod.or_else(|| workload.name.clone()).or_else(|| workload.process.clone()).unwrap_or_default()
}

fn not_found(node: &Node, target: &Target) -> Unresolved {
    /// Below this two words have little to do with each other.
    const ALIKE: f64 = 0.75;
    let mut names: BTreeSet<String> = BTreeSet::new();
    for workload in &node.workloads {
        names.extend(workload.name.clone());
        names.extend(workload.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name)));
        names.extend(workload.id.as_ref().map(|id| id.get(..12).unwrap_or(id).to_owned()));
    }
    names.extend(node.namespaces.iter().flat_map(|state| state.netns.paths.clone()));
    let mut near: Vec<(f64, String)> =
        names.into_iter().map(|name| (strsim::jaro_winkler(&name, &target.text), name)).collect();
    near.retain(|(score, _)| *score >= ALIKE);
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let nearest = near.into_iter().take(3).map(|(_, name)| name).collect();
    let asked = node.sources.iter().filter(|source| source.status != Status::Absent).cloned().collect();
    Unresolved::NotFound { text: target.text.clone(), nearest, asked }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::{Address, Family};
    use crate::model::netns::{Holder, HolderKind, Netns, Nsid};
    use crate::model::workload::Pod;

    fn container(id: &str, name: &str, netns: Inode) -> Workload {
        let pid = id.bytes().map(u32::from).sum::<u32>() + 1000;
        Workload {
            runtime: Some("docker".into()),
            id: Some(id.repeat(16)),
            name: Some(name.into()),
            pid: Some(pid),
            netns: Some(netns),
            state: State::Running,
            ..Workload::default()
        }
    }

    fn in_pod(mut workload: Workload, pod: &str, container: Option<&str>) -> Workload {
        let container = container.map(str::to_owned);
        workload.role = if container.is_some() { Role::Container } else { Role::Sandbox };
        workload.pod = Some(Pod { namespace: "default".into(), name: pod.into(), container, ..Pod::default() });
        workload
    }

    fn node() -> Node {
        let address = Address {
            address: "10.0.0.5".parse().unwrap(),
            prefix_length: 32,
            family: Family::Ipv4,
            scope: "global".into(),
            peer: None,
            broadcast: None,
            label: None,
            flags: vec![],
            valid_seconds: None,
            preferred_seconds: None,
        };
        let eth0 = Link {
            ifindex: 2,
            name: "eth0".into(),
            kind: "veth".into(),
            addresses: vec![address],
            mac: "22:72:9c:50:45:e1".parse().ok(),
            ..Link::default()
        };
        let veth = Link {
            ifindex: 750,
            name: "lxc1".into(),
            kind: "veth".into(),
            link: Some(2),
            link_netnsid: Some(0),
            mac: "66:1e:8f:0b:7a:52".parse().ok(),
            ..Link::default()
        };
        let host = NetnsState {
            netns: Netns { inode: 1, is_host: true, ..Netns::default() },
            links: vec![veth],
            nsids: vec![Nsid { nsid: 0, inode: 10 }],
            ..NetnsState::default()
        };
        let holder = Holder { kind: HolderKind::Process, pid: Some(4313), process: None, container: None, path: None };
        let pod = NetnsState {
            netns: Netns {
                inode: 10,
                paths: vec!["/run/netns/cni-1".into()],
                holders: vec![holder],
                ..Netns::default()
            },
            links: vec![eth0],
            ..NetnsState::default()
        };
        let bare = NetnsState {
            netns: Netns { inode: 30, paths: vec!["/run/netns/left".into()], ..Netns::default() },
            ..NetnsState::default()
        };
        Node {
            hostname: "n".into(),
            host_netns: 1,
            workloads: vec![
                in_pod(container("aaaa", "app", 10), "web-0", Some("app")),
                in_pod(container("aabb", "envoy", 10), "web-0", Some("envoy")),
                in_pod(container("cccc", "sandbox", 10), "web-0", None),
                in_pod(container("dddd", "app", 20), "web-1", Some("app")),
                container("eeee", "web", 40),
                container("ffff", "web2", 41),
                Workload { state: State::Stopped, netns: None, pid: None, ..container("9999", "gone", 0) },
            ],
            namespaces: vec![host, pod, bare],
            ..Node::default()
        }
    }

    fn pick(text: &str) -> Result<Pick, Unresolved> {
        resolve(&node(), &text.parse().unwrap())
    }

    #[test]
    fn every_handle_leads_to_the_same_pod() {
        for text in [
            "10.0.0.5",
            "22:72:9c:50:45:e1",
            "66:1e:8f:0b:7a:52",
            "dev:lxc1",
            "lxc1",
            "750",
            "ifindex:750",
            "netns:10",
            "/var/run/netns/cni-1",
            "pid:4313",
            "4313",
            "default/web-0",
            "web-0",
            "pod:web-0",
            "aaaa",
            "docker://aaaa",
            "container:aaaaaaaa",
        ] {
            assert_eq!(pick(text).unwrap(), Pick { workload: Some(0), netns: Some(10), ..Pick::default() }, "{text}");
        }
        assert_eq!(pick("default/web-0/envoy").unwrap().workload, Some(1));
        assert_eq!(pick("envoy").unwrap().workload, Some(1));
    }

    #[test]
    fn an_exact_name_is_not_disturbed_by_longer_ones() {
        assert_eq!(pick("web").unwrap().workload, Some(4));
        assert_eq!(pick("web2").unwrap().workload, Some(5));
    }

    #[test]
    fn ambiguity_is_a_list_with_spellings() {
        for text in ["aa", "app", "web-"] {
            let Err(Unresolved::Ambiguous { candidates, .. }) = pick(text) else { panic!("{text}") };
            assert_eq!(candidates.len(), 2, "{text}");
            for candidate in candidates {
                assert!(pick(&candidate.spelling).is_ok(), "{}", candidate.spelling);
            }
        }
    }

    #[test]
    fn stopped_and_processless_are_found() {
        assert_eq!(pick("gone").unwrap(), Pick { workload: Some(6), netns: None, ..Pick::default() });
        assert_eq!(pick("/run/netns/left").unwrap(), Pick { workload: None, netns: Some(30), ..Pick::default() });
    }

    #[test]
    fn what_is_not_there_names_what_is_near() {
        let Err(Unresolved::NotFound { nearest, .. }) = pick("default/web-7") else { panic!() };
        assert!(nearest.contains(&"default/web-0".to_owned()), "{nearest:?}");
        assert!(matches!(pick("docker://"), Err(Unresolved::NotFound { .. })));
    }
}
