//! One walk over the processes.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::{fs, io};

use jiff::{SignedDuration, Timestamp};
use nix::time::ClockId;
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlink, readlinkat};

use super::cgroup::{self, Container};
use super::descriptors::{Descriptors, Look};
use super::mounts::MountTable;
use super::nsfs::inode_in;
use crate::collect::ask_each::ask_each_beside;
use crate::collect::contents::{contents, lossy, read_contents};
use crate::model::netns::Inode;

/// A process in user space, as the host numbers it.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    /// By what number `/proc` leads into its namespaces: that of a thread that lives, which is the process's own as long as
    /// its first one does.
    pub way_in: u32,
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
    /// That of podnet itself, and what is mounted there.
    pub own_mount_ns: Option<u64>,
    pub own_mounts: MountTable,
    /// Processes whose namespaces may not be looked at.
    pub hidden: usize,
    /// When the machine was started.
    pub booted_at: Option<Timestamp>,
}

impl Walk {
    /// Who has a socket: of several processes the first that lives in the netns of the socket, else the first of all.
    pub fn holder_of(&self, socket: u64, netns: Inode) -> Option<&Process> {
        let sockets = &self.open.sockets;
        let from = sockets.partition_point(|(inode, _)| *inode < socket);
        let same = sockets.iter().skip(from).take_while(|(inode, _)| *inode == socket);
        let mut holders = same.filter_map(|(_, pid)| self.processes.get(pid));
        let first = holders.clone().next();
        holders.find(|process| process.netns == Some(netns)).or(first)
    }

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
    walk_beside(root, |_| (), || ()).map(|(walk, ())| walk)
}

/// As [`walk`], and tells of each process as it is `met`. The calling thread does something else first, while others begin.
pub fn walk_beside<R>(root: &Path, met: impl Fn(&Process) + Sync, first: impl FnOnce() -> R) -> io::Result<(Walk, R)> {
    let kernel_threads = kernel_threads(root);
    let mut pids = pids(root)?;
    pids.retain(|pid| !kernel_threads.contains(pid));
    pids.reverse(); // who waits for one waits for a container's, and they are younger than the node's own
    let look = Look::new(root);
    let own = || {
        let mount_ns = readlink(root.join("self/ns/mnt"), Vec::new()).ok();
        let mount_ns = mount_ns.and_then(|link| inode_in(link.to_str().ok()?, "mnt"));
        (mount_ns, MountTable::read(root, "self"), first())
    };
    let read = |pid: &u32| read(&look, *pid).inspect(|(process, _)| met(process));
    let (read, (own_mount_ns, own_mounts, done)) = ask_each_beside(&pids, read, own);
    let mut walk = Walk { booted_at: booted_at(), own_mount_ns, own_mounts, ..Walk::default() };
    for (process, open) in read.into_iter().flatten() {
        walk.hidden += usize::from(process.netns.is_none());
        walk.processes.insert(process.pid, process);
        walk.open.add(open);
    }
    walk.open.netns.sort_by_key(|open| open.pid);
    walk.open.sockets.sort_unstable();
    Ok((walk, done))
}

fn pids(root: &Path) -> io::Result<Vec<u32>> {
    let folder = openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut room = Vec::with_capacity(32 * 1024);
    let mut entries = RawDir::new(&folder, room.spare_capacity_mut());
    let mut pids = Vec::new();
    while let Some(entry) = entries.next() {
        pids.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(pids)
}

/// What kthreadd made, which a node has hundreds of, in one answer: none of them need be opened to be passed over. Those that
/// the answer leaves out (proc_pid_children(5): it may, while others end) are told by their flag. Nothing where process 2
/// is another one, as in a PID namespace.
fn kernel_threads(root: &Path) -> BTreeSet<u32> {
    const KTHREADD: &str = "2";
    let parent = root.join(KTHREADD);
    let read = |name: &str| contents(CWD, parent.join(name)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    if read("stat").and_then(|stat| is_of_the_kernel(&stat)) != Some(true) {
        return BTreeSet::new();
    }
    let children = read("task/2/children").unwrap_or_default();
    children.split_whitespace().chain([KTHREADD]).filter_map(|pid| pid.parse().ok()).collect()
}

/// As `btime` of `/proc/stat`, which the kernel writes below a line for each core and all interrupts. Both are shifted
/// alike in a time namespace.
fn booted_at() -> Option<Timestamp> {
    let booted = ClockId::CLOCK_REALTIME.now().ok()? - ClockId::CLOCK_BOOTTIME.now().ok()?;
    Timestamp::from_second(booted.tv_sec()).ok()
}

/// Through one descriptor of its folder: what is read is of one process, though the number come to mean another.
fn read(look: &Look<'_>, pid: u32) -> Option<(Process, Descriptors)> {
    let folder = folder(look.root, pid)?;
    let stat = read_contents(&folder, "stat", |stat| parse_stat(&lossy(stat))).ok()??;
    let (folder, way_in) = if stat.has_ended { living_thread(look.root, pid, &stat)? } else { (folder, pid) };
    let netns = match namespace(&folder, "net") {
        Ok(inode) => Some(inode),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(_) => return None, // it ended meanwhile
    };
    let container = read_contents(&folder, "cgroup", |cgroups| cgroup::container(&lossy(cgroups)));
    // Whose namespaces may not be looked at, his descriptors may not, either (ptrace(2), PTRACE_MODE_READ_FSCREDS).
    let open = netns.map(|_| look.held_by(pid, &folder)).unwrap_or_default();
    let process = Process {
        pid,
        way_in,
        parent: stat.parent,
        name: stat.name,
        started: stat.started,
        netns,
        mount_ns: namespace(&folder, "mnt").ok(),
        container: container.ok().flatten(),
    };
    Some((process, open))
}

fn folder(root: &Path, number: u32) -> Option<OwnedFd> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, root.join(number.to_string()), directory, Mode::empty()).ok()
}

/// A thread that ended is in no namespace any more, and so a process is in none by its own number when its first thread has
/// ended: that one stays a zombie until all have, as where a process is killed and another thread waits for a disk that does
/// not answer. `/proc` has a folder for each thread, though it lists none.
fn living_thread(root: &Path, pid: u32, stat: &Stat) -> Option<(OwnedFd, u32)> {
    let threads = if stat.threads > 1 { fs::read_dir(root.join(format!("{pid}/task"))).ok()? } else { return None };
    let numbers = threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    numbers.filter(|number| *number != pid).find_map(|number| {
        let folder = folder(root, number)?;
        namespace(&folder, "net").is_ok().then_some((folder, number))
    })
}

/// As proc_pid_stat(5) has it.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    parent: u32,
    started: u64,
    threads: u64,
    /// The first thread.
    has_ended: bool,
}

/// `PID (comm) state ppid … flags … num_threads … starttime`; comm may hold spaces and parentheses, so the last `)` ends it.
/// None for a kernel thread.
fn parse_stat(stat: &str) -> Option<Stat> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let number = |at: usize| tail.split_whitespace().nth(at)?.parse::<u64>().ok();
    let state = tail.split_whitespace().next()?;
    (!is_of_the_kernel(stat)?).then_some(Stat {
        name: name.to_owned(),
        parent: u32::try_from(number(1)?).ok()?,
        started: number(19)?,
        threads: number(17)?,
        has_ended: matches!(state, "Z" | "X" | "x"),
    })
}

fn is_of_the_kernel(stat: &str) -> Option<bool> {
    let (_, tail) = stat.rsplit_once(')')?;
    let flags: u64 = tail.split_whitespace().nth(6)?.parse().ok()?;
    Some(flags & KERNEL_THREAD != 0)
}

/// The inode in `net:[4026531840]`.
fn namespace(folder: &OwnedFd, kind: &str) -> io::Result<u64> {
    let target = readlinkat(folder, Path::new("ns").join(kind), Vec::new())?;
    target.to_str().ok().and_then(|text| inode_in(text, kind)).ok_or(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_machine_was_started_when_the_kernel_says() {
        let stat = fs::read_to_string("/proc/stat").unwrap();
        let btime: i64 = stat.lines().find_map(|line| line.strip_prefix("btime ")).unwrap().parse().unwrap();
        // The clocks may be set between the two.
        assert!((booted_at().unwrap().as_second() - btime).abs() <= 1);
    }

    #[test]
    fn a_name_with_parentheses_is_a_name() {
        let stat = "42 (a) R (b c) S 7 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 9 10 11 12 1234 99";
        let told = Stat { name: "a) R (b c".to_owned(), parent: 7, started: 1234, threads: 11, has_ended: false };
        assert_eq!(parse_stat(stat), Some(told));
    }

    #[test]
    fn kernel_threads_and_garbage_are_none() {
        for stat in ["2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 14 0", "", "1 (x) S", ")("] {
            assert_eq!(parse_stat(stat), None, "{stat}");
        }
    }

    /// A `/proc` of three processes, of which the second has these flags and the third as its child.
    fn walked(flags_of_the_second: u32) -> Vec<u32> {
        let root = tempfile::tempdir().unwrap();
        for (pid, flags) in [(1, 0), (2, flags_of_the_second), (3, 0)] {
            let folder = root.path().join(pid.to_string());
            fs::create_dir_all(folder.join("ns")).unwrap();
            let stat = format!("{pid} (x) S 0 0 0 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 14 0");
            fs::write(folder.join("stat"), stat).unwrap();
            std::os::unix::fs::symlink("net:[7]", folder.join("ns/net")).unwrap();
        }
        fs::create_dir_all(root.path().join("2/task/2")).unwrap();
        fs::write(root.path().join("2/task/2/children"), "3 ").unwrap();
        walk(root.path()).unwrap().processes.into_keys().collect()
    }

    /// A `/proc` with a process that has these threads, of which those that are in no namespace have ended.
    fn way_into_process_of(threads: &[(u32, Option<&str>)]) -> Option<u32> {
        let (root, pid) = (tempfile::tempdir().unwrap(), threads[0].0);
        for (thread, netns) in threads {
            fs::create_dir_all(root.path().join(format!("{pid}/task/{thread}"))).unwrap();
            let folder = root.path().join(thread.to_string());
            fs::create_dir_all(folder.join("ns")).unwrap();
            let state = if netns.is_some() { 'D' } else { 'Z' };
            let stat = format!("{thread} (x) {state} 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 {} 0 14 0", threads.len());
            fs::write(folder.join("stat"), stat).unwrap();
            let _ = netns.map(|netns| std::os::unix::fs::symlink(netns, folder.join("ns/net")).unwrap());
        }
        let process = read(&Look::new(root.path()), pid)?.0;
        assert_eq!((process.pid, process.netns), (pid, Some(7)));
        Some(process.way_in)
    }

    #[test]
    fn a_process_lives_as_long_as_one_of_its_threads() {
        let lives = Some("net:[7]");
        assert_eq!(way_into_process_of(&[(4, lives), (5, Some("net:[8]"))]), Some(4));
        assert_eq!(way_into_process_of(&[(4, None), (5, None), (6, lives)]), Some(6));
        assert_eq!(way_into_process_of(&[(4, None)]), None);
        assert_eq!(way_into_process_of(&[(4, None), (5, None)]), None);
    }

    #[test]
    fn the_kernels_threads_are_not_even_opened() {
        assert_eq!(walked(2_129_984), [1], "the third is no kernel thread by its own stat");
        assert_eq!(walked(0), [1, 2, 3], "in a PID namespace 2 is a process like any other");
    }

    #[test]
    fn a_socket_is_held_by_who_lives_in_its_netns_before_others() {
        let process = |pid, netns| Process {
            pid,
            way_in: pid,
            parent: 0,
            name: String::new(),
            started: 0,
            netns: Some(netns),
            mount_ns: None,
            container: None,
        };
        let processes = [process(10, 1), process(20, 7), process(30, 7)].map(|each| (each.pid, each)).into();
        let sockets = vec![(99, 20), (100, 10), (100, 20), (100, 30), (101, 10)];
        let walk = Walk { processes, open: Descriptors { sockets, ..Descriptors::default() }, ..Walk::default() };
        let holder = |socket, netns| walk.holder_of(socket, netns).map(|process| process.pid);
        assert_eq!((holder(100, 7), holder(100, 8), holder(101, 7)), (Some(20), Some(10), Some(10)));
        assert_eq!((holder(98, 7), holder(102, 7)), (None, None));
    }
}
