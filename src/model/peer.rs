//! The other end of a pair, proven and not guessed.
//!
//! `IFLA_LINK` is an ifindex **in the namespace that `IFLA_LINK_NETNSID` names**. Equal ifindexes in other namespaces
//! are common, so the other end must also point back to us.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bpf::Attachment;
use super::link::{Link, OperationalState, Statistics};
use super::mac::Mac;
use super::netns::{Inode, NetnsState};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Found by (netns, ifindex), and it points back by its own.
    Confirmed,
    /// It must be there, but it cannot be seen, or its way back cannot be told.
    OneSided,
    /// There is none, or nothing leads to it.
    None,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    pub verdict: Verdict,
    /// Why it is not confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifindex: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<OperationalState>,
    /// The bridge or bond that it is a port of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<PeerNetns>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Attachment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerNetns {
    pub inode: Inode,
    pub is_host: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Who lives there, where it is not the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

/// `NETNSA_NSID_NOT_ASSIGNED`: the kernel gives no id to a namespace that is being dismantled.
const UNASSIGNED: i32 = -1;

/// All namespaces, ready to be looked up in.
pub struct Peers<'a> {
    namespaces: BTreeMap<Inode, &'a NetnsState>,
    links: BTreeMap<(Inode, u32), &'a Link>,
}

impl<'a> Peers<'a> {
    pub fn new(namespaces: &'a [NetnsState]) -> Self {
        let links = namespaces
            .iter()
            .flat_map(|state| state.links.iter().map(|link| ((state.netns.inode, link.ifindex), link)));
        Self { links: links.collect(), namespaces: namespaces.iter().map(|state| (state.netns.inode, state)).collect() }
    }

    /// The other end of `link`, which is in the namespace `inode`; None for a kind that has no other end
    /// (a pair), nor a lower device in another namespace (macvlan, ipvlan, vlan).
    pub fn of(&self, inode: Inode, link: &Link) -> Option<Peer> {
        if !link.is_paired() && link.link_netnsid.is_none() {
            return None;
        }
        let Some(elsewhere) = self.netns_of(inode, link) else {
            return Some(absent(Verdict::None, self.why_unknown(link.link_netnsid.unwrap_or(UNASSIGNED))));
        };
        let ifindex = link.far_ifindex();
        if elsewhere == inode && ifindex == link.ifindex {
            return Some(absent(Verdict::None, "the kernel names no other end: it is going away".to_owned()));
        }
        Some(self.at(inode, link, elsewhere, ifindex))
    }

    /// The device in the same namespace that `link` lies on (macvlan, ipvlan, vlan, …), which [`Peers::of`] leaves out as it
    /// leads nowhere else.
    pub fn beneath(&self, inode: Inode, link: &Link) -> Option<Peer> {
        let is_beneath = |lower: &u32| *lower != 0 && *lower != link.ifindex;
        let here = !link.is_paired() && link.link_netnsid.is_none();
        let lower = link.link.filter(is_beneath).filter(|_| here)?;
        Some(self.at(inode, link, inode, lower))
    }

    fn at(&self, inode: Inode, link: &Link, elsewhere: Inode, ifindex: u32) -> Peer {
        let netns = self.describe(elsewhere);
        let Some(other) = self.links.get(&(elsewhere, ifindex)).copied() else {
            let read = self.namespaces.get(&elsewhere).is_some_and(|state| state.unread().is_none());
            let (verdict, why) = if read {
                (Verdict::None, format!("no interface {ifindex} in that namespace"))
            } else {
                (Verdict::OneSided, "that namespace could not be read".to_owned())
            };
            return Peer { ifindex: Some(ifindex), netns: Some(netns), ..absent(verdict, why) };
        };
        let (verdict, why) = self.prove(inode, link, elsewhere, other);
        let master = other.master.and_then(|master| self.links.get(&(elsewhere, master)));
        Peer {
            verdict,
            why,
            ifindex: Some(ifindex),
            name: Some(other.name.clone()),
            mac: other.mac,
            mtu: Some(other.mtu),
            state: Some(other.state),
            master: master.map(|master| master.name.clone()),
            netns: Some(netns),
            programs: other.programs.clone(),
            statistics: other.statistics,
        }
    }

    /// The namespace that the link's `IFLA_LINK_NETNSID` names; its own where there is none.
    fn netns_of(&self, inode: Inode, link: &Link) -> Option<Inode> {
        let Some(nsid) = link.link_netnsid else { return Some(inode) };
        self.namespaces.get(&inode)?.netns_of_id(nsid)
    }

    fn why_unknown(&self, nsid: i32) -> String {
        if nsid == UNASSIGNED {
            return "the other end's namespace is going away".to_owned();
        }
        match self.namespaces.values().filter(|state| state.unread().is_some()).count() {
            0 => format!("netnsid {nsid} names a namespace of which nothing was found on this node"),
            unread => format!("netnsid {nsid} names none of the namespaces that were read (not read: {unread})"),
        }
    }

    fn prove(&self, inode: Inode, link: &Link, elsewhere: Inode, other: &Link) -> (Verdict, Option<String>) {
        if !link.is_paired() {
            return (Verdict::OneSided, Some("a lower device does not point back".to_owned()));
        }
        if other.kind != link.kind {
            return (
                Verdict::None,
                Some(format!("interface {} there is a {}, not a {}", other.ifindex, other.kind, link.kind)),
            );
        }
        match self.netns_of(elsewhere, other) {
            Some(way_back) if way_back == inode && other.far_ifindex() == link.ifindex => (Verdict::Confirmed, None),
            Some(_) => (Verdict::None, Some(format!("{} there belongs to another pair", other.name))),
            None => (Verdict::OneSided, Some("its own netnsid could not be resolved".to_owned())),
        }
    }

    fn describe(&self, inode: Inode) -> PeerNetns {
        let state = self.namespaces.get(&inode);
        let netns = state.map(|state| &state.netns);
        let is_host = netns.is_some_and(|netns| netns.is_host);
        let holder =
            netns.filter(|_| !is_host).and_then(|netns| netns.holders.iter().find(|holder| holder.pid.is_some()));
        PeerNetns {
            inode,
            is_host,
            path: netns.and_then(|netns| netns.paths.first().cloned()),
            holder: holder
                .and_then(|holder| Some(format!("{} {}", holder.pid?, holder.process.clone().unwrap_or_default()))),
        }
    }
}

fn absent(verdict: Verdict, why: String) -> Peer {
    Peer {
        verdict,
        why: Some(why),
        ifindex: None,
        name: None,
        mac: None,
        mtu: None,
        state: None,
        master: None,
        netns: None,
        programs: Vec::new(),
        statistics: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::netns::{Netns, Nsid};

    fn veth(ifindex: u32, link: Option<u32>, netnsid: Option<i32>) -> Link {
        Link {
            ifindex,
            name: format!("v{ifindex}"),
            kind: "veth".into(),
            link,
            link_netnsid: netnsid,
            ..Link::default()
        }
    }

    fn netns(inode: Inode, links: Vec<Link>, nsids: &[(i32, Inode)]) -> NetnsState {
        let nsids = nsids.iter().map(|&(nsid, inode)| Nsid { nsid, inode }).collect();
        NetnsState {
            netns: Netns { inode, is_host: inode == 1, ..Netns::default() },
            links,
            nsids,
            ..NetnsState::default()
        }
    }

    fn verdict(namespaces: &[NetnsState], inode: Inode, at: usize) -> (Verdict, Option<Inode>) {
        let state = namespaces.iter().find(|state| state.netns.inode == inode).unwrap();
        let peer = Peers::new(namespaces).of(inode, &state.links[at]).unwrap();
        (peer.verdict, peer.netns.map(|netns| netns.inode))
    }

    #[test]
    fn equal_numbers_elsewhere_do_not_fool_it() {
        // 750 exists in the host too, but the pod's other end is in the third namespace.
        let namespaces = [
            netns(1, vec![veth(750, Some(3), Some(0))], &[(0, 99)]),
            netns(2, vec![veth(2, Some(750), Some(5))], &[(5, 3)]),
            netns(3, vec![veth(750, Some(2), Some(1))], &[(1, 2)]),
        ];
        assert_eq!(verdict(&namespaces, 2, 0), (Verdict::Confirmed, Some(3)));
        assert_eq!(verdict(&namespaces, 1, 0), (Verdict::OneSided, Some(99)));
    }

    #[test]
    fn same_ifindex_on_both_ends_with_and_without_the_attribute() {
        for link in [Some(42), None] {
            let namespaces = [
                netns(1, vec![veth(42, link, Some(0))], &[(0, 2)]),
                netns(2, vec![veth(42, link, Some(0))], &[(0, 1)]),
            ];
            assert_eq!(verdict(&namespaces, 2, 0), (Verdict::Confirmed, Some(1)));
        }
    }

    #[test]
    fn both_ends_in_one_namespace() {
        let namespaces = [netns(1, vec![veth(5, Some(6), None), veth(6, Some(5), None)], &[])];
        assert_eq!(verdict(&namespaces, 1, 0), (Verdict::Confirmed, Some(1)));
    }

    #[test]
    fn a_reused_ifindex_is_no_peer() {
        // cilium #23787: what has that number now belongs to another pair, or is no veth at all.
        let mut bridge = veth(750, None, None);
        bridge.kind = "bridge".into();
        for now in [veth(750, Some(9), Some(0)), bridge] {
            let namespaces = [netns(1, vec![now], &[(0, 2)]), netns(2, vec![veth(2, Some(750), Some(0))], &[(0, 1)])];
            assert_eq!(verdict(&namespaces, 2, 0).0, Verdict::None);
        }
    }

    #[test]
    fn nothing_is_its_own_peer() {
        // Between the removal of the two ends IFLA_LINK is 0, or missing, and there is no netnsid.
        for link in [Some(0), None] {
            let namespaces = [netns(1, vec![veth(5, link, None)], &[])];
            assert_eq!(verdict(&namespaces, 1, 0), (Verdict::None, None), "{link:?}");
        }
        let namespaces = [netns(1, vec![veth(5, Some(5), Some(-1))], &[])];
        assert_eq!(verdict(&namespaces, 1, 0), (Verdict::None, None));
    }

    #[test]
    fn what_a_device_lies_on_is_no_other_end() {
        let mut vlan = veth(7, Some(2), None);
        vlan.kind = "vlan".into();
        let mut parent = veth(2, None, None);
        parent.kind = "physical".into();
        let namespaces = [netns(1, vec![parent, vlan], &[])];
        let peers = Peers::new(&namespaces);
        let [parent, vlan] = &namespaces[0].links[..] else { panic!() };
        assert_eq!((peers.of(1, vlan), peers.of(1, parent), peers.beneath(1, parent)), (None, None, None));
        let lower = peers.beneath(1, vlan).unwrap();
        assert_eq!((lower.verdict, lower.name.as_deref(), lower.ifindex), (Verdict::OneSided, Some("v2"), Some(2)));
        // A tunnel that is bound to no device has a 0.
        assert_eq!(peers.beneath(1, &Link { link: Some(0), ..vlan.clone() }), None);
    }

    #[test]
    fn what_was_not_read_is_not_said_to_be_gone() {
        let alone = [netns(2, vec![veth(2, Some(750), Some(0))], &[])];
        let beside_unread = [alone[0].clone(), netns(1, vec![], &[])];
        for (namespaces, why) in [(&alone[..], "nothing was found on this node"), (&beside_unread, "not read: 1")] {
            let peer = Peers::new(namespaces).of(2, &alone[0].links[0]).unwrap();
            assert!(peer.why.as_ref().is_some_and(|said| said.contains(why)), "{peer:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_one_sided() {
        let namespaces = [netns(1, vec![], &[]), netns(2, vec![veth(2, Some(750), Some(0))], &[(0, 1)])];
        assert_eq!(verdict(&namespaces, 2, 0), (Verdict::OneSided, Some(1)));
    }
}
