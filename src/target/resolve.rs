//! Picking what was named out of a node.

use std::collections::BTreeSet;
use std::path::Path;

use super::candidate::{Candidate, candidate, candidate_of};
use super::find::{Match, Typed, find};
use super::reading::Target;
use crate::model::netns::Inode;
use crate::model::node::Node;
use crate::model::source::Asked;
use crate::model::workload::Workload;

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
    NotFound {
        text: String,
        nearest: Vec<String>,
        /// Some that `list` shows by their process's name, for want of one of their own. Whoever runs a process can call it
        /// anything, so that is no target.
        namesakes: Vec<Candidate>,
        asked: Vec<Asked>,
    },
    #[error("{link} is one end of a pair, and podnet found nothing that the other end is in")]
    UnseenEnd { link: String },
    #[error("«{text}» is more than one workload")]
    Ambiguous { text: String, candidates: Vec<Candidate> },
}

/// Whole names win over beginnings; several that are one pod's or one namespace's are one answer.
pub fn resolve(node: &Node, target: &Target) -> Result<Pick, Unresolved> {
    choose(node, target, matches(node, target).collect())
}

/// For who changes what is found: the beginning of a name finds nothing, nor does that of an id unless it is enough to be
/// meant for nothing else.
pub fn resolve_to_change(node: &Node, target: &Target) -> Result<Pick, Unresolved> {
    choose(node, target, matches(node, target).filter(|found| found.typed != Typed::Beginning).collect())
}

fn matches(node: &Node, target: &Target) -> impl Iterator<Item = Match> {
    target.readings.iter().flat_map(|reading| find(node, reading))
}

fn choose(node: &Node, target: &Target, mut matches: Vec<Match>) -> Result<Pick, Unresolved> {
    if matches.iter().any(|found| found.typed == Typed::All) {
        matches.retain(|found| found.typed == Typed::All);
    }
    let mut distinct: Vec<Match> = Vec::new();
    for found in matches {
        match distinct.iter_mut().find(|other| same(node, other.pick, found.pick)) {
            Some(other) if other.pick.workload.is_none() => *other = found,
            Some(_) => {}
            None => distinct.push(found),
        }
    }
    if distinct.len() > 1 {
        distinct.retain(|found| !found.is_unseen());
    }
    match distinct.as_slice() {
        [] => Err(not_found(node, target)),
        [one] if one.is_unseen() => Err(Unresolved::UnseenEnd { link: one.spelling.clone() }),
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

/// Without what says how it is meant.
fn bare(text: &str) -> &str {
    const MEANT: [&str; 9] =
        ["netns:", "dev:", "pod:", "name:", "container:", "docker:", "containerd:", "cri-o:", "podman:"];
    let rest = MEANT.iter().find_map(|how| text.strip_prefix(how)).unwrap_or(text);
    rest.strip_prefix("//").unwrap_or(rest)
}

fn container_of_pod(workload: &Workload) -> Option<String> {
    let pod = workload.pod.as_ref()?;
    Some(format!("{}/{}/{}", pod.namespace, pod.name, pod.container.as_ref()?))
}

fn not_found(node: &Node, target: &Target) -> Unresolved {
    /// Below this two words have little to do with each other.
    const ALIKE: f64 = 0.75;
    const SHOWN: usize = 3;
    let typed = bare(&target.text);
    let mut names: BTreeSet<String> = BTreeSet::new();
    for workload in &node.workloads {
        names.extend(workload.name.clone());
        names.extend(workload.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name)));
        names.extend(container_of_pod(workload).filter(|_| typed.matches('/').count() > 1));
        names.extend(workload.id.as_ref().map(|id| id.get(..12).unwrap_or(id).to_owned()));
    }
    let paths = || node.namespaces.iter().flat_map(|state| &state.netns.paths);
    names.extend(paths().cloned());
    names.extend(paths().filter_map(|path| Some(Path::new(path).file_name()?.to_string_lossy().into_owned())));
    names
        .extend(node.namespace(node.host_netns).into_iter().flat_map(|host| &host.links).map(|link| link.name.clone()));
    let mut near: Vec<(f64, String)> =
        names.into_iter().map(|name| (strsim::jaro_winkler(&name, typed), name)).collect();
    near.retain(|(score, _)| *score >= ALIKE);
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let nearest = near.into_iter().take(SHOWN).map(|(_, name)| name).collect();
    let namesakes = node.workloads.iter().filter(|workload| {
        (&workload.name, &workload.pod) == (&None, &None) && workload.process.as_deref() == Some(typed)
    });
    let namesakes = namesakes.take(SHOWN).map(|workload| candidate_of(workload, "process")).collect();
    Unresolved::NotFound { text: target.text.clone(), nearest, namesakes, asked: node.sources.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::{Address, Family};
    use crate::model::link::Link;
    use crate::model::netns::{Holder, HolderKind, Netns, NetnsState, Nsid};
    use crate::model::workload::{Pod, Role, State};

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
            "lxc1@if2",
            "dev:lxc1@if2",
            "net:[10]",
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
        assert_eq!(pick("docker://envoy").unwrap().workload, Some(1));
        assert!(matches!(pick("podman://envoy"), Err(Unresolved::NotFound { .. })));
    }

    #[test]
    fn an_end_that_leads_to_no_namespace_that_was_found_is_not_the_hosts() {
        let mut node = node();
        let host = node.namespaces.iter_mut().find(|state| state.netns.is_host).unwrap();
        host.nsids.clear();
        for text in ["dev:lxc1", "lxc1", "ifindex:750", "66:1e:8f:0b:7a:52"] {
            let found = resolve(&node, &text.parse().unwrap());
            assert!(matches!(found, Err(Unresolved::UnseenEnd { .. })), "{text}: {found:?}");
        }
        let host = node.namespaces.iter_mut().find(|state| state.netns.is_host).unwrap();
        host.links.iter_mut().for_each(|link| link.link_netnsid = None);
        assert_eq!(resolve(&node, &"lxc1".parse().unwrap()).unwrap().netns, Some(1), "both ends are the host's");
    }

    #[test]
    fn an_exact_name_is_not_disturbed_by_longer_ones() {
        assert_eq!(pick("web").unwrap().workload, Some(4));
        assert_eq!(pick("web2").unwrap().workload, Some(5));
    }

    #[test]
    fn who_changes_something_types_all_of_a_name_and_enough_of_an_id() {
        let to_change = |text: &str| resolve_to_change(&node(), &text.parse().unwrap()).map(|pick| pick.workload);
        for (text, workload) in [
            ("web-0", 0),
            ("default/web-0/envoy", 1),
            ("web", 4),
            ("eeeeee", 4),
            ("docker://eeeeeeeeeeee", 4),
            ("lxc1", 0),
            ("10.0.0.5", 0),
        ] {
            assert_eq!(to_change(text).unwrap(), Some(workload), "{text}");
        }
        for text in ["web-", "pod:web-", "default/we", "ee", "eeeee", "docker://ee", "container:eeeee"] {
            assert!(matches!(to_change(text), Err(Unresolved::NotFound { .. })), "{text}");
            assert!(!matches!(pick(text), Err(Unresolved::NotFound { .. })), "{text}");
        }
        let mut node = node();
        node.workloads[4].id = Some("decade10".into()); // as somebody chose it
        assert_eq!(resolve(&node, &"decade1".parse().unwrap()).unwrap().workload, Some(4));
        assert!(resolve_to_change(&node, &"decade1".parse().unwrap()).is_err());
        assert_eq!(resolve_to_change(&node, &"decade10".parse().unwrap()).unwrap().workload, Some(4));
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
        let Err(Unresolved::NotFound { nearest, .. }) = pick("default/web-0/ap") else { panic!() };
        assert_eq!(nearest[..2], ["default/web-0/app", "default/web-1/app"], "{nearest:?}");
        for (typed, near) in
            [("lxc2", "lxc1"), ("dev:lxc2", "lxc1"), ("netns:lefd", "left"), ("/run/netns/lefd", "/run/netns/left")]
        {
            let Err(Unresolved::NotFound { nearest, .. }) = pick(typed) else { panic!("{typed}") };
            assert_eq!(nearest.first().map(String::as_str), Some(near), "{typed}");
        }
        assert!(matches!(pick("docker://"), Err(Unresolved::NotFound { .. })));
    }

    #[test]
    fn the_name_of_a_process_is_no_target_but_tells_which_are() {
        let mut node = node();
        node.workloads.push(Workload { name: None, process: Some("web-7".into()), ..container("1234", "", 50) });
        let process = |pid| Workload {
            pid: Some(pid),
            process: Some("web-7".into()),
            role: Role::Process,
            state: State::Running,
            ..Workload::default()
        };
        node.workloads.extend([process(70), process(71)]);
        for text in ["web-7", "name:web-7"] {
            let found = resolve(&node, &text.parse().unwrap());
            let Err(Unresolved::NotFound { namesakes, .. }) = found else { panic!("{text}: {found:?}") };
            let spellings: Vec<&str> = namesakes.iter().map(|process| process.spelling.as_str()).collect();
            assert_eq!(spellings, ["docker://123412341234", "pid:70", "pid:71"], "{text}");
        }
    }
}
