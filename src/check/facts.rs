//! What the rules look at: the node, with its namespaces in their order and every pair's other end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::model::attachment::{Attachment, Keeper};
use crate::model::count::counted;
use crate::model::link::Link;
use crate::model::netns::{Inode, NetnsState};
use crate::model::node::Node;
use crate::model::peer::{Peer, Peers};
use crate::model::source::{Asked, Status};

/// A node, ready to be judged.
pub struct Facts<'a> {
    pub node: &'a Node,
    /// The same node some time before, where it was looked at twice.
    pub earlier: Option<&'a Node>,
    /// What is younger than this is still being made, or just being removed.
    pub grace: SignedDuration,
    peers: Peers<'a>,
    by_inode: BTreeMap<Inode, &'a NetnsState>,
    /// How many pairs a namespace is away from the host's: pods 1, the pods of a nested node 2.
    levels: BTreeMap<Inode, u32>,
}

impl<'a> Facts<'a> {
    pub fn new(node: &'a Node, earlier: Option<&'a Node>, grace: SignedDuration) -> Self {
        let peers = Peers::new(&node.namespaces);
        let levels = levels(node, &peers);
        let by_inode = node.namespaces.iter().map(|state| (state.netns.inode, state)).collect();
        Self { node, earlier, grace, peers, by_inode, levels }
    }

    pub fn host(&self) -> Option<&'a NetnsState> {
        self.namespace(self.node.host_netns)
    }

    pub fn namespace(&self, inode: Inode) -> Option<&'a NetnsState> {
        self.by_inode.get(&inode).copied()
    }

    pub fn level(&self, inode: Inode) -> Option<u32> {
        self.levels.get(&inode).copied()
    }

    pub fn peer(&self, inode: Inode, link: &Link) -> Option<Peer> {
        self.peers.of(inode, link)
    }

    /// Why somebody may be here who was not seen.
    pub fn not_everyone(&self) -> Option<String> {
        let unseen = self.silent("proc").or_else(|| self.failed_runtime());
        if unseen.is_some() {
            return unseen;
        }
        let half = |state: &&NetnsState| ["links", "addresses"].iter().any(|table| state.unread_table(table).is_some());
        let unread = self.node.namespaces.iter().filter(half).count();
        (unread > 0).then(|| format!("{} not read", counted(unread, "namespace", "namespaces")))
    }

    /// Why a source did not answer; None when it did.
    pub fn silent(&self, name: &str) -> Option<String> {
        match self.node.sources.iter().find(|source| source.name == name) {
            Some(source) if source.status == Status::Present => None,
            Some(source) => {
                let word = if source.status == Status::Absent { "absent" } else { "failed" };
                Some(format!("{name} {word}: {}", source.detail.clone().unwrap_or_default()))
            }
            None => Some(format!("{name} was not asked")),
        }
    }
}

impl Facts<'_> {
    /// As [`Facts::silent`], of a source whose answer is missing.
    pub fn why_silent(&self, name: &str) -> String {
        self.silent(name).unwrap_or_else(|| format!("{name} told nothing"))
    }

    /// Why nothing is known of attachments: who keeps them failed, or nobody does.
    pub fn no_attachments(&self) -> String {
        let failed = |keeper: &Keeper| {
            self.node.sources.iter().any(|source| source.name == keeper.source() && source.status == Status::Failed)
        };
        let keeper = Some(Keeper::Podnet).filter(failed).unwrap_or_default();
        self.why_silent(keeper.source())
    }

    /// Why no container is known to be gone: no runtime answered, or one of them failed.
    pub fn no_runtime(&self) -> Option<String> {
        let answered = self.runtimes().any(|source| source.status == Status::Present);
        self.failed_runtime().or_else(|| (!answered).then(|| "no container runtime answered".to_owned()))
    }

    /// One that is here and did not tell what it runs.
    pub fn failed_runtime(&self) -> Option<String> {
        let source = self.runtimes().find(|source| source.status == Status::Failed)?;
        Some(format!("{} failed: {}", source.name, source.detail.clone().unwrap_or_default()))
    }

    fn runtimes(&self) -> impl Iterator<Item = &Asked> {
        self.node.sources.iter().filter(|source| source.is_runtime())
    }

    /// Every address that an interface of any namespace has.
    pub fn addresses_in_use(&self) -> BTreeSet<IpAddr> {
        let links = self.node.namespaces.iter().flat_map(|state| &state.links);
        links.flat_map(|link| &link.addresses).map(|address| address.address).collect()
    }

    /// Whether a container runs, by a runtime or by its processes; a sandbox counts as long as it is listed, and a
    /// namespace that podnet gave a network as long as it is there.
    pub fn knows_container(&self, id: &str) -> bool {
        let runs = self.node.workloads.iter().any(|workload| {
            let sandbox = workload.pod.as_ref().and_then(|pod| pod.sandbox_id.as_deref());
            workload.id.as_deref() == Some(id) || sandbox == Some(id)
        });
        let stands = |attachment: &Attachment| attachment.container_id == id && attachment.netns_inode.is_some();
        runs || self.node.attachments.iter().flatten().any(stands)
    }

    /// What was just made, or is just going away, is in somebody's hands; what is of unknown age may be.
    pub fn is_old(&self, since: Option<Timestamp>) -> bool {
        /// As many times the grace that a new pod gets.
        const PATIENCE: i32 = 6;
        let now = self.node.collected_at;
        since.is_some_and(|since| now.duration_since(since) >= self.grace.saturating_mul(PATIENCE))
    }
}

/// From the host's namespace outwards. A pair leads both ways, a macvlan to its parent only, so both are followed.
fn levels(node: &Node, peers: &Peers<'_>) -> BTreeMap<Inode, u32> {
    let mut neighbours: BTreeMap<Inode, BTreeSet<Inode>> = BTreeMap::new();
    for state in &node.namespaces {
        let inode = state.netns.inode;
        for other in state.links.iter().filter_map(|link| peers.of(inode, link)?.netns).map(|netns| netns.inode) {
            neighbours.entry(inode).or_default().insert(other);
            neighbours.entry(other).or_default().insert(inode);
        }
    }
    let mut levels = BTreeMap::from([(node.host_netns, 0)]);
    let mut open = VecDeque::from([node.host_netns]);
    while let Some(inode) = open.pop_front() {
        let next = levels.get(&inode).map_or(1, |level| level + 1);
        for other in neighbours.get(&inode).into_iter().flatten() {
            levels.entry(*other).or_insert_with(|| {
                open.push_back(*other);
                next
            });
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_was_half_read_may_hide_an_address() {
        let proc = Asked { name: "proc".to_owned(), status: Status::Present, detail: None, elapsed_ms: 0.0 };
        let state = NetnsState { links: vec![Link::default()], ..NetnsState::default() };
        let mut node = Node { sources: vec![proc], namespaces: vec![state], ..Node::default() };
        let says = |node: &Node| Facts::new(node, None, SignedDuration::ZERO).not_everyone();
        assert_eq!(says(&node), None);
        for problem in ["addresses: timed out", "links: 1 entry of a form that podnet does not know"] {
            node.namespaces[0].problems = vec![problem.to_owned()];
            assert_eq!(says(&node).as_deref(), Some("1 namespace not read"), "{problem}");
        }
        node.namespaces[0].problems = vec!["neighbours: timed out".to_owned()];
        assert_eq!(says(&node), None);
    }
}
