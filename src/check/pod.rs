//! A namespace that is looked at as a pod: who lives in it, how it is connected, and what was promised to it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::facts::Facts;
use super::paste;
use super::rule::Need;
use crate::model::address::{Address, Family};
use crate::model::attachment::Attachment;
use crate::model::fib::{self, Flow};
use crate::model::link::Link;
use crate::model::netns::{HolderKind, Inode, NetnsState};
use crate::model::peer::{Peer, Verdict};
use crate::model::workload::{Role, State, Workload};

/// The hooks of virtual machines and overlays inside are no interfaces of the pod's own connection.
const ATTACHING: [&str; 6] = ["veth", "netkit", "macvlan", "ipvlan", "vlan", "physical"];

pub struct Pod<'a> {
    pub facts: &'a Facts<'a>,
    pub state: &'a NetnsState,
    pub workloads: Vec<&'a Workload>,
    /// The interfaces that lead out of it, towards the host.
    pub ends: Vec<End<'a>>,
    /// What libcni's cache or podnet's journals say was made for it.
    pub attachments: Vec<&'a Attachment>,
    /// As podnet takes it for a target.
    pub name: String,
}

/// An interface of a pod, and what is at its other end.
pub struct End<'a> {
    pub link: &'a Link,
    /// Absent for a device that has no other end, as one of hardware.
    pub peer: Option<Peer>,
    pub far: Option<Far<'a>>,
}

/// The other end, or the device below.
#[derive(Clone, Copy)]
pub struct Far<'a> {
    pub state: &'a NetnsState,
    pub link: &'a Link,
}

/// The pods among the namespaces of a node: all but the host's own.
pub fn pods<'a>(facts: &'a Facts<'a>) -> Vec<Pod<'a>> {
    let mut residents: BTreeMap<Inode, Vec<&Workload>> = BTreeMap::new();
    for workload in &facts.node.workloads {
        if let Some(inode) = workload.netns {
            residents.entry(inode).or_default().push(workload);
        }
    }
    let promised = promises(facts, &residents);
    let others = facts.node.namespaces.iter().filter(|state| !state.netns.is_host);
    others
        .map(|state| {
            let workloads = residents.get(&state.netns.inode).cloned().unwrap_or_default();
            let attachments = promised.get(&state.netns.inode).cloned().unwrap_or_default();
            Pod {
                facts,
                state,
                ends: ends(facts, state),
                name: name(state, &workloads, &attachments),
                workloads,
                attachments,
            }
        })
        .collect()
}

/// Attachments by namespace: by the container that they were made for, else by its number, else by the path of its mount.
fn promises<'a>(
    facts: &Facts<'a>,
    residents: &BTreeMap<Inode, Vec<&'a Workload>>,
) -> BTreeMap<Inode, Vec<&'a Attachment>> {
    // A container's own id says more than the sandbox that it names: it may have left that.
    let all =
        || residents.iter().flat_map(|(inode, workloads)| workloads.iter().map(move |workload| (*inode, *workload)));
    let sandbox = |workload: &'a Workload| workload.pod.as_ref().and_then(|pod| pod.sandbox_id.as_deref());
    let by_sandbox = all().filter_map(|(inode, workload)| Some((sandbox(workload)?, inode)));
    let by_id = all().filter_map(|(inode, workload)| Some((workload.id.as_deref()?, inode)));
    let by_container: BTreeMap<&str, Inode> = by_sandbox.chain(by_id).collect();
    let paths = facts.node.namespaces.iter().flat_map(|state| state.netns.paths.iter().map(move |path| (path, state)));
    let by_path: BTreeMap<&str, Inode> = paths.map(|(path, state)| (path.as_str(), state.netns.inode)).collect();
    let mut promised: BTreeMap<Inode, Vec<&Attachment>> = BTreeMap::new();
    // Runtimes have the loopback plugin set up `lo`, and keep that, too.
    let readable = facts
        .node
        .attachments
        .iter()
        .flatten()
        .filter(|attachment| attachment.problem.is_none() && attachment.ifname != "lo");
    for attachment in readable {
        let by_container = by_container.get(attachment.container_id.as_str()).copied();
        let by_mount = || by_path.get(short_path(attachment.netns.as_deref()?)).copied();
        if let Some(inode) = by_container.or(attachment.netns_inode).or_else(by_mount) {
            promised.entry(inode).or_default().push(attachment);
        }
    }
    promised
}

/// `/var/run` is `/run` everywhere, and mounts are told by the latter.
fn short_path(path: &str) -> &str {
    path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path)
}

fn ends<'a>(facts: &Facts<'a>, state: &'a NetnsState) -> Vec<End<'a>> {
    let inode = state.netns.inode;
    let own = facts.level(inode);
    let end = |link: &'a Link| {
        let peer = facts.peer(inode, link);
        let elsewhere = peer.as_ref().and_then(|peer| peer.netns.as_ref()).map(|netns| netns.inode);
        let inwards = match (elsewhere.and_then(|inode| facts.level(inode)), own) {
            (Some(other), Some(own)) => other >= own,
            _ => elsewhere == Some(inode),
        };
        let connects = peer.is_some() || link.kind == "physical";
        if inwards || !connects || !ATTACHING.contains(&link.kind.as_str()) {
            return None;
        }
        let lower_or_proven = peer.as_ref().is_some_and(|peer| peer.verdict == Verdict::Confirmed || !link.is_paired());
        let far = elsewhere.and_then(|inode| facts.namespace(inode)).zip(peer.as_ref().and_then(|peer| peer.ifindex));
        let far = far
            .filter(|_| lower_or_proven)
            .and_then(|(state, ifindex)| Some(Far { state, link: state.link(ifindex)? }));
        Some(End { link, peer, far })
    };
    state.links.iter().filter_map(end).collect()
}

/// A pod by its name, a container by its own, a process by its PID, a namespace by its number.
fn name(state: &NetnsState, workloads: &[&Workload], attachments: &[&Attachment]) -> String {
    let pod = workloads.iter().find_map(|workload| workload.pod.as_ref());
    if let Some(pod) = pod {
        return format!("{}/{}", pod.namespace, pod.name);
    }
    let joined =
        |workload: &&&Workload| workload.network_mode.as_deref().is_some_and(|mode| mode.starts_with("container:"));
    let first = workloads.iter().find(|workload| !joined(workload)).or(workloads.first());
    if let Some(workload) = first {
        let named = workload.name.clone().filter(|_| workload.role != Role::Process);
        let by_pid = || workload.pid.map(|pid| format!("pid:{pid}"));
        if let Some(name) =
            named.or_else(|| workload.id.as_ref().map(|id| id.chars().take(12).collect())).or_else(by_pid)
        {
            return name;
        }
    }
    let promised = attachments.iter().find_map(|attachment| attachment.pod.as_ref());
    match (promised, state.netns.paths.first()) {
        (Some(pod), _) if workloads.is_empty() && state.netns.paths.is_empty() => {
            format!("{}/{}", pod.namespace, pod.name)
        }
        (_, Some(path)) => path.clone(),
        _ => format!("netns:{}", state.netns.inode),
    }
}

impl<'a> Pod<'a> {
    pub fn inode(&self) -> Inode {
        self.state.netns.inode
    }

    /// For evidence: where a table of the pod was read.
    pub fn place(&self) -> String {
        format!("netns {}", self.inode())
    }

    /// A command of the host's, to be run inside.
    pub fn inside(&self, command: &str) -> String {
        format!("podnet exec {} -- {command}", paste::word(&self.name))
    }

    pub fn has_no_process(&self) -> bool {
        !self.state.netns.holders.iter().any(|holder| holder.kind == HolderKind::Process)
    }

    pub fn is_of_kubernetes(&self) -> bool {
        self.workloads.iter().any(|workload| workload.pod.is_some() && workload.state == State::Running)
    }

    /// Whether that is the id of a container in it, or of its sandbox.
    pub fn is_container(&self, id: &str) -> bool {
        let of_attachment = self.attachments.iter().any(|attachment| attachment.container_id == id);
        let of_workload = self.workloads.iter().any(|workload| {
            let sandbox = workload.pod.as_ref().and_then(|pod| pod.sandbox_id.as_deref());
            workload.id.as_deref() == Some(id) || sandbox == Some(id)
        });
        of_attachment || of_workload
    }

    /// Whether anybody lives in it or expects it to be connected. A namespace that somebody made by hand, and left, is
    /// his own affair.
    pub fn is_used(&self) -> bool {
        !self.workloads.is_empty() || !self.attachments.is_empty()
    }

    /// The global addresses of the interfaces that lead out, and of hardware inside.
    pub fn addresses(&self) -> impl Iterator<Item = (&'a Link, &'a Address)> {
        let own = self.ends.iter().map(|end| end.link);
        own.flat_map(|link| link.addresses.iter().map(move |address| (link, address)))
            .filter(|(_, address)| address.scope == "global")
    }

    /// The interface that leads out by that name.
    pub fn end(&self, name: &str) -> Option<&End<'a>> {
        self.ends.iter().find(|end| end.link.name == name)
    }

    /// Whether somebody made a network for it: a CNI plugin, or its runtime.
    pub fn was_promised_a_network(&self) -> bool {
        !self.attachments.is_empty() || self.has_runtime_networks() || self.is_of_kubernetes()
    }

    pub fn has_runtime_networks(&self) -> bool {
        self.workloads.iter().any(|workload| !workload.networks.is_empty())
    }

    /// Who says what it was given, for evidence.
    pub fn promised_by(&self) -> &'static str {
        self.attachments.first().map_or("runtime", |attachment| attachment.kept_by.word())
    }

    /// Whether it was given an address of that family when it was made.
    pub fn was_promised(&self, family: Family) -> bool {
        let by_cni = self.attachments.iter().flat_map(|attachment| &attachment.addresses);
        let by_runtime = self.workloads.iter().flat_map(|workload| &workload.networks);
        by_cni
            .map(|address| address.address.addr())
            .chain(by_runtime.flat_map(|network| network.addresses.clone()))
            .any(|address| Family::of(&address) == family)
    }

    /// The node's side of its way out, where that is what routes for it: not a switch that only passes on.
    pub fn router(&self, family: Family) -> Option<Far<'a>> {
        let out = self.way_out(family)?;
        let far = out.end.pair().filter(|far| !far.is_switched_elsewhere())?;
        // One that was moved to where nothing leads on routes for nobody.
        let routes = far.state.netns.is_host || leads_on(far.state, family);
        let gate = far.gate();
        let answers = |gateway: IpAddr| gate.addresses.iter().any(|address| address.address == gateway);
        (routes && (gate.ifindex == far.link.ifindex || out.gateway.is_some_and(answers))).then_some(far)
    }

    /// The end by which a packet for far away leaves, and the gateway that it is handed to.
    pub fn way_out(&self, family: Family) -> Option<WayOut<'_, 'a>> {
        let route = fib::way(self.state, Flow::to(far_away(family))).leads()?;
        let hop = route.next_hops.first()?;
        let end = self.ends.iter().find(|end| Some(end.link.ifindex) == hop.ifindex)?;
        Some(WayOut { end, gateway: hop.gateway, route })
    }

    /// Why a table that a rule needs was not read, of the pod or of the node's side.
    pub fn lacks(&self, need: Need) -> Option<String> {
        let sides = || std::iter::once(self.state).chain(self.ends.iter().filter_map(|end| Some(end.far?.state)));
        let of = |table: &str| sides().find_map(|state| state.unread_table(table)).map(str::to_owned);
        match need {
            Need::Routes => of("routes"),
            Need::Rules => of("rules"),
            Need::Neighbours => of("neighbours"),
            Need::Sysctls => sides().any(|state| state.sysctls.is_none()).then(|| "sysctls were not read".to_owned()),
            Need::Sockets => sides().next().and_then(|state| {
                let unread = ["sockets", "tcp", "udp"].iter().find_map(|table| state.unread_table(table));
                let never = state.sockets.is_none().then_some("sockets were not read");
                unread.or(never).map(str::to_owned)
            }),
            Need::Programs => {
                ["qdiscs", "tc filters", "BPF programs by tcx and netkit"].iter().find_map(|table| of(table))
            }
            Need::Firewall => of("firewall"),
            // Of the whole node.
            _ => None,
        }
    }
}

/// How a pod reaches the rest of the world.
pub struct WayOut<'p, 'a> {
    pub end: &'p End<'a>,
    pub gateway: Option<IpAddr>,
    pub route: &'a crate::model::route::Route,
}

/// Whether a namespace has a way to the rest of the world.
pub fn leads_on(state: &NetnsState, family: Family) -> bool {
    fib::way(state, Flow::to(far_away(family))).leads().is_some()
}

pub fn family_of(net: &ipnet::IpNet) -> Family {
    Family::of(&net.addr())
}

/// An address that nobody has (RFC 5737, RFC 3849): what leads there leads anywhere.
pub fn far_away(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::from([203, 0, 113, 1]),
        Family::Ipv6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
    }
}

impl<'a> Far<'a> {
    /// The bridge, bond or VRF that it is a port of.
    pub fn master(&self) -> Option<&'a Link> {
        self.link.master.and_then(|master| self.state.link(master))
    }

    /// The device by which the node itself speaks to the pod: the bridge over it, else the end itself.
    pub fn gate(&self) -> &'a Link {
        let mut gate = self.link;
        // A bridge in a bond in a bridge is as deep as anybody has gone.
        for _ in 0..4 {
            match gate.master.and_then(|master| self.state.link(master)) {
                Some(master) => gate = master,
                None => break,
            }
        }
        gate
    }

    /// Whether something else than the kernel's own bridging decides what becomes of its packets.
    pub fn is_switched_elsewhere(&self) -> bool {
        self.master().is_some_and(|master| !matches!(master.kind.as_str(), "bridge" | "bond" | "team" | "vrf"))
    }

    /// Where it is, for evidence: the host by name, another namespace by number.
    pub fn place(&self) -> String {
        if self.state.netns.is_host { "the host".to_owned() } else { format!("netns {}", self.state.netns.inode) }
    }

    /// A command where the other end is.
    pub fn at(&self, command: &str) -> String {
        if self.state.netns.is_host {
            command.to_owned()
        } else {
            format!("podnet exec netns:{} -- {command}", self.state.netns.inode)
        }
    }
}

impl<'a> End<'a> {
    /// The other end of a pair, when it is proven.
    pub fn pair(&self) -> Option<Far<'a>> {
        self.far.filter(|_| self.link.is_paired())
    }

    /// The device that a macvlan or the like lies on.
    pub fn lower(&self) -> Option<Far<'a>> {
        self.far.filter(|_| !self.link.is_paired())
    }

    pub fn has_global(&self, family: Family) -> bool {
        self.link.addresses.iter().any(|address| address.scope == "global" && address.family == family)
    }
}
