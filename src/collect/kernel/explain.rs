//! What the ids of other namespaces (netnsid) mean, once the namespaces were read.
//!
//! The kernel answers only whether an id means one namespace that it is shown, and there may be hundreds. But of a pair
//! each end tells the ifindex of the other, so few namespaces come into question; and where the end there says that
//! its own other end is here, nothing is left to ask.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::netlink::Netlink;
use super::nsid;
use crate::model::link::Link;
use crate::model::netns::{Inode, NetnsState, Nsid};
use crate::netns::Handle;

/// A namespace that was read, and where something is left to ask, the socket to ask it.
pub struct Looked {
    pub state: NetnsState,
    pub netlink: Option<Netlink>,
}

/// Completes the ids of each.
pub fn explain(looked: &mut [Looked], candidates: &[&Handle]) {
    let ends = Ends::of(looked);
    let unsure = looked.iter().enumerate().filter(|(_, each)| each.netlink.is_some() || each.state.netns.is_host);
    let mut order: Vec<usize> = unsure.map(|(place, _)| place).collect();
    // First who has the most: what explains a host's ids explains its pods'.
    order.sort_by_cached_key(|place| Reverse(looked.get(*place).map(|each| unexplained(&each.state).count())));
    let was_read = looked.iter().filter(|each| !each.state.links.is_empty());
    let read: BTreeSet<Inode> = was_read.map(|each| each.state.netns.inode).collect();
    for place in order {
        explain_one(looked, place, &ends, candidates, &read);
    }
}

fn explain_one(looked: &mut [Looked], place: usize, ends: &Ends, candidates: &[&Handle], read: &BTreeSet<Inode>) {
    let unexplained_here = |each: &&Looked| unexplained(&each.state).next().is_some();
    let Some(here) = looked.get(place).filter(unexplained_here) else { return };
    let deduced = deduced(looked, &here.state, ends);
    let likely = likely(looked, &here.state, ends);
    let Some(Looked { state, netlink }) = looked.get_mut(place) else { return };
    state.nsids.extend(deduced);
    let Some(netlink) = netlink else { return };
    // The other end of a pair is in none of those whose links are known and do not lead here.
    let all_paired = unexplained(state).all(Link::is_paired);
    let (first, others): (Vec<&Handle>, Vec<&Handle>) =
        candidates.iter().copied().partition(|other| likely.contains(&other.inode()));
    let others = others.into_iter().filter(|other| !(all_paired && read.contains(&other.inode())));
    let wanted = unexplained(state).filter_map(|link| link.link_netnsid).collect();
    let found = nsid::read(netlink, wanted, first.into_iter().chain(others));
    state.nsids.extend(found);
}

fn unexplained(state: &NetnsState) -> impl Iterator<Item = &Link> {
    not_explained(&state.links, &state.nsids)
}

/// The links whose other end is in a namespace of which only the id is known.
pub fn not_explained<'a>(links: &'a [Link], nsids: &[Nsid]) -> impl Iterator<Item = &'a Link> + use<'a> {
    let known: BTreeSet<i32> = nsids.iter().map(|known| known.nsid).collect();
    links.iter().filter(move |link| link.link_netnsid.is_some_and(|id| id >= 0 && !known.contains(&id)))
}

/// What follows from the other ends: they are where their own ids say that this namespace is.
fn deduced(looked: &[Looked], here: &NetnsState, ends: &Ends) -> Vec<Nsid> {
    let mut found = BTreeMap::new();
    for link in unexplained(here) {
        let there = ends.others(link).iter().filter_map(|end| {
            let state = &looked.get(end.place)?.state;
            (state.netns_of_id(end.nsid) == Some(here.netns.inode)).then_some(state.netns.inode)
        });
        if let Some((nsid, inode)) = link.link_netnsid.zip({ there }.next()) {
            found.insert(nsid, inode);
        }
    }
    found.into_iter().map(|(nsid, inode)| Nsid { nsid, inode }).collect()
}

/// Where ends are that fit those that are here.
fn likely(looked: &[Looked], here: &NetnsState, ends: &Ends) -> BTreeSet<Inode> {
    let fitting = unexplained(here).flat_map(|link| ends.others(link));
    fitting.filter_map(|end| Some(looked.get(end.place)?.state.netns.inode)).collect()
}

/// One end of a pair.
struct End {
    /// Where among those that were read.
    place: usize,
    /// Where it says that the other end is.
    nsid: i32,
}

/// The ends of pairs, by their ifindex and that of the other end.
struct Ends(HashMap<(u32, u32), Vec<End>>);

impl Ends {
    fn of(looked: &[Looked]) -> Self {
        let mut ends: HashMap<(u32, u32), Vec<End>> = HashMap::new();
        for (place, each) in looked.iter().enumerate() {
            for link in each.state.links.iter().filter(|link| link.is_paired()) {
                if let Some(nsid) = link.link_netnsid {
                    ends.entry((link.ifindex, link.far_ifindex())).or_default().push(End { place, nsid });
                }
            }
        }
        Self(ends)
    }

    /// The ends that fit this one.
    fn others(&self, link: &Link) -> &[End] {
        let fitting = self.0.get(&(link.far_ifindex(), link.ifindex)).filter(|_| link.is_paired());
        fitting.map_or(&[], Vec::as_slice)
    }
}
