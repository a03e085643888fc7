//! One walk over the processes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

use super::cgroup::{self, Container};
use super::descriptors::{Descriptors, Look};
use crate::collect::ask_each::ask_each;
use crate::collect::contents::contents;
use crate::model::netns::Inode;

/// A process in user space, as the host numbers it.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    /// `comm`: at most 15 bytes, and the process can set it to anything.
    pub name: String,
    /// Clock ticks since boot; with the PID it tells one process from its successor.
    pub started: u64,
    /// None where podnet may not look (CAP_SYS_PTRACE).
    pub netns: Option<Inode>,
    pub mount_ns: Option<u64>,
    /// The container that its cgroup names.
    pub container: Option<Container>,
}

/// What the walk found.
#[derive(Debug, Default)]
pub struct Walk {
    pub processes: BTreeMap<u32, Process>,
    /// What they have open.
    pub open: Descriptors,
    /// That of podnet itself.
    pub own_mount_ns: Option<u64>,
    /// Processes whose namespaces may not be looked at.
    pub hidden: usize,
    /// When the machine was started.
    pub booted_at: Option<Timestamp>,
}

impl Walk {
    /// When a process was started, to the second.
    pub fn started_at(&self, process: &Process) -> Option<Timestamp> {
        // USER_HZ, which is 100 on every architecture that has containers.
        const TICKS: u64 = 100;
        let since_boot = SignedDuration::from_secs(i64::try_from(process.started / TICKS).ok()?);
        self.booted_at?.checked_add(since_boot).ok()
    }
}

/// `PF_KTHREAD` (linux/sched.h): kernel threads live in the host's netns and hold nothing.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Reads `/proc` once. A process that ends meanwhile is no process.
pub fn walk(root: &Path) -> io::Result<Walk> {
    let names = fs::read_dir(root)?.flatten();
    let pids: Vec<u32> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let look = Look::new(root);
    let own_mount_ns = fs::read_link(root.join("self/ns/mnt")).ok().and_then(|link| inode_in(link.to_str()?, "mnt"));
    let mut walk = Walk { booted_at: booted_at(root), own_mount_ns, ..Walk::default() };
    for (process, open) in ask_each(&pids, |pid| read(&look, *pid)).into_iter().flatten() {
        walk.hidden += usize::from(process.netns.is_none());
        walk.processes.insert(process.pid, process);
        walk.open.add(open);
    }
    walk.open.netns.sort_by_key(|open| open.pid);
    Ok(walk)
}

/// `btime` of `/proc/stat`.
fn booted_at(root: &Path) -> Option<Timestamp> {
    let stat = fs::read_to_string(root.join("stat")).ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(seconds.trim().parse().ok()?).ok()
}

/// Through one descriptor of its folder: what is read is of one process, though the number come to mean another.
fn read(look: &Look<'_>, pid: u32) -> Option<(Process, Descriptors)> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, look.root.join(pid.to_string()), directory, Mode::empty()).ok()?;
    let stat = contents(&folder, "stat").ok()?;
    let (name, parent, started) = parse_stat(&String::from_utf8_lossy(&stat))?;
    let netns = match namespace(&folder, "net") {
        Ok(inode) => Some(inode),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(_) => return None, // it ended meanwhile
    };
    let cgroups = contents(&folder, "cgroup").unwrap_or_default();
    // Whose namespaces may not be looked at, his descriptors may not, either (ptrace(2), PTRACE_MODE_READ_FSCREDS).
    let open = netns.map(|_| look.held_by(pid, &folder)).unwrap_or_default();
    let process = Process {
        pid,
        parent,
        name,
        started,
        netns,
        mount_ns: namespace(&folder, "mnt").ok(),
        container: cgroup::container(&String::from_utf8_lossy(&cgroups)),
    };
    Some((process, open))
}

/// `PID (comm) state ppid … flags … starttime`; comm may hold spaces and parentheses, so the last `)` ends it.
/// None for a kernel thread, and for a zombie, which is in no namespace any more.
fn parse_stat(stat: &str) -> Option<(String, u32, u64)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let state = fields.first()?;
    let gone = matches!(*state, "Z" | "X" | "x") || number(6)? & KERNEL_THREAD != 0;
    (!gone).then_some((name.to_owned(), u32::try_from(number(1)?).ok()?, number(19)?))
}

/// The inode in `net:[4026531840]`.
fn namespace(folder: &OwnedFd, kind: &str) -> io::Result<u64> {
    let target = readlinkat(folder, Path::new("ns").join(kind), Vec::new())?;
    target.to_str().ok().and_then(|text| inode_in(text, kind)).ok_or(io::ErrorKind::InvalidData.into())
}

/// The number in `KIND:[NUMBER]`.
pub fn inode_in(text: &str, kind: &str) -> Option<u64> {
    text.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_a_name() {
        let stat = "42 (a) R (b c) S 7 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 9 10 11 12 1234 99";
        assert_eq!(parse_stat(stat), Some(("a) R (b c".to_owned(), 7, 1234)));
    }

    #[test]
    fn kernel_threads_zombies_and_garbage_are_none() {
        for stat in [
            "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 14 0",
            "9 (dead) Z 7 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 9 10 11 12 1234 99",
            "",
            "1 (x) S",
            ")(",
        ] {
            assert_eq!(parse_stat(stat), None, "{stat}");
        }
    }
}
