//! Entering network namespaces: the only place that calls `setns`.
//!
//! `setns(CLONE_NEWNET)` moves one thread, and a socket stays in the namespace that it was opened
//! in. So a namespace is visited by a thread that was made for it and ends there; it never comes
//! back to do other work.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sched::{CloneFlags, CpuSet};
use nix::sys::stat::Mode;
use nix::sys::statfs::NSFS_MAGIC;

use crate::model::netns::Inode;

/// `_IO(NSIO, n)` of linux/nsfs.h.
const NS_GET_USERNS: nix::libc::Ioctl = 0xb701;
const NS_GET_NSTYPE: nix::libc::Ioctl = 0xb703;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open the netns {path}")]
    Open { path: PathBuf, source: io::Error },
    #[error("{path} is no network namespace")]
    NotANetns { path: PathBuf },
    #[error("cannot enter the netns {inode}")]
    Enter { inode: Inode, source: io::Error },
    #[error("cannot start a thread to visit a netns")]
    Thread { source: io::Error },
    #[error("the thread that visited the netns {inode} died")]
    Died { inode: Inode },
}

/// An open network namespace. It stays what it is, also when the PID that led to it is reused.
#[derive(Debug)]
pub struct Handle {
    file: File,
    inode: Inode,
}

impl Handle {
    /// Opens a path under `/proc/PID/ns`, `/run/netns` and the like. Whatever the path leads to, only a network
    /// namespace is opened: a device or a FIFO that was put there is not touched.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let place = nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        Self::open_place(place, path)
    }

    /// Opens `path`, a mount point below `root` in somebody else's mount namespace: links on the way stay below
    /// `root`, and a file system that somebody else serves (FUSE) is not waited for. The way to a mount point
    /// is always in the kernel's cache.
    pub fn open_below(root: &Path, path: &Path) -> Result<Self, Error> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let cached = ResolveFlag::from_bits_retain(nix::libc::RESOLVE_CACHED);
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT | cached);
        let place = nix::fcntl::open(root, flags | OFlag::O_DIRECTORY, Mode::empty())
            .and_then(|root| nix::fcntl::openat2(root, path, how));
        Self::open_place(place, path)
    }

    fn open_place(place: nix::Result<OwnedFd>, path: &Path) -> Result<Self, Error> {
        let not_opened = |source| Error::Open { path: path.to_owned(), source };
        let not_a_netns = || Error::NotANetns { path: path.to_owned() };
        let place = place.map_err(|errno| not_opened(errno.into()))?;
        if !nix::sys::statfs::fstatfs(&place).is_ok_and(|fs| fs.filesystem_type() == NSFS_MAGIC) {
            return Err(not_a_netns());
        }
        let file = File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(not_opened)?;
        Self::of_file(file, path)
    }

    fn of_file(file: File, path: &Path) -> Result<Self, Error> {
        if !is_of_networks(file.as_fd()) {
            return Err(Error::NotANetns { path: path.to_owned() });
        }
        let inode = file.metadata().map_err(|source| Error::Open { path: path.to_owned(), source })?.ino();
        Ok(Self { file, inode })
    }

    /// Opens `/proc/PID/ns/net`, which the kernel makes: unlike at a path where anything may have been put, it can be
    /// opened without a look at what it is.
    pub fn open_link(path: &Path) -> Result<Self, Error> {
        use rustix::fs::{Mode, OFlags, open};
        let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = File::from(file.map_err(|errno| Error::Open { path: path.to_owned(), source: errno.into() })?);
        let inode = file.metadata().map_err(|source| Error::Open { path: path.to_owned(), source })?.ino();
        Ok(Self { file, inode })
    }

    /// The netns of a process, by its number in podnet's own `/proc`.
    pub fn of_pid(pid: u32) -> Result<Self, Error> {
        Self::open_link(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// The netns of the calling thread.
    pub fn own() -> Result<Self, Error> {
        Self::open_link(Path::new("/proc/thread-self/ns/net"))
    }

    pub fn inode(&self) -> Inode {
        self.inode
    }

    /// Whether the calling thread is in it.
    fn is_own(&self) -> bool {
        Self::own().is_ok_and(|own| own.inode == self.inode)
    }

    /// Another handle on the same namespace.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, inode: self.inode })
    }

    /// The user namespace that owns it: `NS_GET_USERNS` (ioctl_ns(2)). EPERM when that is outside
    /// of the caller's own.
    pub fn owner_user_ns(&self) -> io::Result<OwnedFd> {
        // SAFETY: the request takes no argument and returns a new descriptor or -1.
        #[expect(unsafe_code, reason = "ioctl_ns(2) has no safe wrapper")]
        unsafe {
            let fd: RawFd = Errno::result(nix::libc::ioctl(self.file.as_raw_fd(), NS_GET_USERNS))?;
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }

    /// Moves the **calling thread** into this netns, for good. Only for a thread that does nothing
    /// else afterwards, or a process about to exec.
    pub fn enter(&self) -> Result<(), Error> {
        let Err(errno) = nix::sched::setns(&self.file, CloneFlags::CLONE_NEWNET) else { return Ok(()) };
        // A plain user may not even «enter» the netns that he is in.
        if self.is_own() { Ok(()) } else { Err(Error::Enter { inode: self.inode, source: errno.into() }) }
    }

    /// Like [`Handle::enter`]; where that is refused, as it is to a plain user and his rootless container, by way
    /// of the user namespace that owns the netns. The process must have no other thread.
    pub fn enter_with_owner(&self) -> Result<(), Error> {
        let refused = match self.enter() {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        let Ok(owner) = self.owner_user_ns() else { return Err(refused) };
        if enter_user_ns(&owner).is_err() {
            return Err(refused);
        }
        self.enter()
    }

    /// Runs `work` inside this netns, on a thread that ends there, and gives back what it returned.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        std::thread::scope(|scope| {
            let visit = || self.enter().map(|()| work());
            let thread =
                std::thread::Builder::new().spawn_scoped(scope, visit).map_err(|source| Error::Thread { source })?;
            thread.join().unwrap_or(Err(Error::Died { inode: self.inode }))
        })
    }
}

/// EINVAL says that there are other threads; those that were told to end, or were joined, are counted for a moment
/// longer. It also says that the process is in there already, which then is of no help.
fn enter_user_ns(owner: &OwnedFd) -> nix::Result<()> {
    const MOMENT: Duration = Duration::from_secs(2);
    let own = nix::sys::stat::stat("/proc/self/ns/user")?;
    if nix::sys::stat::fstat(owner)?.st_ino == own.st_ino {
        return Err(Errno::EPERM);
    }
    let begin = Instant::now();
    loop {
        match nix::sched::setns(owner, CloneFlags::CLONE_NEWUSER) {
            Err(Errno::EINVAL) if begin.elapsed() < MOMENT => std::thread::sleep(Duration::from_millis(1)),
            outcome => return outcome,
        }
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Visits every namespace once and returns what `work` found there, in the order of `handles`; `work` is
/// told the place in that order. A few threads share the visits; each hops from namespace to namespace and then ends.
/// The calling thread takes part where all is in its own namespace.
pub fn visit<T: Send>(handles: &[&Handle], work: impl Fn(usize, &Handle) -> T + Sync) -> Vec<Result<T, Error>> {
    // More wait for each other: the kernel tells of links under one lock (rtnl).
    const MOST: usize = 8;
    let threads = match handles.len() {
        few @ (0 | 1) => few,
        many => cores().min(MOST).min(many),
    };
    let all_here =
        handles.first().is_some_and(|first| first.is_own() && handles.iter().all(|handle| handle.inode == first.inode));
    let next = AtomicUsize::new(0);
    let hop = || {
        let mut found = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(handle) = handles.get(index) else { return found };
            found.push((index, handle.enter().map(|()| work(index, handle))));
        }
    };
    let mut results: Vec<Result<T, Error>> =
        handles.iter().map(|handle| Err(Error::Died { inode: handle.inode() })).collect();
    std::thread::scope(|scope| {
        // Fewer threads than asked for only make it slower.
        let spawned: Vec<_> = (usize::from(all_here)..threads)
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, hop).ok())
            .collect();
        let own = if all_here { hop() } else { Vec::new() };
        for (index, result) in
            own.into_iter().chain(spawned.into_iter().filter_map(|thread| thread.join().ok()).flatten())
        {
            if let Some(slot) = results.get_mut(index) {
                *slot = result;
            }
        }
    });
    results
}

/// How many cores podnet may use (sched_getaffinity(2)). std's own count also reads a cgroup's quota, from five files
/// each time, which is more than these threads are worth.
pub fn cores() -> usize {
    let may = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0));
    may.map_or(1, |set| (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).count())
}

/// Whether a file on nsfs is a network namespace, and not one of mounts, PIDs and so on.
fn is_of_networks(file: BorrowedFd<'_>) -> bool {
    // SAFETY: the request takes no argument and returns a CLONE_NEW* number or -1.
    #[expect(unsafe_code, reason = "ioctl_ns(2) has no safe wrapper")]
    let kind = unsafe { nix::libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    kind == CloneFlags::CLONE_NEWNET.bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_its_own_and_nothing_else() {
        let own = Handle::own().unwrap();
        let shown = std::fs::read_link("/proc/self/ns/net").unwrap();
        assert_eq!(shown.to_str().unwrap(), format!("net:[{}]", own.inode()));
        for path in ["/proc/self/ns/mnt", "/dev/null", "/etc"] {
            assert!(matches!(Handle::open(Path::new(path)), Err(Error::NotANetns { .. })), "{path}");
        }
        assert!(matches!(Handle::open(Path::new("/nowhere")), Err(Error::Open { .. })));
    }
}
