//! What could be meant by the beginning of a target: for a shell to complete it. Pure, as resolving is.

use std::collections::BTreeSet;

use super::reading::Target;
use super::resolve::{Pick, resolve};
use crate::collect::options::Depth;
use crate::model::netns::{HolderKind, NetnsState};
use crate::model::node::Node;
use crate::model::workload::{Role, State, Workload};

/// A target, and what it is in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub text: String,
    pub note: String,
}

/// How deep the node must be read for what begins with `typed`.
pub fn depth_of(typed: &str) -> Depth {
    if looks_like_address(typed) { Depth::AllLinks } else { Depth::HostLinks }
}

/// Everything that is called by a word that begins with `typed`, and by that word alone: containers and pods that
/// run, namespaces without one, the host's interfaces. Rarer spellings are offered to who began them.
pub fn offers(node: &Node, typed: &str) -> Vec<Offer> {
    let mut offers = Vec::new();
    let workloads = node.workloads.iter().filter(|workload| workload.state == State::Running);
    for workload in workloads.clone() {
        offers.extend(of_workload(node, workload, typed));
    }
    offers.sort_by(|one, other| one.text.cmp(&other.text));
    let inhabited: BTreeSet<_> = workloads.filter_map(|workload| workload.netns).collect();
    for state in &node.namespaces {
        if state.netns.is_host {
            offers.extend(of_host(node, state, typed));
        } else {
            let lone = !inhabited.contains(&state.netns.inode);
            offers.extend(of_netns(state, lone, typed));
        }
        if looks_like_address(typed) {
            offers.extend(of_addresses(node, state, typed));
        }
    }
    let mut seen = BTreeSet::new();
    offers.retain(|offer| offer.text.starts_with(typed) && seen.insert(offer.text.clone()));
    offers.retain(|offer| pick(node, &offer.text).is_some());
    offers
}

fn of_workload(node: &Node, workload: &Workload, typed: &str) -> Vec<Offer> {
    let mut texts = Vec::new();
    let mut note = note_of(workload);
    match &workload.pod {
        Some(pod) => {
            let whole = format!("{}/{}", pod.namespace, pod.name);
            if typed.starts_with(&format!("{whole}/")) {
                texts.extend(pod.container.iter().map(|container| format!("{whole}/{container}")));
            } else {
                note = note_of_pod(node, workload);
                texts.extend([whole.clone(), format!("pod:{whole}")]);
            }
        }
        None if workload.role == Role::Process => texts.extend(workload.pid.map(|pid| format!("pid:{pid}"))),
        None => {
            let name = workload.name.as_ref().filter(|name| pick(node, name).is_some());
            let id = workload.id.as_ref().map(|id| id.get(..12).unwrap_or(id).to_owned());
            texts.extend(name.cloned().or(id));
            texts.extend(workload.name.iter().map(|name| format!("name:{name}")));
        }
    }
    if !typed.is_empty() && workload.pod.is_none() {
        texts.extend(workload.pid.map(|pid| format!("pid:{pid}")));
    }
    if let Some(id) = workload.id.as_ref().filter(|_| !typed.is_empty()) {
        let beginning = if typed.len() > 12 { id.as_str() } else { id.get(..12).unwrap_or(id) };
        let runtime = workload.runtime.as_ref();
        texts.extend([beginning.to_owned(), format!("container:{beginning}")]);
        texts.extend(runtime.map(|runtime| format!("{runtime}://{id}")));
    }
    // A word and a colon are for who began to type them.
    texts.retain(|text| typed.contains(':') || !text.contains(':') || workload.role == Role::Process);
    texts.into_iter().map(|text| Offer { text, note: note.clone() }).collect()
}

/// `docker, registry.example/web:1.4`.
fn note_of(workload: &Workload) -> String {
    let process = workload.process.as_ref().filter(|_| workload.runtime.is_none());
    let words = [workload.runtime.as_ref(), workload.image.as_ref(), process];
    words.into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")
}

/// `pod of app, envoy`.
fn note_of_pod(node: &Node, workload: &Workload) -> String {
    let same = |other: &&Workload| match (&other.pod, &workload.pod) {
        (Some(other), Some(pod)) => (&other.namespace, &other.name) == (&pod.namespace, &pod.name),
        _ => false,
    };
    let containers = node.workloads.iter().filter(same);
    let names: BTreeSet<&str> =
        containers.filter_map(|container| container.pod.as_ref()?.container.as_deref()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() { "pod".to_owned() } else { format!("pod of {}", names.join(", ")) }
}

/// Where a workload lives its name is the better one.
fn of_netns(state: &NetnsState, lone: bool, typed: &str) -> Vec<Offer> {
    let netns = &state.netns;
    let process = netns.holders.iter().find(|holder| holder.kind == HolderKind::Process);
    let note = match process.and_then(|holder| holder.process.as_ref().zip(holder.pid)) {
        Some((name, pid)) => format!("netns of {name} {pid}"),
        None => "netns without a process".to_owned(),
    };
    let mut texts = Vec::new();
    if lone || typed.starts_with('/') {
        texts.extend(netns.paths.iter().cloned());
    }
    if typed.starts_with("netns:") || (lone && netns.paths.is_empty()) {
        texts.push(format!("netns:{}", netns.inode));
        texts.extend(netns.paths.iter().map(|path| format!("netns:{path}")));
    }
    texts.into_iter().map(|text| Offer { text, note: note.clone() }).collect()
}

/// The interfaces, which lead to the other ends of pairs.
fn of_host(node: &Node, state: &NetnsState, typed: &str) -> Vec<Offer> {
    let texts = state.links.iter().flat_map(|link| {
        let note = match pick(node, &format!("dev:{}", link.name)).map(|pick| name_of(node, pick)) {
            Some(Some(name)) if link.is_paired() => format!("{} to {name}", link.kind),
            _ => link.kind.clone(),
        };
        let word = typed.contains(':').then(|| format!("dev:{}", link.name));
        [Some(link.name.clone()), word].into_iter().flatten().map(move |text| Offer { text, note: note.clone() })
    });
    texts.collect()
}

fn of_addresses(node: &Node, state: &NetnsState, typed: &str) -> Vec<Offer> {
    let inside = pick(node, &format!("netns:{}", state.netns.inode)).and_then(|pick| name_of(node, pick));
    let note = inside.unwrap_or_else(|| if state.netns.is_host { "the host" } else { "a netns" }.to_owned());
    let addresses =
        state.links.iter().flat_map(|link| &link.addresses).map(|address| ("ip:", address.address.to_string()));
    let macs = state.links.iter().filter_map(|link| link.mac).map(|mac| ("mac:", mac.to_string()));
    let offer = |(word, text): (&str, String)| {
        let text = if typed.starts_with(word) { format!("{word}{text}") } else { text };
        Offer { text, note: note.clone() }
    };
    addresses.chain(macs).map(offer).collect()
}

fn looks_like_address(typed: &str) -> bool {
    let hex =
        |text: &str| text.chars().all(|character| character.is_ascii_hexdigit() || matches!(character, ':' | '.'));
    typed.starts_with("ip:") || typed.starts_with("mac:") || (typed.contains([':', '.']) && hex(typed))
}

/// What the word leads to; None where it is nothing or several things.
fn pick(node: &Node, text: &str) -> Option<Pick> {
    resolve(node, &text.parse::<Target>().ok()?).ok()
}

fn name_of(node: &Node, pick: Pick) -> Option<String> {
    let workload = node.workloads.get(pick.workload?)?;
    let pod = workload.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name));
    pod.or_else(|| workload.name.clone()).or_else(|| workload.process.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        let pod =
            |container: &str| serde_json::json!({"namespace": "default", "name": "web-0", "container": container});
        let container = |id: &str, state: &str, more: serde_json::Value| {
            let mut workload =
                serde_json::json!({"runtime": "docker", "id": id.repeat(32), "state": state, "role": "container"});
            workload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            workload
        };
        let netns = |inode: u64, paths: &[&str], links: serde_json::Value| {
            let netns = serde_json::json!({"inode": inode, "paths": paths, "holders": [], "isHost": inode == 1});
            serde_json::json!({"netns": netns, "links": links, "nsids": [{"nsid": 0, "inode": 3}], "routes": [], "nexthops": [], "rules": [], "neighbours": []})
        };
        let veth = serde_json::json!([{"ifindex": 5, "name": "veth1", "kind": "veth", "mtu": 1500, "state": "up", "link": 2, "linkNetnsid": 0}]);
        let eth0 = serde_json::json!([{"ifindex": 2, "name": "eth0", "kind": "veth", "mtu": 1500, "state": "up", "mac": "02:42:0a:00:00:07",
            "addresses": [{"address": "10.0.0.7", "prefixLength": 24, "family": "ipv4", "scope": "global"}]}]);
        serde_json::from_value(serde_json::json!({
            "hostname": "n", "collectedAt": "2026-11-24T00:00:00Z", "hostNetns": 1, "sources": [],
            "workloads": [
                container("a1", "running", serde_json::json!({"pod": pod("app"), "netns": 2})),
                container("b2", "running", serde_json::json!({"pod": pod("envoy"), "netns": 2})),
                container("c3", "running", serde_json::json!({"name": "db", "image": "db:1", "netns": 3})),
                container("d4", "stopped", serde_json::json!({"name": "gone"})),
                container("e5", "running", serde_json::json!({"name": "twice", "netns": 4})),
                container("f6", "running", serde_json::json!({"name": "twice", "netns": 5})),
            ],
            "namespaces": [netns(1, &[], veth), netns(2, &["/run/netns/cni-1"], serde_json::json!([])), netns(3, &[], eth0), netns(9, &["/run/netns/left"], serde_json::json!([]))],
        }))
        .unwrap()
    }

    fn offered(typed: &str) -> Vec<String> {
        offers(&node(), typed).into_iter().map(|offer| offer.text).collect()
    }

    #[test]
    fn what_runs_is_offered_by_the_word_that_means_it() {
        let all: Vec<(String, String)> =
            offers(&node(), "").into_iter().map(|offer| (offer.text, offer.note)).collect();
        let expected = [
            ("db", "docker, db:1"),
            ("default/web-0", "pod of app, envoy"),
            ("e5e5e5e5e5e5", "docker"),
            ("f6f6f6f6f6f6", "docker"),
            ("veth1", "veth to db"),
            ("/run/netns/left", "netns without a process"),
        ];
        assert_eq!(all, expected.map(|(text, note)| (text.to_owned(), note.to_owned())));
    }

    #[test]
    fn rarer_spellings_are_for_who_began_them() {
        for (typed, texts) in [
            ("d", &["db", "default/web-0"][..]),
            ("default/web-0/", &["default/web-0/app", "default/web-0/envoy"]),
            ("pod:", &["pod:default/web-0"]),
            ("dev:", &["dev:veth1"]),
            ("/run/netns/c", &["/run/netns/cni-1"]),
            ("netns:", &["netns:2", "netns:/run/netns/cni-1", "netns:3", "netns:9", "netns:/run/netns/left"]),
            ("e5", &["e5e5e5e5e5e5"]),
            ("10.", &["10.0.0.7"]),
            ("ip:1", &["ip:10.0.0.7"]),
            ("02:", &["02:42:0a:00:00:07"]),
            ("g", &[]),
            ("twi", &[]),
        ] {
            assert_eq!(offered(typed), texts, "{typed}");
        }
        assert_eq!(offered("docker://c"), ["docker://".to_owned() + &"c3".repeat(32)]);
    }

    proptest::proptest! {
        #[test]
        fn every_offer_goes_on_from_what_was_typed(typed: String) {
            for offer in offers(&node(), &typed) {
                assert!(offer.text.starts_with(&typed));
            }
        }
    }
}
