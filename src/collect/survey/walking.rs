//! The walk over the processes, with what is done as they are met.

use std::path::Path;
use std::time::{Duration, Instant};

use caps::Capability;
use tokio::sync::oneshot;

use super::may;
use crate::collect::ahead::Lookout;
use crate::collect::doors::Doors;
use crate::collect::kube::{self, Kubelet};
use crate::collect::log;
use crate::collect::namespaces::{self, Found};
use crate::collect::options::Depth;
use crate::collect::proc::{self, Process, Walk};
use crate::model::count::counted;
use crate::model::netns::NetnsState;
use crate::model::source::{Asked, Status};

/// What the walk brought.
pub struct Walked {
    pub asked: Asked,
    pub walk: Walk,
    pub found: Vec<Found>,
    /// The host's own namespace and how long it took to read, where the others are asked of it.
    pub host_alone: Option<(NetnsState, Duration)>,
}

impl Walked {
    /// Nothing, and why.
    pub fn failed(error: &impl ToString, elapsed: Duration) -> Self {
        let (walk, found, host_alone) = Default::default();
        Self { asked: asked(Status::Failed, error.to_string(), elapsed), walk, found, host_alone }
    }
}

/// Finds every namespace; `lookout` waits for one of them, and `tell` for the kubelet.
pub fn walk(root: &Path, depth: Depth, lookout: Option<Lookout>, tell: oneshot::Sender<Kubelet>) -> Walked {
    let start = Instant::now();
    let doors = Doors::new(root, depth == Depth::Addresses);
    let met = |process: &Process| {
        lookout.iter().for_each(|lookout| lookout.met(process));
        doors.meet(process);
    };
    let host = || {
        let start = Instant::now();
        doors.read_host().map(|state| (state, start.elapsed()))
    };
    let (walk, host_alone) = match proc::walk_beside(root, met, host) {
        Ok(walked) => walked,
        Err(error) => return Walked::failed(&error, start.elapsed()),
    };
    drop(lookout);
    if let Some(kubelet) = kube::find_kubelet(root, &walk) {
        let _ = tell.send(kubelet); // nobody waits for it where nobody asks Kubernetes
    }
    let found = namespaces::find(&walk, doors);
    Walked { asked: summary(&walk, found.len(), start.elapsed()), walk, found, host_alone }
}

fn summary(walk: &Walk, namespaces: usize, elapsed: Duration) -> Asked {
    // With the capability, what is still hidden is a security module's own business.
    if walk.hidden > 0 && !may(Capability::CAP_SYS_PTRACE) {
        let hidden = format!("{} of {} processes hidden (needs CAP_SYS_PTRACE)", walk.hidden, walk.processes.len());
        return asked(Status::Failed, hidden, elapsed);
    }
    let processes = counted(walk.processes.len(), "process", "processes");
    let namespaces = counted(namespaces, "network namespace", "network namespaces");
    asked(Status::Present, format!("{processes}, {namespaces}"), elapsed)
}

fn asked(status: Status, detail: String, elapsed: Duration) -> Asked {
    let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
    log::told(Asked { name: "proc".to_owned(), status, detail: Some(detail), elapsed_ms })
}
