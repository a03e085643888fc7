//! Bringing together what the runtimes told and what `/proc` shows, by container id.

use std::collections::{BTreeMap, BTreeSet};

use super::namespaces::Found;
use super::proc::{Process, Walk};
use crate::model::netns::Inode;
use crate::model::workload::{Role, State, Workload};

/// Gives each workload its process and netns, and adds those that no runtime told of: containers by their cgroups, and
/// for a netns without any container its oldest process.
pub fn join(workloads: &mut Vec<Workload>, walk: &Walk, found: &[Found]) {
    let first = first_processes(walk);
    let by_path: BTreeMap<&str, Inode> =
        found.iter().flat_map(|each| each.netns.paths.iter().map(|path| (path.as_str(), each.netns.inode))).collect();
    for workload in workloads.iter_mut() {
        if let Some(process) = process_of(workload, walk, &first) {
            place(workload, process, walk);
        } else if let Some(path) = &workload.netns_path {
            let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
            workload.netns = by_path.get(path).copied();
        }
    }
    let known: BTreeSet<String> = workloads.iter().filter_map(|workload| workload.id.clone()).collect();
    workloads.extend(first.iter().filter(|(id, _)| !known.contains(**id)).map(|(_, process)| container(process, walk)));
    let mut taken: BTreeSet<Inode> = workloads.iter().filter_map(|workload| workload.netns).collect();
    taken.extend(found.iter().filter(|each| each.netns.is_host).map(|each| each.netns.inode));
    let oldest = oldest_processes(walk);
    workloads
        .extend(oldest.iter().filter(|(inode, _)| !taken.contains(inode)).map(|(_, process)| plain(process, walk)));
}

/// The process that the runtime names, unless it is another container's: a runtime may number its PIDs in a PID
/// namespace of its own, and a number may have been reused since it answered.
fn process_of<'a>(workload: &Workload, walk: &'a Walk, first: &BTreeMap<&str, &'a Process>) -> Option<&'a Process> {
    let id = workload.id.as_deref();
    let by_cgroup = id.and_then(|id| first.get(id).copied());
    let named = workload.pid.and_then(|pid| walk.processes.get(&pid));
    let contradicts = |process: &&Process| match &process.container {
        Some(container) => Some(container.id.as_str()) != id,
        None => by_cgroup.is_some(),
    };
    named.filter(|process| !contradicts(process)).or(by_cgroup)
}

/// Container id → its first process: the oldest of those whose parent is not in the container.
fn first_processes(walk: &Walk) -> BTreeMap<&str, &Process> {
    let came_from_outside = |process: &&Process| {
        let parent = walk.processes.get(&process.parent);
        parent.and_then(container_id) != container_id(process)
    };
    oldest_by(walk.processes.values().filter(came_from_outside), container_id)
}

fn container_id(process: &Process) -> Option<&str> {
    process.container.as_ref().map(|container| container.id.as_str())
}

fn oldest_processes(walk: &Walk) -> BTreeMap<Inode, &Process> {
    oldest_by(walk.processes.values(), |process| process.netns)
}

fn oldest_by<'a, K: Ord>(
    processes: impl Iterator<Item = &'a Process>,
    key: impl Fn(&'a Process) -> Option<K>,
) -> BTreeMap<K, &'a Process> {
    let mut oldest: BTreeMap<K, &Process> = BTreeMap::new();
    for process in processes {
        let Some(key) = key(process) else { continue };
        let slot = oldest.entry(key).or_insert(process);
        if (process.started, process.pid) < (slot.started, slot.pid) {
            *slot = process;
        }
    }
    oldest
}

/// A process is proof that it runs; the runtimes' lists may be older, or know no states.
fn place(workload: &mut Workload, process: &Process, walk: &Walk) {
    workload.pid = Some(process.pid);
    workload.process = Some(process.name.clone());
    workload.netns = process.netns;
    workload.started_at = workload.started_at.or_else(|| walk.started_at(process));
    if matches!(workload.state, State::Unknown | State::Stopped | State::Created) {
        workload.state = State::Running;
    }
}

/// What only `/proc` knows.
fn seen(process: &Process, walk: &Walk) -> Workload {
    let mut workload = Workload { seen_by: vec!["proc".to_owned()], ..Workload::default() };
    place(&mut workload, process, walk);
    workload
}

fn container(process: &Process, walk: &Walk) -> Workload {
    let container = process.container.as_ref();
    Workload {
        runtime: container.and_then(|container| container.runtime).map(str::to_owned),
        id: container.map(|container| container.id.clone()),
        role: if process.name == "pause" { Role::Sandbox } else { Role::Container },
        ..seen(process, walk)
    }
}

fn plain(process: &Process, walk: &Walk) -> Workload {
    Workload { role: Role::Process, ..seen(process, walk) }
}
