//! Threads that left for another netns than their process is in: setns(2) and unshare(2) move but the one that calls.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Walk;
use super::nsfs::inode_in;
use crate::collect::ask_each::ask_each;
use crate::model::netns::Inode;

/// A thread in another netns than its process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    pub pid: u32,
    /// `/proc/PID/task/TID/ns/net`.
    pub path: PathBuf,
    pub inode: Inode,
}

/// Those that are in a netns which is not `known`, by PID; of processes that may be looked at.
pub fn strays(root: &Path, walk: &Walk, known: &BTreeSet<Inode>) -> Vec<Stray> {
    let seen = walk.processes.values().filter(|process| process.netns.is_some());
    let pids: Vec<u32> = seen.map(|process| process.pid).collect();
    let mut strays: Vec<Stray> = ask_each(&pids, |pid| of_process(root, *pid, known)).into_iter().flatten().collect();
    strays.sort();
    strays
}

fn of_process(root: &Path, pid: u32, known: &BTreeSet<Inode>) -> Vec<Stray> {
    let threads = fs::read_dir(root.join(format!("{pid}/task"))).into_iter().flatten().flatten();
    let stray = |thread: fs::DirEntry| {
        let path = thread.path().join("ns/net");
        let inode = inode_in(fs::read_link(&path).ok()?.to_str()?, "net")?;
        (!known.contains(&inode)).then_some(Stray { pid, path, inode })
    };
    threads.filter_map(stray).collect()
}
