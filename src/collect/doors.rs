//! Opening each netns once: as the walk over the processes meets the first that lives in it, or by whatever else leads
//! to it; such that it is surely the one that was found.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::kernel::problem::chain;
use super::kernel::{Outside, Told};
use super::proc::Process;
use crate::descriptors;
use crate::model::netns::{Inode, NetnsState};
use crate::netns::{self, Handle};

/// Descriptors that are left to the walk, on a few threads, and to the questions that follow.
const SPARE: u64 = 64;

/// What leads to a namespace.
pub enum Way {
    /// That of a process, by its way in.
    Process(u32),
    Path(PathBuf),
    /// A mount point in the mount namespace whose root that is.
    Below {
        root: PathBuf,
        path: PathBuf,
    },
}

impl Way {
    /// `root` is `/proc`.
    fn open(&self, root: &Path) -> Result<Handle, netns::Error> {
        match self {
            Way::Process(pid) => Handle::open_link(&root.join(format!("{pid}/ns/net"))),
            Way::Path(path) => Handle::open(path),
            Way::Below { root, path } => Handle::open_below(root, path),
        }
    }
}

/// A namespace, open, or why it isn't.
pub struct Opened {
    pub handle: Result<Handle, String>,
    /// The user namespace that owns it, where that is not podnet's own.
    pub owner_user_ns: Option<u64>,
    /// What the host's namespace tells of it, where that is asked.
    pub told: Option<Told>,
}

/// The node's own. `root` is `/proc`.
pub fn host(root: &Path) -> Result<Handle, netns::Error> {
    Handle::open(&root.join("1/ns/net")).or_else(|_| Handle::own())
}

/// The host's namespace, and the others that are open.
pub struct Doors {
    /// `/proc`.
    pub root: PathBuf,
    pub host: Option<Handle>,
    own_user_ns: Option<u64>,
    outside: Option<Outside>,
    /// How many files podnet may have open.
    limit: u64,
    met: Mutex<BTreeSet<Inode>>,
    open: Mutex<Vec<(Inode, Opened)>>,
}

impl Doors {
    /// The host's is `asked` of each that will be opened.
    pub fn new(root: &Path, asked: bool) -> Self {
        let own_user_ns = std::fs::metadata(root.join("self/ns/user")).map(|metadata| metadata.ino()).ok();
        let host = host(root).ok();
        let outside = host.as_ref().filter(|_| asked).map(Outside::of);
        let limit = descriptors::limit();
        let (met, open) = Default::default();
        Self { root: root.to_owned(), host, own_user_ns, outside, limit, met, open }
    }

    /// 0 where it could not be opened.
    pub fn host_inode(&self) -> Inode {
        self.host.as_ref().map_or(0, Handle::inode)
    }

    /// The host's own, where it is asked of the others.
    pub fn read_host(&self) -> Option<NetnsState> {
        Some(self.outside.as_ref()?.host(self.host.as_ref()?))
    }

    /// Opens the namespace of a process, unless another one was met there.
    pub fn meet(&self, process: &Process) {
        let is_new = |inode: &Inode| *inode != self.host_inode() && held(&self.met).insert(*inode);
        let Some(inode) = process.netns.filter(is_new) else { return };
        let opened = self.open(inode, &[Way::Process(process.way_in)]);
        // Else the process may have ended, and others be there.
        if opened.handle.is_ok() || opened.told.is_some() {
            held(&self.open).push((inode, opened));
        }
    }

    /// Those where a process was met.
    pub fn met(&self) -> BTreeMap<Inode, Opened> {
        std::mem::take(&mut *held(&self.open)).into_iter().collect()
    }

    /// Opens a namespace, by the first of these ways that does. Between finding and opening a PID or a path may have come to
    /// mean another one: what was opened is kept only if it is the one that was found, and if that leaves descriptors for
    /// more.
    pub fn open(&self, inode: Inode, ways: &[Way]) -> Opened {
        let handle = self.first_open(inode, ways);
        let opened = handle.as_ref().ok();
        let owner = opened.and_then(|handle| handle.owner_user_ns().ok());
        let owner = owner.and_then(|fd| std::fs::File::from(fd).metadata().ok()).map(|metadata| metadata.ino());
        let told = self.outside.as_ref().zip(opened).and_then(|(outside, handle)| outside.ask(handle));
        let owner_user_ns = owner.filter(|owner| Some(*owner) != self.own_user_ns);
        // The kernel gives the lowest number that is free (open(2)).
        let leaves_enough = |handle: &Handle| handle.as_fd().as_raw_fd().unsigned_abs() as u64 + SPARE <= self.limit;
        let too_many = || format!("podnet may not have more than {} files open (ulimit -n)", self.limit);
        let handle = handle.and_then(|handle| if leaves_enough(&handle) { Ok(handle) } else { Err(too_many()) });
        Opened { handle, owner_user_ns, told }
    }

    fn first_open(&self, inode: Inode, ways: &[Way]) -> Result<Handle, String> {
        let mut why = "it went away while podnet looked".to_owned();
        for way in ways {
            match way.open(&self.root) {
                Ok(handle) if handle.inode() == inode => return Ok(handle),
                Ok(_) => {}
                Err(error) => why = chain(&error),
            }
        }
        Err(why)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A `/proc` where each process is in a netns of its own: files stand for them.
    fn of_processes(pids: [u32; 2]) -> (tempfile::TempDir, [Inode; 2]) {
        let root = tempfile::tempdir().unwrap();
        let inodes = pids.map(|pid| {
            let path = root.path().join(format!("{pid}/ns/net"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::metadata(path).unwrap().ino()
        });
        (root, inodes)
    }

    fn process(pid: u32, netns: Inode) -> Process {
        let (name, mount_ns, container) = Default::default();
        Process { pid, way_in: pid, parent: 1, name, started: 0, netns: Some(netns), mount_ns, container }
    }

    #[test]
    fn what_is_not_what_was_found_is_not_kept() {
        let (root, [seventh, eighth]) = of_processes([7, 8]);
        let doors = Doors::new(root.path(), false);
        doors.meet(&process(7, eighth)); // its number is another process's by now
        doors.meet(&process(9, 1)); // it ended
        assert!(doors.met().is_empty());
        let opened = doors.open(eighth, &[Way::Process(7), Way::Process(9), Way::Process(8)]);
        assert_eq!(opened.handle.unwrap().inode(), eighth);
        let why = doors.open(seventh, &[Way::Process(8)]).handle.unwrap_err();
        assert_eq!(why, "it went away while podnet looked");
    }

    #[test]
    fn each_is_opened_once() {
        let (root, inodes) = of_processes([7, 8]);
        let doors = Doors::new(root.path(), false);
        for (pid, inode) in [(7, inodes[0]), (8, inodes[1]), (8, inodes[1]), (7, inodes[0])] {
            doors.meet(&process(pid, inode));
        }
        assert_eq!(held(&doors.open).len(), 2);
        assert_eq!(doors.met().into_keys().collect::<BTreeSet<_>>(), BTreeSet::from(inodes));
    }
}
