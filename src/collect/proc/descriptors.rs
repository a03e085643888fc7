//! What processes hold open: namespaces, sockets, watches.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, StatxFlags, openat, readlinkat_raw, statat, statx};

use super::nsfs::inode_in;
use crate::model::netns::Inode;
use crate::netns::Handle;

/// A netns held by an open descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenNetns {
    pub inode: Inode,
    pub pid: u32,
    pub path: PathBuf,
}

/// An inotify instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inotify {
    pub user: u32,
    pub pid: u32,
    /// Its number in the process.
    pub descriptor: String,
}

impl Inotify {
    /// How many files it watches, each with a line of its own (proc_pid_fdinfo(5)).
    pub fn watches(&self, root: &Path) -> u64 {
        let file = File::open(root.join(format!("{}/fdinfo/{}", self.pid, self.descriptor)));
        let lines = file.into_iter().flat_map(|file| BufReader::new(file).split(b'\n').map_while(Result::ok));
        lines.filter(|line| line.starts_with(b"inotify wd:")).count() as u64
    }
}

/// What the processes have open, as far as it concerns networks and limits.
#[derive(Debug, Default)]
pub struct Descriptors {
    /// Every netns that a process has open, once a process. podnet's own don't count.
    pub netns: Vec<OpenNetns>,
    /// Every socket by its inode, with the PID.
    pub sockets: Vec<(u64, u32)>,
    /// Who watches files: users run out of that.
    pub inotify: Vec<Inotify>,
}

impl Descriptors {
    pub fn add(&mut self, other: Self) {
        self.netns.extend(other.netns);
        self.sockets.extend(other.sockets);
        self.inotify.extend(other.inotify);
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
        Self { root, own: std::process::id(), nsfs: device_of("/proc/self/ns/net") }
    }

    /// Looks at every descriptor of a process, whose folder in `/proc` that is.
    pub fn held_by(&self, pid: u32, folder: impl AsFd) -> Descriptors {
        let mut found = Descriptors::default();
        if pid == self.own {
            return found;
        }
        let mut seen = BTreeSet::new();
        let mut inotify: Vec<String> = Vec::new();
        each_descriptor(folder.as_fd(), |open| match open.kind() {
            Some(Kind::Socket(inode)) => found.sockets.push((inode, pid)),
            Some(Kind::Nameless) => {
                let watches = open.target(|target| (target == "anon_inode:inotify").then_some(()));
                inotify.extend(watches.map(|()| open.name.to_string_lossy().into_owned()));
            }
            Some(Kind::OnDevice(device)) if Some(device) == self.nsfs => {
                let path = self.root.join(pid.to_string()).join("fd").join(open.name.to_string_lossy().as_ref());
                if let Some(inode) = open.netns(&path).filter(|inode| seen.insert(*inode)) {
                    found.netns.push(OpenNetns { inode, pid, path });
                }
            }
            _ => {}
        });
        if !inotify.is_empty()
            && let Ok(process) = statat(&folder, ".", AtFlags::empty())
        {
            let user = process.st_uid;
            found.inotify = inotify.into_iter().map(|descriptor| Inotify { user, pid, descriptor }).collect();
        }
        found
    }
}

/// Major and minor number.
type Device = (u32, u32);

fn device_of(path: &str) -> Option<Device> {
    let found = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::empty()).ok()?;
    Some((found.stx_dev_major, found.stx_dev_minor))
}

/// What a process has open.
struct Descriptor<'a> {
    /// `/proc/PID/fd`.
    folder: BorrowedFd<'a>,
    /// Its number.
    name: &'a CStr,
}

enum Kind {
    Socket(u64),
    OnDevice(Device),
    /// An inode of nobody's (`anon_inode:[eventpoll]` and the like): the only ones with a mode that names no type.
    Nameless,
}

impl Descriptor<'_> {
    /// As far as the kernel knows it without asking whoever serves the file system: a server that hangs (FUSE, NFS) is
    /// not waited for.
    fn kind(&self) -> Option<Kind> {
        let wanted = StatxFlags::TYPE | StatxFlags::INO;
        let found = statx(self.folder, self.name, AtFlags::STATX_DONT_SYNC, wanted).ok()?;
        Some(match FileType::from_raw_mode(found.stx_mode.into()) {
            FileType::Socket => Kind::Socket(found.stx_ino),
            FileType::Unknown => Kind::Nameless,
            _ => Kind::OnDevice((found.stx_dev_major, found.stx_dev_minor)),
        })
    }

    /// What the kernel calls what it leads to. Longer names than any that are looked for come cut off.
    fn target<T>(&self, take: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let mut room = [MaybeUninit::uninit(); 64];
        let (target, _) = readlinkat_raw(self.folder, self.name, &mut room).ok()?;
        take(std::str::from_utf8(target).ok()?)
    }

    /// A namespace that was opened by its mount shows as the path of that mount, and as `/` once that is unmounted; then
    /// it is opened at `path` to see.
    fn netns(&self, path: &Path) -> Option<Inode> {
        let by_name = self.target(|target| inode_in(target, "net"));
        by_name.or_else(|| {
            let mounted = self.target(|target| target.starts_with('/').then_some(()));
            mounted.and_then(|()| Handle::open(path).ok()).map(|handle| handle.inode())
        })
    }
}

/// `process` is its folder in `/proc`.
fn each_descriptor(process: BorrowedFd<'_>, mut take: impl FnMut(&Descriptor<'_>)) {
    const ROOM: usize = 4096;
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat(process, "fd", directory, Mode::empty()) else { return };
    let folder = folder.as_fd();
    let mut names = [MaybeUninit::uninit(); ROOM];
    let mut entries = RawDir::new(folder, &mut names);
    let mut filled = 0;
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        filled += entry_size(name.count_bytes());
        // The folder itself and the one above are no descriptors.
        if !name.to_bytes().starts_with(b".") {
            take(&Descriptor { folder, name });
        }
        if entries.is_buffer_empty() {
            // Where there was room for more there is no more (`proc_readfd_common`, fs/proc/fd.c), and need not be asked for.
            if filled + entry_size(DESCRIPTOR_DIGITS) <= ROOM {
                return;
            }
            filled = 0;
        }
    }
}

/// Of the largest descriptor; `.` and `..` are shorter.
const DESCRIPTOR_DIGITS: usize = 10;

/// What a name of that many bytes takes of a buffer of getdents64(2): `struct linux_dirent64`, with the NUL, aligned.
fn entry_size(name: usize) -> usize {
    const HEADER: usize = 19;
    (HEADER + name + 1).next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_descriptor_is_seen_once_however_many_there_are() {
        let process = File::open("/proc/self").unwrap();
        let mut open = Vec::new();
        for more in [0, 50, 60, 70, 80, 400] {
            open.extend((0..more).map(|_| File::open("/dev/null").unwrap()));
            let own = |each: &File| std::os::fd::AsRawFd::as_raw_fd(each).to_string();
            let mut seen: Vec<String> = Vec::new();
            each_descriptor(process.as_fd(), |descriptor| seen.push(descriptor.name.to_str().unwrap().to_owned()));
            let missing: Vec<String> = open.iter().map(own).filter(|each| !seen.contains(each)).collect();
            assert_eq!(missing, Vec::<String>::new(), "of {}", open.len());
            let count = seen.len();
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), count);
        }
    }
}
