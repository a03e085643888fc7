//! A node as a flat table, to be compared with another: what there is, and what is worth saying of each.

use std::collections::BTreeMap;

use super::snapshot::What;
use crate::check::{CheckReport, Facts, pods};
use crate::model::count::counted;
use crate::model::link::Link;
use crate::model::netns::{Inode, NetnsState};
use crate::model::node::Node;
use crate::model::peer::Peers;
use crate::model::route::{NextHop, Route};
use crate::model::rule::Rule;
use crate::model::workload::{Role, Workload};

/// By what a thing is the same in both: names that people and runtimes give, not numbers, which begin anew with each boot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub what: What,
    pub of: Option<String>,
    pub name: String,
}

type Table = BTreeMap<Key, BTreeMap<&'static str, String>>;

/// The kernel's own table, which follows from the addresses.
const LOCAL_TABLE: u32 = 255;

pub fn facts(node: &Node, report: &CheckReport) -> Table {
    let names = names(node);
    let peers = Peers::new(&node.namespaces);
    let mut table = Table::new();
    for state in &node.namespaces {
        let Some(name) = names.get(&state.netns.inode) else { continue };
        namespace(&mut table, name, state);
        for link in &state.links {
            interface(&mut table, name, state, link, &peers);
        }
        routing(&mut table, name, state);
        settings(&mut table, name, state);
    }
    for workload in &node.workloads {
        of_workload(&mut table, workload, &names);
    }
    for finding in &report.findings {
        let name = format!("{} {}", finding.code, finding.target);
        add(&mut table, What::Finding, None, name, [("message", finding.message.clone())]);
    }
    for source in &node.sources {
        let (status, why) = match source.status {
            crate::model::source::Status::Present => ("present", ""),
            crate::model::source::Status::Absent => ("absent", source.detail.as_deref().unwrap_or_default()),
            crate::model::source::Status::Failed => ("failed", source.detail.as_deref().unwrap_or_default()),
        };
        add(
            &mut table,
            What::Source,
            None,
            source.name.clone(),
            [("status", status.to_owned()), ("why", why.to_owned())],
        );
    }
    beliefs(&mut table, node);
    table
}

/// As `check` calls them; where two would be called the same, by their numbers.
fn names(node: &Node) -> BTreeMap<Inode, String> {
    let of_pods = Facts::new(node, None, jiff::SignedDuration::ZERO);
    let of_pods: Vec<(Inode, String)> = pods(&of_pods).iter().map(|pod| (pod.inode(), pod.name.clone())).collect();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    of_pods.iter().for_each(|(_, name)| *count.entry(name).or_default() += 1);
    let name = |(inode, name): &(Inode, String)| match count.get(name.as_str()) {
        Some(1) => (*inode, name.clone()),
        _ => (*inode, format!("{name} ({inode})")),
    };
    let host = node.namespaces.iter().filter(|state| state.netns.is_host);
    of_pods.iter().map(name).chain(host.map(|state| (state.netns.inode, "host".to_owned()))).collect()
}

fn add<const N: usize>(
    table: &mut Table,
    what: What,
    of: Option<&str>,
    name: String,
    fields: [(&'static str, String); N],
) {
    table.insert(Key { what, of: of.map(str::to_owned), name }, BTreeMap::from(fields));
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn of_workload(table: &mut Table, workload: &Workload, names: &BTreeMap<Inode, String>) {
    let pod = workload.pod.as_ref().map(|pod| {
        let container =
            pod.container.as_deref().unwrap_or(if workload.role == Role::Sandbox { "(sandbox)" } else { "" });
        format!("{}/{}/{container}", pod.namespace, pod.name)
    });
    let short = workload.id.as_ref().map(|id| id.chars().take(12).collect::<String>());
    let process = workload.process.as_ref().map(|process| format!("{process} {}", text(workload.pid)));
    let called = pod.or_else(|| workload.name.clone()).or(process).unwrap_or_default();
    let name = [workload.runtime.clone(), Some(called), short].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let state = format!("{:?}", workload.state).to_lowercase();
    add(
        table,
        What::Workload,
        None,
        name,
        [
            ("state", state),
            ("pid", text(workload.pid)),
            ("netns", workload.netns.and_then(|inode| names.get(&inode).cloned()).unwrap_or_default()),
            ("image", text(workload.image.as_ref())),
        ],
    );
}

fn namespace(table: &mut Table, name: &str, state: &NetnsState) {
    let holders = state.netns.holders.iter().filter(|holder| holder.path.is_some()).count();
    add(
        table,
        What::Namespace,
        None,
        name.to_owned(),
        [
            ("inode", state.netns.inode.to_string()),
            ("mounts", state.netns.paths.join(" ")),
            (
                "held",
                if holders > 0 {
                    format!("by {}", counted(holders, "mount or descriptor", "mounts or descriptors"))
                } else {
                    String::new()
                },
            ),
            ("unread", text(state.unread())),
        ],
    );
}

fn interface(table: &mut Table, of: &str, state: &NetnsState, link: &Link, peers: &Peers<'_>) {
    let peer = peers.of(state.netns.inode, link);
    let peer = peer.map(|peer| format!("{} {:?}", text(peer.name), peer.verdict).to_lowercase());
    let programs: Vec<String> = link
        .programs
        .iter()
        .map(|program| format!("{:?} {}", program.hook, program.name.as_deref().unwrap_or("unnamed")).to_lowercase())
        .collect();
    let master = link.master.and_then(|master| state.link(master)).map(|master| master.name.as_str());
    add(
        table,
        What::Interface,
        Some(of),
        link.name.clone(),
        [
            ("kind", link.kind.clone()),
            ("ifindex", link.ifindex.to_string()),
            ("mac", text(link.mac)),
            ("mtu", link.mtu.to_string()),
            ("state", format!("{:?}", link.state).to_lowercase()),
            ("flags", link.flags.join(",")),
            ("master", text(master)),
            ("qdisc", text(link.qdisc.as_ref())),
            ("peer", text(peer)),
            ("programs", programs.join(", ")),
        ],
    );
    for address in &link.addresses {
        let name = format!("{}/{} dev {}", address.address, address.prefix_length, link.name);
        add(
            table,
            What::Address,
            Some(of),
            name,
            [("scope", address.scope.clone()), ("flags", address.flags.join(",")), ("peer", text(address.peer))],
        );
    }
}

fn routing(table: &mut Table, of: &str, state: &NetnsState) {
    for route in state.routes.iter().filter(|route| route.table != LOCAL_TABLE) {
        add(
            table,
            What::Route,
            Some(of),
            route_name(route),
            [
                ("to", hops(&route.next_hops)),
                ("source", text(route.preferred_source)),
                ("scope", route.scope.clone()),
                ("protocol", route.protocol.clone()),
                ("mtu", text(route.mtu)),
                ("advmss", text(route.advmss)),
                ("metrics", metrics(route)),
                ("preference", text(route.preference.as_ref())),
                ("flags", route.flags.join(",")),
            ],
        );
    }
    for rule in &state.rules {
        add(table, What::Rule, Some(of), rule_name(rule), []);
    }
    for neighbour in &state.neighbours {
        let name = format!("{} dev {}", neighbour.address, text(neighbour.interface.as_ref()));
        let standing = match neighbour.state.as_str() {
            lasting @ ("failed" | "permanent" | "incomplete") => lasting,
            _ => "",
        };
        if neighbour.mac.is_some() || !standing.is_empty() {
            let mac = text(neighbour.mac);
            add(table, What::Neighbour, Some(of), name, [("mac", mac), ("state", standing.to_owned())]);
        }
    }
}

fn route_name(route: &Route) -> String {
    let kind = if route.kind == "unicast" { String::new() } else { format!("{} ", route.kind) };
    let source = route.source_prefix.map(|prefix| format!(" from {prefix}")).unwrap_or_default();
    let tos = route.tos.map(|tos| format!(" tos {tos:#x}")).unwrap_or_default();
    let metric = route.metric.map(|metric| format!(" metric {metric}")).unwrap_or_default();
    const MAIN: u32 = 254;
    let table = if route.table == MAIN { String::new() } else { format!(" table {}", route.table) };
    format!("{kind}{}{source}{tos}{metric}{table}", route.destination)
}

fn metrics(route: &Route) -> String {
    route.metrics.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

fn hops(hops: &[NextHop]) -> String {
    let hop = |hop: &NextHop| {
        let encap = hop.encap.as_ref().map(|encap| format!("encap {encap}"));
        let gateway = hop.gateway.map(|gateway| format!("via {gateway}"));
        let device = hop.interface.as_ref().map(|interface| format!("dev {interface}"));
        let weight = hop.weight.filter(|weight| *weight > 1).map(|weight| format!("weight {weight}"));
        let flags = (!hop.flags.is_empty()).then(|| hop.flags.join(" "));
        [encap, gateway, device, weight, flags].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    hops.iter().map(hop).collect::<Vec<_>>().join(", ")
}

fn rule_name(rule: &Rule) -> String {
    let not = if rule.inverted { "not " } else { "" };
    let mut words = vec![format!("{:?} {}: {not}from {}", rule.family, rule.priority, all(rule.from)).to_lowercase()];
    words.extend(rule.to.map(|to| format!("to {to}")));
    words.extend(rule.input_interface.as_ref().map(|name| format!("iif {name}")));
    words.extend(rule.output_interface.as_ref().map(|name| format!("oif {name}")));
    let mask = rule.mark_mask.map(|mask| format!("/{mask:#x}")).unwrap_or_default();
    words.extend(rule.mark.map(|mark| format!("fwmark {mark:#x}{mask}")));
    words.push(match rule.table {
        Some(table) if rule.action == "table" => format!("lookup {table}"),
        _ => rule.action.clone(),
    });
    words.join(" ")
}

fn all(prefix: Option<ipnet::IpNet>) -> String {
    prefix.map_or_else(|| "all".to_owned(), |prefix| prefix.to_string())
}

fn settings(table: &mut Table, of: &str, state: &NetnsState) {
    for (name, value) in state.sysctls.iter().flat_map(|sysctls| &sysctls.values) {
        add(table, What::Sysctl, Some(of), name.clone(), [("value", value.clone())]);
    }
    for socket in state.sockets.iter().flat_map(|sockets| &sockets.listeners) {
        let process = socket.process.as_ref().map(|process| process.name.as_str());
        let name = format!("{} {}", socket.protocol, socket.local);
        add(table, What::Listener, Some(of), name, [("process", text(process))]);
    }
}

/// What is believed beside the kernel.
fn beliefs(table: &mut Table, node: &Node) {
    for endpoint in &node.endpoints {
        let addresses: Vec<String> = endpoint.addresses.iter().map(ToString::to_string).collect();
        add(
            table,
            What::Endpoint,
            None,
            endpoint.id.to_string(),
            [
                ("pod", text(endpoint.called())),
                ("state", text(endpoint.state.as_ref())),
                ("identity", text(endpoint.identity)),
                ("addresses", addresses.join(" ")),
                ("interface", text(endpoint.interface.as_ref())),
            ],
        );
    }
    for store in &node.address_stores {
        for (network, held) in
            store.networks.iter().flat_map(|network| network.held.iter().map(move |held| (network, held)))
        {
            let of = format!("{} {}", store.kind, network.name);
            add(
                table,
                What::HeldAddress,
                Some(&of),
                held.address.to_string(),
                [
                    ("container", text(held.container_id.as_ref())),
                    ("interface", text(held.ifname.as_ref())),
                    ("problem", text(held.problem.as_ref())),
                ],
            );
        }
    }
}
