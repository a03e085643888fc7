//! Namespaces that only threads are in. A node has thousands of threads, which are nearly always where their processes are:
//! none is looked at unless something tells that a namespace is missing.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Survey, want};
use crate::collect::kernel::not_explained;
use crate::collect::namespaces::{Found, find_by_threads};
use crate::collect::options::Depth;
use crate::model::netns::{Inode, NetnsState};

impl Survey {
    /// Where the host has a number for one that nothing led to.
    pub(super) fn find_by_threads_if_missing(&mut self, root: &Path, depth: Depth) {
        let host = self.node.namespace(self.node.host_netns);
        if depth >= Depth::HostLinks && host.is_some_and(leads_to_unknown) {
            self.find_by_threads(root, depth);
        }
    }

    /// Whether there are more, which are then read as deep as the others.
    pub fn find_by_threads(&mut self, root: &Path, depth: Depth) -> bool {
        let known: BTreeSet<Inode> = self.node.namespaces.iter().map(|state| state.netns.inode).collect();
        let found = find_by_threads(root, &self.walk, &known);
        let mut wanted: Vec<Inode> = found.iter().map(|each| each.netns.inode).collect();
        for Found { netns, handle, .. } in found {
            self.handles.insert(netns.inode, handle);
            self.node.namespaces.push(NetnsState { netns, ..NetnsState::default() });
        }
        if wanted.is_empty() {
            return false;
        }
        let host = self.node.host_netns;
        if !self.read_ahead.contains(&host) {
            wanted.push(host); // its numbers mean more now
        }
        if depth > Depth::Holders {
            self.read(wanted.into_iter().map(|inode| (inode, want(depth))).collect());
        }
        true
    }
}

fn leads_to_unknown(host: &NetnsState) -> bool {
    !host.unexplained_nsids.is_empty() || not_explained(&host.links, &host.nsids).next().is_some()
}
