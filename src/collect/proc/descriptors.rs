//! What processes hold open: namespaces, and which process a socket belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, StatxFlags, openat, readlinkat, statx};
use rustix::path::Arg;

use super::ask_each::ask_each;
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

/// Looks once at every descriptor of `pids`.
pub fn descriptors(root: &Path, pids: impl Iterator<Item = u32>) -> Descriptors {
    let own = std::process::id();
    let nsfs = device_of(CWD, "/proc/self/ns/net");
    let pids: Vec<u32> = pids.filter(|pid| *pid != own).collect();
    let mut all = Descriptors::default();
    for found in ask_each(&pids, |pid| held_by(root, pid, nsfs)) {
        all.netns.extend(found.netns);
        for (user, watches) in found.inotify {
            *all.inotify.entry(user).or_default() += watches;
        }
    }
    all.netns.sort_by_key(|open| open.pid);
    all
}

fn held_by(root: &Path, pid: u32, nsfs: Option<Device>) -> Descriptors {
    let mut found = Descriptors::default();
    let mut seen = BTreeSet::new();
    let mut watches = 0;
    each_descriptor(root, pid, |open| {
        watches += u64::from(open.target == "anon_inode:inotify");
        if let Some(inode) = netns_at(open, nsfs).filter(|inode| seen.insert(*inode)) {
            found.netns.push(OpenNetns { inode, pid, path: open.path() });
        }
    });
    if watches > 0
        && let Ok(process) = fs::metadata(root.join(pid.to_string()))
    {
        found.inotify.insert(process.uid(), watches);
    }
    found
}

/// A namespace that was opened by its mount shows as the path of that mount, and as `/` once that is unmounted; only its
/// device tells.
fn netns_at(open: &Descriptor<'_>, nsfs: Option<Device>) -> Option<Inode> {
    let by_mount = || open.target.starts_with('/') && nsfs.is_some() && device_of(open.folder, open.name) == nsfs;
    let by_name = inode_in(open.target, "net");
    by_name.or_else(|| by_mount().then(|| Handle::open(&open.path()).ok())?.map(|handle| handle.inode()))
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
        each_descriptor(root, pid, |open| {
            if let Some(inode) = inode_in(open.target, "socket") {
                holders.entry(inode).or_insert(pid);
            }
        });
    }
    holders
}

/// What a process has open.
struct Descriptor<'a> {
    /// `/proc/PID/fd`, where it is and open.
    place: &'a Path,
    folder: BorrowedFd<'a>,
    /// Its number.
    name: &'a CStr,
    /// What the kernel calls what it leads to.
    target: &'a str,
}

impl Descriptor<'_> {
    fn path(&self) -> PathBuf {
        self.place.join(self.name.to_string_lossy().as_ref())
    }
}

fn each_descriptor(root: &Path, pid: u32, mut take: impl FnMut(&Descriptor<'_>)) {
    let place = root.join(pid.to_string()).join("fd");
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat(CWD, &place, directory, Mode::empty()) else { return };
    let folder = folder.as_fd();
    let (mut names, mut target) = ([MaybeUninit::uninit(); 4096], Vec::new());
    let mut entries = RawDir::new(folder, &mut names);
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        let Ok(found) = readlinkat(folder, name, target) else {
            target = Vec::new();
            continue;
        };
        if let Ok(target) = found.to_str() {
            take(&Descriptor { place: &place, folder, name, target });
        }
        target = found.into_bytes();
    }
}
