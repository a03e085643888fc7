//! What CNI made of a workload's network, beside what the kernel shows of it now.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disagreement::{Disagreement, listed};
use crate::model::attachment::{AttachedInterface, AttachedRoute, Attachment};
use crate::model::link::Link;
use crate::model::netns::NetnsState;
use crate::model::node::Node;
use crate::model::peer::{Peers, Verdict};
use crate::model::route::Route;
use crate::model::workload::Workload;

const CACHE: &str = "CNI result";
const KERNEL: &str = "kernel";

/// One attachment, and where the kernel shows otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    #[serde(flatten)]
    pub attachment: Attachment,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<Disagreement>,
}

/// The attachments of a workload's sandbox or of a namespace; None where who keeps them was not read, or has nothing of
/// what CNI has no part in: the host's namespace, and containers that are no pod's.
pub fn attached(node: &Node, workload: Option<&Workload>, state: &NetnsState) -> Option<Vec<Attached>> {
    let all = node.attachments.as_ref()?;
    if state.netns.is_host {
        return None;
    }
    let sandbox = workload.and_then(|workload| workload.pod.as_ref()?.sandbox_id.as_ref());
    let ids: Vec<&String> = workload.and_then(|workload| workload.id.as_ref()).into_iter().chain(sandbox).collect();
    let is_its = |attachment: &&Attachment| {
        ids.contains(&&attachment.container_id)
            || attachment.netns_inode == Some(state.netns.inode)
            || attachment.netns.as_deref().is_some_and(|path| is_at(state, path))
    };
    let its: Vec<Attached> = all.iter().filter(is_its).map(|attachment| compared(node, state, attachment)).collect();
    let is_pod = workload.is_some_and(|workload| workload.pod.is_some());
    (!its.is_empty() || is_pod).then_some(its)
}

/// Whether a netns is mounted there, by whichever of its two spellings.
fn is_at(state: &NetnsState, path: &str) -> bool {
    let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
    state.netns.paths.iter().any(|mounted| mounted == path)
}

fn compared(node: &Node, state: &NetnsState, attachment: &Attachment) -> Attached {
    let mut attached = Attached { attachment: attachment.clone(), disagreements: Vec::new() };
    if !state.links.is_empty() {
        attached.compare_netns(state);
        attached.compare_inside(state);
        attached.compare_addresses(state);
        attached.compare_routes(state);
        if let Some(host) = node.namespace(node.host_netns) {
            attached.compare_host(node, state, host);
        }
    }
    attached
}

impl Attached {
    fn differ(&mut self, what: &str, cache: &str, kernel: &str) {
        self.disagreements.push(Disagreement::new(what, &[(CACHE, cache), (KERNEL, kernel)]));
    }

    /// A runtime that names it by a process says nothing that could still be looked at.
    fn compare_netns(&mut self, state: &NetnsState) {
        let told = self.attachment.netns.clone().filter(|path| !path.starts_with("/proc/") && !is_at(state, path));
        if let Some(path) = told {
            self.differ("netns", &path, &format!("netns {} at {}", state.netns.inode, listed(&state.netns.paths)));
        }
    }

    fn compare_inside(&mut self, state: &NetnsState) {
        for told in self.attachment.inside().cloned().collect::<Vec<_>>() {
            match link(state, &told.name) {
                Some(link) => self.compare_link(&told, link),
                None => self.differ("interface", &told.name, &format!("none of that name, but {}", names(state))),
            }
        }
    }

    fn compare_link(&mut self, told: &AttachedInterface, link: &Link) {
        if let Some(mac) = told.mac.filter(|mac| link.mac != Some(*mac)) {
            let own = link.mac.map_or_else(|| "none".to_owned(), |mac| mac.to_string());
            self.differ(&format!("mac of {}", told.name), &mac.to_string(), &own);
        }
        if let Some(mtu) = told.mtu.filter(|mtu| *mtu != link.mtu) {
            self.differ(&format!("mtu of {}", told.name), &mtu.to_string(), &link.mtu.to_string());
        }
    }

    /// What is missing, and what somebody else gave to the same interface for good.
    fn compare_addresses(&mut self, state: &NetnsState) {
        let told = self.attachment.addresses.clone();
        let inside: Vec<String> = self.attachment.inside().map(|interface| interface.name.clone()).collect();
        let expected: Vec<String> = told.iter().map(|each| each.address.to_string()).collect();
        let links = state.links.iter().filter(|link| inside.contains(&link.name) || inside.is_empty());
        let mut own: Vec<String> = Vec::new();
        for address in links.flat_map(|link| &link.addresses) {
            let text = format!("{}/{}", address.address, address.prefix_length);
            let given = address.scope == "global" && address.flags.iter().any(|flag| flag == "permanent");
            if given || expected.contains(&text) {
                own.push(text);
            }
        }
        let missing = expected.iter().any(|address| !own.contains(address));
        if !expected.is_empty() && (missing || own.len() > expected.len()) {
            self.differ("addresses", &listed(expected), &listed(own));
        }
    }

    fn compare_routes(&mut self, state: &NetnsState) {
        for told in self.attachment.routes.clone() {
            let same: Vec<&Route> =
                state.routes.iter().filter(|route| route.destination == told.destination.trunc()).collect();
            if !same.iter().any(|route| fits(route, &told)) {
                let kernel = if same.is_empty() {
                    format!("no route to {}", told.destination)
                } else {
                    same.iter().map(|route| written(route)).collect::<Vec<_>>().join(" | ")
                };
                self.differ("route", &spelled(&told), &kernel);
            }
        }
    }

    /// Its interfaces on the host, and that one of them is the other end of the one inside.
    fn compare_host(&mut self, node: &Node, state: &NetnsState, host: &NetnsState) {
        let told: Vec<AttachedInterface> = self.attachment.on_host().cloned().collect();
        if told.is_empty() || host.links.is_empty() {
            return;
        }
        for interface in &told {
            match link(host, &interface.name) {
                Some(link) => self.compare_link(interface, link),
                None => self.differ("host interface", &interface.name, "none of that name"),
            }
        }
        let peers = Peers::new(&node.namespaces);
        let inside: Vec<&Link> =
            self.attachment.inside().filter_map(|interface| link(state, &interface.name)).collect();
        let ends: Vec<String> = inside
            .iter()
            .filter_map(|link| peers.of(state.netns.inode, link))
            .filter(|peer| peer.verdict == Verdict::Confirmed)
            .filter_map(|peer| peer.name)
            .collect();
        for end in ends {
            if !told.iter().any(|interface| interface.name == end) {
                self.differ(
                    "host interface",
                    &listed(told.iter().map(|interface| &interface.name)),
                    &format!("{end} at the other end"),
                );
            }
        }
    }
}

fn link<'a>(state: &'a NetnsState, name: &str) -> Option<&'a Link> {
    state.links.iter().find(|link| link.name == name)
}

fn names(state: &NetnsState) -> String {
    listed(state.links.iter().filter(|link| link.kind != "loopback").map(|link| &link.name))
}

/// Without a gateway the plugin that made it chose one.
fn fits(route: &Route, told: &AttachedRoute) -> bool {
    let via = |gateway: &IpAddr| route.next_hops.iter().any(|hop| hop.gateway == Some(*gateway));
    route.kind == "unicast"
        && told.gateway.as_ref().is_none_or(via)
        && told.mtu.is_none_or(|mtu| route.mtu == Some(mtu))
}

fn spelled(told: &AttachedRoute) -> String {
    let gateway = told.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
    let mtu = told.mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
    format!("{}{gateway}{mtu}", told.destination)
}

fn written(route: &Route) -> String {
    let hop = |hop: &crate::model::route::NextHop| {
        let gateway = hop.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let interface = hop.interface.as_ref().map(|name| format!(" dev {name}")).unwrap_or_default();
        format!("{gateway}{interface}")
    };
    let mtu = route.mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
    format!("{}{}{mtu}", route.destination, route.next_hops.iter().map(hop).collect::<String>())
}
