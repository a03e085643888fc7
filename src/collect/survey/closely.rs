//! One namespace as a whole, with what concerns it of the host's and of those where its links' other ends are.

use std::time::Instant;

use super::Survey;
use crate::collect::ahead::Read;
use crate::collect::kernel::{self, Looked, Programs, Sockets, Want};
use crate::collect::options::Depth;
use crate::model::netns::{Inode, NetnsState};
use crate::model::node::Node;

impl Survey {
    /// As the walk knows more of the namespaces themselves than who read them meanwhile.
    pub(super) fn keep_ahead(&mut self, Read { mut looked, host_ends, elapsed }: Read, depth: Depth) {
        for host in looked.iter_mut().filter(|each| each.state.netns.is_host && depth < Depth::HostLinks) {
            host.netlink = None; // of its ids only those are needed that lead to the pod
        }
        kernel::explain(&mut looked, &self.candidates());
        self.host_ends = host_ends;
        for Looked { state, .. } in looked {
            let slot = self.node.namespaces.iter_mut().find(|slot| slot.netns.inode == state.netns.inode);
            if let Some(slot) = slot {
                self.read_ahead.insert(state.netns.inode);
                *slot = NetnsState { netns: slot.netns.clone(), ..state };
            }
        }
        self.number_as_the_host_does();
        self.told_by_kernel(elapsed);
    }

    /// Whether [`Survey::read_closely`] has little left to read of it.
    pub fn was_read(&self, inode: Inode) -> bool {
        self.read_ahead.contains(&inode)
    }

    /// Reads all there is of one namespace, and what concerns it of the host's and of those where its links'
    /// other ends are; `wide` reads every socket.
    pub fn read_closely(&mut self, inode: Inode, wide: bool) {
        let start = Instant::now();
        let host = self.node.host_netns;
        let around = |links| Want { programs: Programs::Of(links), sockets: Sockets::None, ..Want::judgeable() };
        let here = |node: &Node| node.namespace(host).map(|host| host.ends_in(inode)).unwrap_or_default();
        if self.read_ahead.contains(&host) && inode != host {
            if !self.was_read(inode) {
                self.read(vec![(inode, Want::everything(wide))]);
            }
            self.read_host_programs(here(&self.node));
        } else {
            // Side by side, as the host's links know the ends that are here.
            let mut wanted = vec![(inode, Want::everything(wide)), (host, around(here(&self.node)))];
            wanted.truncate(if inode == host { 1 } else { 2 });
            self.read(wanted);
        }
        let here = here(&self.node);
        let mut ends = self.node.namespace(inode).map(NetnsState::other_ends).unwrap_or_default();
        ends.remove(&inode);
        ends.retain(|end, links| *end != host || links.iter().any(|link| !here.contains(link)));
        self.read(ends.into_iter().map(|(inode, links)| (inode, around(links))).collect());
        self.name_socket_processes(inode);
        self.told_by_kernel(start.elapsed());
    }

    fn read_host_programs(&mut self, mut of: Vec<u32>) {
        of.retain(|link| !self.host_ends.contains(link));
        let host = self.node.host_netns;
        let state = self.node.namespaces.iter_mut().find(|state| state.netns.inode == host);
        if let (Some(Ok(handle)), Some(state)) = (self.handles.get(&host), state.filter(|_| !of.is_empty())) {
            kernel::read_programs(state, handle, &of);
        }
    }
}
