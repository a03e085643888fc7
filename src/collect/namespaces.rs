//! Finding every netns: by the processes in it, by mounts here and in other mount namespaces, by open descriptors, and
//! by threads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;

use super::ask_each::ask_each;
use super::doors::{Doors, Opened, Way};
use super::kernel::Told;
use super::proc::{self, Process, Walk};
use crate::model::netns::{Holder, HolderKind, Inode, Netns};
use crate::netns::Handle;

/// A namespace, open, or why it isn't.
#[derive(Debug)]
pub struct Found {
    pub netns: Netns,
    pub handle: Result<Handle, String>,
    /// What the host's namespace tells of it, where that was asked.
    pub told: Option<Told>,
}

/// What leads to a namespace.
#[derive(Default)]
struct Trace {
    holders: Vec<Holder>,
    paths: Vec<String>,
    /// Ways to open it, the steadiest first.
    ways: Vec<Way>,
    /// The earliest sign of it.
    since: Option<Timestamp>,
}

impl Trace {
    fn seen_at(&mut self, time: Option<Timestamp>) {
        self.since = [self.since, time].into_iter().flatten().min();
    }
}

/// Every netns of the node, the host's own first; `doors` leads to those that the walk met, and opens the others.
pub fn find(walk: &Walk, doors: Doors) -> Vec<Found> {
    let host_inode = doors.host_inode();
    let mut traces: BTreeMap<Inode, Trace> = BTreeMap::new();
    trace_mounts(walk, &mut traces);
    trace_processes(&doors, walk, &mut traces);
    trace_descriptors(walk, host_inode, &mut traces);
    trace_foreign_mounts(&doors.root, walk, &mut traces);
    let host_paths = traces.remove(&host_inode).map(|trace| trace.paths).unwrap_or_default();
    let mut open = doors.met();
    let closed: Vec<(&Inode, &Trace)> = traces.iter().filter(|(inode, _)| !open.contains_key(inode)).collect();
    open.extend(ask_each(&closed, |(inode, trace)| (**inode, doors.open(**inode, &trace.ways))));
    let others = traces.into_iter().filter_map(|(inode, trace)| Some(found(inode, trace, open.remove(&inode)?)));
    let host = doors.host.map(|handle| {
        let netns = Netns { inode: host_inode, paths: host_paths, is_host: true, ..Netns::default() };
        Found { netns, handle: Ok(handle), told: None }
    });
    host.into_iter().chain(others).collect()
}

/// Those that are not `known`, and that only threads are in.
pub fn find_by_threads(root: &Path, walk: &Walk, known: &BTreeSet<Inode>) -> Vec<Found> {
    let mut traces: BTreeMap<Inode, Trace> = BTreeMap::new();
    for stray in proc::strays(root, walk, known) {
        let trace = traces.entry(stray.inode).or_default();
        trace.holders.push(holder(HolderKind::Thread, walk.processes.get(&stray.pid), Some(&stray.path)));
        trace.ways.push(Way::Path(stray.path));
    }
    let doors = Doors::new(root, false);
    traces
        .into_iter()
        .map(|(inode, trace)| {
            let opened = doors.open(inode, &trace.ways);
            found(inode, trace, opened)
        })
        .collect()
}

fn trace_mounts(walk: &Walk, traces: &mut BTreeMap<Inode, Trace>) {
    for mount in walk.own_mounts.netns() {
        let trace = traces.entry(mount.inode).or_default();
        let path = mount.path.to_string_lossy().into_owned();
        // The same mount often shows twice, when its folder was bind-mounted onto itself to share it.
        if !trace.paths.contains(&path) {
            trace.seen_at(mounted_at(&mount.path));
            trace.holders.push(holder(HolderKind::Mount, None, Some(&mount.path)));
            trace.paths.push(path);
            trace.ways.push(Way::Path(mount.path));
        }
    }
}

/// The kernel keeps the inode of a mounted namespace from when it was mounted on.
fn mounted_at(path: &Path) -> Option<Timestamp> {
    std::fs::metadata(path).and_then(|inode| inode.modified()).ok().and_then(|time| Timestamp::try_from(time).ok())
}

fn trace_processes(doors: &Doors, walk: &Walk, traces: &mut BTreeMap<Inode, Trace>) {
    for process in walk.processes.values() {
        let Some(inode) = process.netns.filter(|inode| *inode != doors.host_inode()) else { continue };
        let trace = traces.entry(inode).or_default();
        trace.seen_at(walk.started_at(process));
        trace.holders.push(holder(HolderKind::Process, Some(process), None));
        trace.ways.push(Way::Process(process.way_in));
    }
}

/// One process speaks for its whole mount namespace. Every container has one.
fn trace_foreign_mounts(root: &Path, walk: &Walk, traces: &mut BTreeMap<Inode, Trace>) {
    let mut seen: BTreeSet<u64> = walk.own_mount_ns.into_iter().collect();
    let speaks = |process: &&Process| process.mount_ns.is_some_and(|mount_ns| seen.insert(mount_ns));
    let speakers: Vec<&Process> = walk.processes.values().filter(speaks).collect();
    let mut told = ask_each(&speakers, |process| (*process, proc::netns_mounts(root, process.way_in)));
    told.sort_by_key(|(process, _)| process.pid);
    for (process, mounts) in told {
        // `ip netns exec` and the like mount the netns that they are in; being in it says as much.
        for mount in mounts.into_iter().filter(|mount| process.netns != Some(mount.inode)) {
            let trace = traces.entry(mount.inode).or_default();
            trace.holders.push(holder(HolderKind::ForeignMount, Some(process), Some(&mount.path)));
            trace.ways.push(Way::Below { root: root.join(process.way_in.to_string()).join("root"), path: mount.path });
        }
    }
}

fn trace_descriptors(walk: &Walk, host: Inode, traces: &mut BTreeMap<Inode, Trace>) {
    for open in &walk.open.netns {
        let process = walk.processes.get(&open.pid);
        // Its own is held by being in it, the host's by everybody.
        if open.inode == host || process.is_some_and(|process| process.netns == Some(open.inode)) {
            continue;
        }
        let trace = traces.entry(open.inode).or_default();
        trace.holders.push(holder(HolderKind::Fd, process, Some(&open.path)));
        trace.ways.push(Way::Path(open.path.clone()));
    }
}

fn holder(kind: HolderKind, process: Option<&Process>, path: Option<&Path>) -> Holder {
    Holder {
        kind,
        pid: process.map(|process| process.pid),
        process: process.map(|process| process.name.clone()),
        container: process.and_then(|process| process.container.as_ref()).map(|container| container.id.clone()),
        path: path.map(|path| path.to_string_lossy().into_owned()),
    }
}

fn found(inode: Inode, trace: Trace, Opened { handle, owner_user_ns, told }: Opened) -> Found {
    let netns = Netns {
        inode,
        paths: trace.paths,
        holders: trace.holders,
        is_host: false,
        nsid: None,
        since: trace.since,
        owner_user_ns,
    };
    Found { netns, handle, told }
}
