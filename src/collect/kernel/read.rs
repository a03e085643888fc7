//! Reading namespaces, several at once, each in one visit.

use super::explain::{Looked, explain, not_explained};
use super::netlink::Netlink;
use super::socket::AtOnce;
use super::{address, firewall, link, neighbour, nexthop, nsid, problem, program, route, rule, socket, sysctl};
use crate::model::link::Link;
use crate::model::netns::{Netns, NetnsState, Nsid};
use crate::netns::{self, Handle};

/// How much of a namespace to read, beyond its links and addresses.
#[derive(Clone, Debug, Default)]
pub struct Want {
    /// Counters of the links.
    pub statistics: bool,
    /// Routes, rules, nexthop objects, neighbours.
    pub routing: bool,
    pub sysctls: bool,
    pub sockets: Sockets,
    pub programs: Programs,
    /// The packet filter.
    pub firewall: bool,
}

impl Want {
    /// All that `inspect` shows; `wide` adds the sockets that don't listen.
    pub fn everything(wide: bool) -> Self {
        Self { sockets: if wide { Sockets::All } else { Sockets::Counted }, ..Self::judgeable() }
    }

    /// All that `check` judges.
    pub fn judgeable() -> Self {
        Self {
            statistics: true,
            routing: true,
            sysctls: true,
            sockets: Sockets::Listeners,
            programs: Programs::OfAll,
            firewall: true,
        }
    }
}

/// Which sockets to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sockets {
    #[default]
    None,
    /// Those that wait for somebody: cheap, since the kernel keeps them apart.
    Listeners,
    /// Those, and a count of the others by state.
    Counted,
    All,
}

/// On which links to look for BPF programs.
#[derive(Clone, Debug, Default)]
pub enum Programs {
    #[default]
    OfNone,
    OfAll,
    /// Of those with these ifindexes; a host has hundreds of others.
    Of(Vec<u32>),
}

impl Programs {
    fn wanted(&self, ifindex: u32) -> bool {
        match self {
            Programs::OfNone => false,
            Programs::OfAll => true,
            Programs::Of(some) => some.contains(&ifindex),
        }
    }
}

/// One namespace to visit.
pub struct Visit<'a> {
    pub netns: Netns,
    pub handle: &'a Handle,
    pub want: Want,
    /// What is known already of its ids of others.
    pub known: Vec<Nsid>,
}

/// Visits each and tells what it holds. `candidates` are the namespaces that a link's other end may be
/// in, the likeliest (the host's own) first.
pub fn read(visits: &[Visit<'_>], candidates: &[&Handle]) -> Vec<NetnsState> {
    read_beside(visits, Vec::new(), candidates)
}

/// As [`read`], and gives back the states of those that were read before: both explain each other's ids.
pub fn read_beside(visits: &[Visit<'_>], before: Vec<NetnsState>, candidates: &[&Handle]) -> Vec<NetnsState> {
    let mut looked = look_at(visits, candidates.first().copied());
    looked.extend(before.into_iter().map(|state| Looked { state, netlink: None }));
    explain(&mut looked, candidates);
    for (Looked { state, netlink }, visit) in looked.iter_mut().zip(visits) {
        if let Some(netlink) = netlink.as_mut().filter(|_| state.netns.is_host && visit.want.routing) {
            state.unexplained_nsids = nsid::unexplained(netlink, &mut state.problems, &state.nsids, candidates);
        }
    }
    looked.into_iter().map(|looked| looked.state).collect()
}

/// Visits each; what its ids mean is told only of those that mean the `likeliest`.
fn look_at(visits: &[Visit<'_>], likeliest: Option<&Handle>) -> Vec<Looked> {
    let handles: Vec<&Handle> = visits.iter().map(|visit| visit.handle).collect();
    let found = netns::visit(&handles, |index, _| visits.get(index).map(|visit| look(visit, likeliest)));
    let looked = |(visit, found): (&Visit<'_>, Result<Option<Looked>, netns::Error>)| match found {
        Ok(Some(looked)) => looked,
        Ok(None) => unread(&visit.netns, "it was not visited".to_owned()),
        Err(error) => unread(&visit.netns, problem::chain(&error)),
    };
    visits.iter().zip(found).map(looked).collect()
}

/// As [`look_at`] for one, by a thread that goes there and never comes back to other work.
pub fn enter_and_look(visit: &Visit<'_>, likeliest: Option<&Handle>) -> Looked {
    match visit.handle.enter() {
        Ok(()) => look(visit, likeliest),
        Err(error) => unread(&visit.netns, problem::chain(&error)),
    }
}

/// Looks for programs on some links of a namespace that was read without them.
pub fn read_programs(state: &mut NetnsState, handle: &Handle, of: &[u32]) {
    let found = netns::visit(&[handle], |_, _| programs(&state.links, of));
    found.into_iter().flatten().for_each(|found| keep_programs(state, found));
}

/// As [`read_programs`], by a thread that goes there and never comes back to other work.
pub fn enter_and_read_programs(state: &mut NetnsState, handle: &Handle, of: &[u32]) {
    if !of.is_empty() && handle.enter().is_ok() {
        let found = programs(&state.links, of);
        keep_programs(state, found);
    }
}

/// Some of the links with their programs. Runs inside the namespace.
fn programs(links: &[Link], of: &[u32]) -> (Vec<Link>, Vec<String>) {
    let mut links: Vec<Link> = links.iter().filter(|link| of.contains(&link.ifindex)).cloned().collect();
    let mut problems = Vec::new();
    match Netlink::open(netlink_sys::protocols::NETLINK_ROUTE) {
        Ok(mut netlink) => program::read_into(links.iter_mut(), &mut netlink, &mut problems),
        Err(error) => problems.push(problem::chain(&error)),
    }
    (links, problems)
}

fn keep_programs(state: &mut NetnsState, (links, problems): (Vec<Link>, Vec<String>)) {
    state.problems.extend(problems);
    for read in links {
        if let Some(link) = state.links.iter_mut().find(|link| link.ifindex == read.ifindex) {
            *link = read;
        }
    }
}

pub fn unread(netns: &Netns, why: String) -> Looked {
    let state = NetnsState { netns: netns.clone(), problems: vec![why], ..NetnsState::default() };
    Looked { state, netlink: None }
}

/// Runs inside the namespace.
pub fn look(visit: &Visit<'_>, likeliest: Option<&Handle>) -> Looked {
    let _inside = tracing::debug_span!("in", netns = visit.netns.inode).entered();
    let wanted = visit.want.sockets;
    if wanted == Sockets::None {
        return tables(visit, likeliest);
    }
    let mut problems = Vec::new();
    let AtOnce { mut sockets, maybe_connections } = socket::read_at_once(&mut problems, wanted);
    let search = || {
        let mut problems = Vec::new();
        (socket::connections(&mut problems), problems)
    };
    let (mut looked, (connections, more)) = if maybe_connections {
        // Beside the rest, as it takes as long as that. A thread begins in the netns of the one that makes it (clone(2)).
        std::thread::scope(|scope| {
            let searching = std::thread::Builder::new().spawn_scoped(scope, search);
            let looked = tables(visit, likeliest);
            (looked, searching.ok().and_then(|searching| searching.join().ok()).unwrap_or_else(search))
        })
    } else {
        (tables(visit, likeliest), Default::default())
    };
    for connection in connections {
        socket::keep(&mut sockets, connection, wanted);
    }
    looked.state.sockets = Some(sockets);
    looked.state.problems.extend(problems.into_iter().chain(more));
    looked
}

/// All but the sockets.
fn tables(visit: &Visit<'_>, likeliest: Option<&Handle>) -> Looked {
    match Netlink::open(netlink_sys::protocols::NETLINK_ROUTE) {
        Ok(socket) => tables_over(socket, visit, likeliest),
        Err(error) => unread(&visit.netns, problem::chain(&error)),
    }
}

/// As [`tables`], over a socket that was opened inside. Links and addresses alone can so be read from elsewhere.
pub fn tables_over(mut socket: Netlink, visit: &Visit<'_>, likeliest: Option<&Handle>) -> Looked {
    let Visit { netns, want, handle, known } = visit;
    let netlink = &mut socket;
    let mut state = NetnsState { netns: netns.clone(), nsids: known.clone(), ..NetnsState::default() };
    let problems = &mut state.problems;
    let links = link::read(netlink, problems, want.statistics, want.sysctls);
    if want.sysctls {
        let bridges = links.iter().any(|(link, _)| link.kind == "bridge");
        state.sysctls = Some(sysctl::read(links.iter().map(|(link, conf)| (link.name.as_str(), conf)), bridges));
    }
    state.links = links.into_iter().map(|(link, _)| link).collect();
    address::read_into(&mut state.links, netlink, problems);
    let wanted = not_explained(&state.links, &state.nsids).filter_map(|link| link.link_netnsid).collect();
    let likeliest = likeliest.filter(|other| other.inode() != handle.inode());
    state.nsids.extend(nsid::read(netlink, wanted, likeliest));
    if want.routing {
        let names = link::names(&state.links);
        state.nexthops = nexthop::read(netlink, problems, &names);
        state.routes = route::read(netlink, problems, &names, &state.nexthops);
        state.rules = rule::read(netlink, problems);
        state.neighbours = neighbour::read(netlink, problems, &names);
    }
    if !matches!(want.programs, Programs::OfNone) {
        let links = state.links.iter_mut().filter(|link| want.programs.wanted(link.ifindex));
        program::read_into(links, netlink, problems);
    }
    if want.firewall {
        state.firewall = firewall::read(problems);
    }
    let is_done = not_explained(&state.links, &state.nsids).next().is_none() && !netns.is_host;
    Looked { netlink: Some(socket).filter(|_| !is_done), state }
}
