//! What processes hold open: namespaces, and which process a socket belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, StatxFlags, openat, readlinkat, statat, statx};
use rustix::path::Arg;

use super::process::inode_in;
use crate::model::netns::Inode;
use crate::netns::Handle;

/// A netns held by an open descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenNetns {
    pub inode: Inode,
    pub pid: u32,
    pub path: PathBuf,
}

/// What the processes have open, as far as it concerns networks and limits.
#[derive(Debug, Default)]
pub struct Descriptors {
    /// Every netns that a process has open, once a process. podnet's own don't count.
    pub netns: Vec<OpenNetns>,
    /// inotify instances by user: those who watch many files run out of them.
    pub inotify: BTreeMap<u32, u64>,
}

impl Descriptors {
    pub fn add(&mut self, other: Self) {
        self.netns.extend(other.netns);
        for (user, watches) in other.inotify {
            *self.inotify.entry(user).or_default() += watches;
        }
    }
}

/// What is the same for every process that is looked at.
pub struct Look<'a> {
    /// `/proc`.
    pub root: &'a Path,
    own: u32,
    nsfs: Option<Device>,
}

impl<'a> Look<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self { root, own: std::process::id(), nsfs: device_of(CWD, "/proc/self/ns/net") }
    }

    /// Looks at every descriptor of a process, whose folder in `/proc` that is.
    pub fn held_by(&self, pid: u32, folder: impl AsFd) -> Descriptors {
        let mut found = Descriptors::default();
        if pid == self.own {
            return found;
        }
        let mut seen = BTreeSet::new();
        let mut watches = 0;
        each_descriptor(folder.as_fd(), |open| {
            watches += u64::from(open.target == "anon_inode:inotify");
            let path = || self.root.join(pid.to_string()).join("fd").join(open.name.to_string_lossy().as_ref());
            if let Some(inode) = self.netns_at(open, path).filter(|inode| seen.insert(*inode)) {
                found.netns.push(OpenNetns { inode, pid, path: path() });
            }
        });
        if watches > 0
            && let Ok(process) = statat(&folder, ".", AtFlags::empty())
        {
            found.inotify.insert(process.st_uid, watches);
        }
        found
    }

    /// A namespace that was opened by its mount shows as the path of that mount, and as `/` once that is unmounted; only
    /// its device tells.
    fn netns_at(&self, open: &Descriptor<'_>, path: impl Fn() -> PathBuf) -> Option<Inode> {
        let by_mount =
            || open.target.starts_with('/') && self.nsfs.is_some() && device_of(open.folder, open.name) == self.nsfs;
        let by_name = inode_in(open.target, "net");
        by_name.or_else(|| by_mount().then(|| Handle::open(&path()).ok())?.map(|handle| handle.inode()))
    }
}

/// Major and minor number.
type Device = (u32, u32);

/// The device of a file, as far as the kernel knows it without asking whoever serves the file system: a server that
/// hangs (FUSE, NFS) is not waited for.
fn device_of(folder: BorrowedFd<'_>, name: impl Arg) -> Option<Device> {
    let found = statx(folder, name, AtFlags::STATX_DONT_SYNC, StatxFlags::empty()).ok()?;
    Some((found.stx_dev_major, found.stx_dev_minor))
}

/// Socket inode → PID, over the descriptors of `pids`; of several holders the first.
pub fn socket_holders(root: &Path, pids: impl Iterator<Item = u32>) -> BTreeMap<u64, u32> {
    let mut holders = BTreeMap::new();
    for pid in pids {
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = openat(CWD, root.join(pid.to_string()), directory, Mode::empty()) else { continue };
        each_descriptor(folder.as_fd(), |open| {
            if let Some(inode) = inode_in(open.target, "socket") {
                holders.entry(inode).or_insert(pid);
            }
        });
    }
    holders
}

/// What a process has open.
struct Descriptor<'a> {
    /// `/proc/PID/fd`.
    folder: BorrowedFd<'a>,
    /// Its number.
    name: &'a CStr,
    /// What the kernel calls what it leads to.
    target: &'a str,
}

/// `process` is its folder in `/proc`.
fn each_descriptor(process: BorrowedFd<'_>, mut take: impl FnMut(&Descriptor<'_>)) {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat(process, "fd", directory, Mode::empty()) else { return };
    let folder = folder.as_fd();
    let (mut names, mut target) = ([MaybeUninit::uninit(); 4096], Vec::new());
    let mut entries = RawDir::new(folder, &mut names);
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        if name.to_bytes().starts_with(b".") {
            continue; // the folder itself and the one above
        }
        let Ok(found) = readlinkat(folder, name, target) else {
            target = Vec::new();
            continue;
        };
        if let Ok(target) = found.to_str() {
            take(&Descriptor { folder, name, target });
        }
        target = found.into_bytes();
    }
}
