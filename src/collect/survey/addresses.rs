//! The addresses of every namespace, most of them without entering it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Survey;
use crate::collect::kernel::{Told, Want};
use crate::model::address::Address;
use crate::model::netns::{Inode, NetnsState};

impl Survey {
    /// What the host's namespace `told` of others, and it itself, where it could be read; those of which nothing was told
    /// are entered.
    pub(super) fn keep_addresses(&mut self, host: Option<(NetnsState, Duration)>, told: Vec<Told>) {
        let start = Instant::now();
        let mut took = Duration::ZERO;
        if let Some((mut state, elapsed)) = host {
            state.nsids.extend(told.iter().map(|told| told.nsid));
            self.keep(vec![state]);
            took = elapsed;
        }
        let mut told: BTreeMap<Inode, Vec<Address>> =
            told.into_iter().map(|told| (told.nsid.inode, told.addresses)).collect();
        let host = self.node.host_netns;
        let mut untold = Vec::new();
        for state in self.node.namespaces.iter_mut().filter(|state| state.netns.inode != host) {
            match told.remove(&state.netns.inode) {
                Some(addresses) => state.addresses = Some(addresses),
                None => untold.push((state.netns.inode, Want::default())),
            }
        }
        // The host has no link in common with these, and no other one is shown.
        self.read_with(untold, false);
        self.told_by_kernel(took + start.elapsed());
    }
}
