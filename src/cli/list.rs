//! `podnet list`.

use clap::Args;

use super::from::From;
use super::{Common, Error, block_on};
use crate::collect::options::{Depth, Runtimes};
use crate::collect::survey::survey;
use crate::snapshot;
use crate::view::list::{Choice, Sort, list};

/// List what runs on this node, and on which network
///
/// A line a container, process or namespace: its PID, netns, address and the host's interface to it. The
/// containers of a pod stand together.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet list\n  podnet list -n kube-system -o wide\n  podnet list --runtime none      from /proc alone, no runtime asked\n  podnet list -o name | head -1\n  podnet list --from node7.json   of a node as it was (podnet snapshot save)"
)]
pub struct List {
    /// Stopped containers and sandboxes too
    #[arg(short, long)]
    all: bool,
    /// Only pods of this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// A line a network namespace, without workloads
    ///
    /// With --runtime or -n only those that such a workload is in.
    #[arg(long)]
    netns_only: bool,
    /// What to sort by
    #[arg(long, value_name = "COLUMN", default_value = "name")]
    sort: Sort,
    #[command(flatten)]
    from: From,
}

impl List {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let options = common.options()?;
        let node = match self.from.read()? {
            Some(snapshot) => snapshot::listed(snapshot.node, options.kube.is_asked()),
            None => block_on(survey(&options, Depth::Addresses))?.into_node(),
        };
        let runtimes = match options.runtimes {
            Runtimes::Only(named) => named,
            Runtimes::All | Runtimes::None => Vec::new(),
        };
        let choice = Choice {
            all: self.all,
            runtimes,
            namespace: self.namespace.clone(),
            netns_only: self.netns_only,
            sort: self.sort,
        };
        let list = list(&node, &choice);
        let printed = common.print(&list);
        // The process ends, and gives all its memory back at once; piece by piece a large node takes milliseconds.
        std::mem::forget((node, list));
        printed.map(|()| 0)
    }
}
