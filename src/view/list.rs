//! `podnet list`: one line a workload, one more for each namespace that nobody lives in.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::model::kube::pod::KubePod;
use crate::model::link::Link;
use crate::model::netns::{Inode, Netns, NetnsState};
use crate::model::node::Node;
use crate::model::source::Asked;
use crate::model::workload::{Pod, Role, State, Workload};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct List {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    pub collected_at: Timestamp,
    pub items: Vec<Item>,
    pub sources: Vec<Asked>,
    /// Whether only some were asked for.
    #[serde(skip)]
    pub chosen: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
    /// Global addresses; none for those in the host's netns, whose addresses are the node's.
    pub addresses: Vec<IpAddr>,
    /// The host's end of its first interface that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_interface: Option<String>,
    pub state: State,
    /// Of a pod that the cluster gave to this node and of which nothing runs here: how it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
}

/// What to leave out, and the order.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Workloads that don't run, too.
    pub all: bool,
    /// Only what these runtimes run; of any where none is named.
    pub runtimes: Vec<String>,
    /// Only pods of this namespace.
    pub namespace: Option<String>,
    /// Only namespaces, one line each.
    pub netns_only: bool,
    pub sort: Sort,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// By pod, with the containers of a netns together.
    #[default]
    Name,
    Pid,
    Netns,
    Address,
}

impl Choice {
    /// Whether only some workloads are asked for.
    fn is_partial(&self) -> bool {
        self.namespace.is_some() || !self.runtimes.is_empty()
    }
}

/// Lists the node's workloads.
pub fn list(node: &Node, choice: &Choice) -> List {
    let ends = host_ends(node);
    let mut items: Vec<Item> = Vec::new();
    if !choice.netns_only {
        let spoken_for = SpokenFor::new(node);
        let shown = node.workloads.iter().filter(|workload| is_chosen(workload, choice, &spoken_for));
        items.extend(
            shown.map(|workload| item(&ends, Some(workload), workload.netns.and_then(|inode| node.namespace(inode)))),
        );
    }
    items.extend(missing_pods(node, choice));
    let shown = node.namespaces.iter().filter(|state| stands_alone(node, state, choice));
    items.extend(shown.map(|state| item(&ends, None, Some(state))));
    items.sort_by_cached_key(|item| order(item, choice.sort));
    List {
        api_version: API_VERSION.to_owned(),
        kind: "List".to_owned(),
        node: node.hostname.clone(),
        collected_at: node.collected_at,
        items,
        sources: node.sources.clone(),
        chosen: choice.is_partial(),
    }
}

/// Whether a namespace has a line of its own: without workloads each that one which was asked for lives in, beside them
/// those that nobody does.
fn stands_alone(node: &Node, state: &NetnsState, choice: &Choice) -> bool {
    let mut inhabitants = node.workloads.iter().filter(|workload| workload.netns == Some(state.netns.inode));
    match (choice.netns_only, choice.is_partial()) {
        (true, false) => true,
        (true, true) => inhabitants.any(|workload| is_asked_for(workload, choice)),
        (false, partial) => !partial && !state.netns.is_host && inhabitants.next().is_none(),
    }
}

/// A sandbox goes without saying where its containers run: these are their pods and namespaces.
struct SpokenFor<'a> {
    pods: BTreeSet<(&'a str, &'a str)>,
    namespaces: BTreeSet<Inode>,
}

impl<'a> SpokenFor<'a> {
    fn new(node: &'a Node) -> Self {
        let run = |workload: &&Workload| workload.role == Role::Container && workload.is_alive();
        let containers = || node.workloads.iter().filter(run);
        Self {
            pods: containers().filter_map(|container| container.pod.as_ref().map(name_of)).collect(),
            namespaces: containers()
                .filter_map(|container| container.netns)
                .filter(|inode| *inode != node.host_netns)
                .collect(),
        }
    }

    fn includes(&self, sandbox: &Workload) -> bool {
        let by_name = sandbox.pod.as_ref().is_some_and(|pod| self.pods.contains(&name_of(pod)));
        by_name || sandbox.netns.is_some_and(|inode| self.namespaces.contains(&inode))
    }
}

fn name_of(pod: &Pod) -> (&str, &str) {
    (&pod.namespace, &pod.name)
}

fn is_chosen(workload: &Workload, choice: &Choice, spoken_for: &SpokenFor<'_>) -> bool {
    let telling = workload.role != Role::Sandbox || !spoken_for.includes(workload);
    is_asked_for(workload, choice) && (choice.all || (workload.is_alive() && telling))
}

fn is_asked_for(workload: &Workload, choice: &Choice) -> bool {
    let of_namespace = choice
        .namespace
        .as_ref()
        .is_none_or(|namespace| workload.pod.as_ref().is_some_and(|pod| pod.namespace == *namespace));
    let of_runtime = choice.runtimes.is_empty()
        || workload.runtime.as_ref().is_some_and(|runtime| choice.runtimes.contains(runtime));
    of_namespace && of_runtime
}

/// Pods of this node that only the API server knows, where it was asked.
fn missing_pods(node: &Node, choice: &Choice) -> Vec<Item> {
    let told = node.kubernetes.iter().flat_map(|told| told.pods.iter().flatten());
    let here = |pod: &&KubePod| {
        let is_its = |workload: &Workload| {
            workload.pod.as_ref().is_some_and(|own| own.namespace == pod.namespace && own.name == pod.name)
        };
        node.workloads.iter().any(is_its)
    };
    let missing = told.filter(|pod| !here(pod) && (choice.all || !pod.has_ended())).map(|pod| Item {
        workload: Some(Workload {
            pod: Some(Pod {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                uid: Some(pod.uid.clone()),
                ..Pod::default()
            }),
            seen_by: vec!["kubernetes".to_owned()],
            ..Workload::default()
        }),
        netns: None,
        addresses: Vec::new(),
        host_interface: None,
        state: State::Unknown,
        standing: Some(pod.standing()),
    });
    missing
        .filter(|item| !choice.netns_only && item.workload.as_ref().is_some_and(|own| is_asked_for(own, choice)))
        .collect()
}

/// The host's ends of pairs, by the namespace where the other end is: of several the one of the first interface there.
/// The host's own word (netnsid, ifindex) is enough: no two ends have the same other one.
fn host_ends(node: &Node) -> BTreeMap<Inode, &str> {
    let Some(host) = node.namespace(node.host_netns) else { return BTreeMap::new() };
    let ids: BTreeMap<i32, Inode> = host.nsids.iter().map(|known| (known.nsid, known.inode)).collect();
    let mut pairs: Vec<&Link> = host.links.iter().filter(|link| link.is_paired()).collect();
    pairs.sort_by_key(|link| Reverse(link.far_ifindex()));
    let elsewhere = |link: &Link| ids.get(&link.link_netnsid?).copied();
    pairs.into_iter().filter_map(|link| Some((elsewhere(link)?, link.name.as_str()))).collect()
}

fn item(ends: &BTreeMap<Inode, &str>, workload: Option<&Workload>, state: Option<&NetnsState>) -> Item {
    let own = state.filter(|state| !state.netns.is_host);
    let of_links = own.into_iter().flat_map(|state| state.links.iter().flat_map(|link| &link.addresses));
    let alone = own.into_iter().flat_map(|state| state.addresses.iter().flatten());
    let global = of_links.chain(alone).filter(|address| address.scope == "global");
    Item {
        workload: workload.cloned(),
        netns: state.map(|state| state.netns.clone()),
        addresses: global.map(|address| address.address).collect(),
        host_interface: own.and_then(|state| ends.get(&state.netns.inode)).map(|name| (*name).to_owned()),
        state: workload.map_or(State::Unknown, |workload| workload.state),
        standing: None,
    }
}

/// What comes first, and among those; the inode keeps those of one netns together.
type Order = (u8, Vec<IpAddr>, Vec<String>, u64);

fn order(item: &Item, sort: Sort) -> Order {
    let workload = item.workload.as_ref();
    let inode = item.netns.as_ref().map_or(0, |netns| netns.inode);
    let lone = u8::from(workload.is_none());
    match sort {
        Sort::Pid => {
            let pid = workload.and_then(|workload| workload.pid).map_or(u64::MAX, u64::from);
            (lone, Vec::new(), Vec::new(), pid)
        }
        Sort::Netns => (0, Vec::new(), Vec::new(), inode),
        Sort::Address => (u8::from(item.addresses.is_empty()), item.addresses.clone(), Vec::new(), inode),
        Sort::Name => match (workload, workload.and_then(|workload| workload.pod.as_ref())) {
            (_, Some(pod)) => {
                let container = pod.container.clone().unwrap_or("~".to_owned());
                (0, Vec::new(), vec![pod.namespace.clone(), pod.name.clone(), inode.to_string(), container], 0)
            }
            (Some(workload), None) => {
                let name = workload.name.clone().or_else(|| workload.process.clone()).unwrap_or_default();
                (1, Vec::new(), vec![name], 0)
            }
            (None, None) => (2, Vec::new(), Vec::new(), inode),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        let workload = |runtime: &str, name: &str, state: &str, netns: Option<u64>| serde_json::json!({"runtime": runtime, "name": name, "state": state, "role": "container", "netns": netns});
        let netns = |inode: u64| {
            let netns = serde_json::json!({"inode": inode, "paths": [], "holders": [], "isHost": inode == 1});
            serde_json::json!({"netns": netns, "links": [], "nsids": [], "routes": [], "nexthops": [], "rules": [], "neighbours": []})
        };
        serde_json::from_value(serde_json::json!({
            "hostname": "n", "collectedAt": "2026-11-24T00:00:00Z", "hostNetns": 1, "sources": [],
            "workloads": [
                workload("docker", "web", "running", Some(2)),
                workload("podman", "db", "running", Some(3)),
                workload("docker", "gone", "stopped", None),
            ],
            "namespaces": [netns(1), netns(2), netns(3), netns(4)],
        }))
        .unwrap()
    }

    /// Names of workloads, and the inodes of namespaces that stand alone.
    fn shown(choice: Choice) -> Vec<String> {
        let name = |item: Item| match item.workload {
            Some(workload) => workload.name.unwrap(),
            None => item.netns.unwrap().inode.to_string(),
        };
        let mut names: Vec<String> = list(&node(), &choice).items.into_iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn each_choice_leaves_out_what_it_says() {
        let runtimes = vec!["docker".to_owned()];
        let of = |runtime: &str| Choice { netns_only: true, runtimes: vec![runtime.to_owned()], ..Choice::default() };
        for (choice, names) in [
            (Choice::default(), &["4", "db", "web"][..]),
            (Choice { all: true, ..Choice::default() }, &["4", "db", "gone", "web"]),
            (Choice { runtimes, ..Choice::default() }, &["web"]),
            (Choice { namespace: Some("default".into()), ..Choice::default() }, &[]),
            (Choice { netns_only: true, ..Choice::default() }, &["1", "2", "3", "4"]),
            (of("docker"), &["2"]),
            (of("cri-o"), &[]),
            (Choice { namespace: Some("default".into()), ..of("docker") }, &[]),
        ] {
            assert_eq!(shown(choice.clone()), names, "{choice:?}");
        }
    }

    #[test]
    fn a_sandbox_goes_without_saying_where_its_container_runs() {
        let pod = |name: &str, container: Option<&str>| {
            let container = container.map(str::to_owned);
            Some(Pod { namespace: "default".into(), name: name.into(), container, ..Pod::default() })
        };
        let mut node = node();
        let [first, second, third] = &mut node.workloads[..] else { panic!() };
        (first.pod, second.pod, third.pod) = (pod("web-0", Some("web")), pod("web-0", None), pod("web-1", None));
        second.role = Role::Sandbox;
        (third.role, third.state) = (Role::Sandbox, State::Running);
        let shown = |choice: &Choice| {
            let items = list(&node, choice).items.into_iter();
            items.filter_map(|item| item.workload?.name).collect::<Vec<_>>()
        };
        assert_eq!(shown(&Choice::default()), ["web", "gone"], "the second pod has nothing else to show");
        assert_eq!(shown(&Choice { all: true, ..Choice::default() }), ["web", "db", "gone"]);
    }

    #[test]
    fn addresses_are_sorted_as_numbers() {
        let mut node = node();
        let address =
            |text: &str| serde_json::json!({"address": text, "prefixLength": 24, "family": "ipv4", "scope": "global"});
        for (state, text) in node.namespaces[1..].iter_mut().zip(["10.0.1.5", "10.0.0.10", "10.0.0.9"]) {
            let address = serde_json::from_value(address(text)).unwrap();
            state.links = vec![Link { name: "eth0".into(), addresses: vec![address], ..Link::default() }];
        }
        let choice = Choice { netns_only: true, sort: Sort::Address, ..Choice::default() };
        let first = |item: Item| item.addresses.first().map(ToString::to_string);
        let sorted: Vec<_> = list(&node, &choice).items.into_iter().filter_map(first).collect();
        assert_eq!(sorted, ["10.0.0.9", "10.0.0.10", "10.0.1.5"]);
    }
}
