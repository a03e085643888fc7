//! Reading ahead: what will be shown closely is read while `/proc` is walked and the runtimes are asked, as far as the
//! target says by itself where it is.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::doors;
use super::kernel::{self, Looked, Programs, Sockets, Visit, Want};
use super::proc::Process;
use crate::descriptors;
use crate::model::netns::Netns;
use crate::netns::Handle;

/// Where a target likely is, by its own word. It is only looked at: what it turns out to be is decided by all that was
/// found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Likely {
    Anywhere,
    Process(u32),
    Path(PathBuf),
    /// By its id or the beginning of it.
    Container(String),
}

/// What to read ahead.
#[derive(Clone, Debug)]
pub struct Ahead {
    pub likely: Likely,
    /// Of its sockets not only those that listen.
    pub wide: bool,
}

/// A reading that goes on beside whatever else is done.
pub struct Begun {
    pub(super) told: oneshot::Receiver<Read>,
    /// Where the walk tells of the container that is waited for.
    pub(super) lookout: Option<Lookout>,
}

/// What was read ahead, and how long that took.
#[derive(Default)]
pub struct Read {
    pub looked: Vec<Looked>,
    /// The host's links that the target's lead to: those whose programs were looked for.
    pub host_ends: Vec<u32>,
    pub elapsed: Duration,
}

impl Ahead {
    /// Begins to read, on a thread that hops between the namespaces and then ends. There is no answer without one, and all
    /// is read when it is known what is meant.
    pub fn begin(self, root: &Path) -> Begun {
        descriptors::make_room();
        let (tell, told) = oneshot::channel();
        let (lookout, found) = Lookout::of(root, &self.likely).unzip();
        let root = root.to_owned();
        let _ = Builder::new().spawn(move || tell.send(self.read(&root, found)));
        Begun { told, lookout }
    }

    /// All of the host's namespace that concerns a pod, but for programs, then the target's, which the walk has `found` where
    /// it is a container's, then the programs at its other ends in the host's. One after the other: the walk beside it takes
    /// as long, and there may be but two cores.
    fn read(&self, root: &Path, found: Option<oneshot::Receiver<Handle>>) -> Read {
        let Ok(host) = doors::host(root) else { return Read::default() };
        let want = Want { programs: Programs::OfNone, sockets: Sockets::None, ..Want::judgeable() };
        let start = Instant::now();
        let mut here = kernel::enter_and_look(&visit(&host, true, want), None);
        let elapsed = start.elapsed();
        let Some(target) = self.target(root, found).filter(|target| target.inode() != host.inode()) else {
            return Read { looked: vec![here], elapsed, ..Read::default() };
        };
        let start = Instant::now();
        let there = kernel::enter_and_look(&visit(&target, false, Want::everything(self.wide)), Some(&host));
        let host_ends = there.state.other_ends().remove(&host.inode()).unwrap_or_default();
        kernel::enter_and_read_programs(&mut here.state, &host, &host_ends);
        Read { looked: vec![here, there], host_ends, elapsed: elapsed + start.elapsed() }
    }

    fn target(&self, root: &Path, found: Option<oneshot::Receiver<Handle>>) -> Option<Handle> {
        match &self.likely {
            Likely::Anywhere => None,
            Likely::Process(pid) => Handle::open_link(&root.join(pid.to_string()).join("ns/net")).ok(),
            Likely::Path(path) => Handle::open(path).ok(),
            Likely::Container(_) => found?.blocking_recv().ok(),
        }
    }
}

/// Where the walk over the processes tells of a container that is waited for.
pub struct Lookout {
    root: PathBuf,
    /// Or the beginning of it.
    pub id: String,
    tell: Mutex<Option<oneshot::Sender<Handle>>>,
}

impl Lookout {
    /// Who waits hears of the first process of the container, or that there is none once this is dropped.
    fn of(root: &Path, likely: &Likely) -> Option<(Self, oneshot::Receiver<Handle>)> {
        let Likely::Container(id) = likely else { return None };
        let (tell, found) = oneshot::channel();
        Some((Self { root: root.to_owned(), id: id.clone(), tell: Mutex::new(Some(tell)) }, found))
    }

    pub fn met(&self, process: &Process) {
        let is_meant = process.container.as_ref().is_some_and(|container| container.id.starts_with(&self.id));
        if !is_meant {
            return;
        }
        let Some(tell) = self.tell.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if let Ok(handle) = Handle::open_link(&self.root.join(process.way_in.to_string()).join("ns/net")) {
            let _ = tell.send(handle); // who waited may have given up
        }
    }
}

fn visit(handle: &Handle, is_host: bool, want: Want) -> Visit<'_> {
    let netns = Netns { inode: handle.inode(), is_host, ..Netns::default() };
    Visit { netns, handle, want, known: Vec::new() }
}
