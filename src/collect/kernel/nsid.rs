//! Which namespace a netnsid means: `RTM_GETNSID`.
//!
//! An id is private to the namespace that uses it. The kernel answers for an open descriptor, so each
//! candidate is asked for; asking never allots an id (`rtnl_net_getid`).

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use super::bytes::{attributes, u32_at};
use super::netlink::Netlink;
use super::problem;
use crate::model::netns::Nsid;
use crate::netns::Handle;

/// Size of `struct rtgenmsg`, with what fills it up (`NLMSG_ALIGN`).
const HEADER: usize = 4;
/// `NETNSA_NSID` (linux/net_namespace.h).
const ID: u16 = 1;

/// What `wanted` ids mean, as far as `candidates` explain them; stops as soon as all are explained, so the likeliest
/// candidate stands first.
pub fn read<'a>(
    netlink: &mut Netlink,
    mut wanted: Vec<i32>,
    candidates: impl IntoIterator<Item = &'a Handle>,
) -> Vec<Nsid> {
    wanted.sort_unstable();
    wanted.dedup();
    let mut found = Vec::new();
    for handle in candidates {
        if wanted.is_empty() {
            break;
        }
        if let Some(nsid) = nsid_of(netlink, handle)
            && let Ok(at) = wanted.binary_search(&nsid)
        {
            wanted.remove(at);
            found.push(Nsid { nsid, inode: handle.inode() });
        }
    }
    found
}

/// The ids of this namespace's whole table that no candidate explains; those of pairs are known from their links.
pub fn unexplained(
    netlink: &mut Netlink,
    problems: &mut Vec<String>,
    known: &[Nsid],
    candidates: &[&Handle],
) -> Vec<i32> {
    let dump = netlink.dump_with(RouteNetlinkMessage::GetNsId(NsidMessage::default()), |frame| id(frame.payload));
    let mut rest: BTreeSet<i32> = problem::told(problems, "nsids", dump).into_iter().filter(|id| *id >= 0).collect();
    rest.retain(|id| !known.iter().any(|known| known.nsid == *id));
    for handle in candidates {
        if rest.is_empty() {
            break;
        }
        if let Some(id) = nsid_of(netlink, handle) {
            rest.remove(&id);
        }
    }
    rest.into_iter().collect()
}

/// The id of another namespace, where the socket's own has one for it.
pub fn nsid_of(netlink: &mut Netlink, handle: &Handle) -> Option<i32> {
    let mut question = NsidMessage::default();
    question.attributes.push(NsidAttribute::Fd(handle.as_fd().as_raw_fd() as u32));
    netlink.request_with(RouteNetlinkMessage::GetNsId(question), |frame| id(frame.payload)).ok().filter(|id| *id >= 0)
}

/// The id in an answer; `NETNSA_NSID_NOT_ASSIGNED` is -1.
fn id(payload: &[u8]) -> Option<i32> {
    let (_, value) = attributes(payload.get(HEADER..)?).find(|(kind, _)| *kind == ID)?;
    u32_at(value, 0).map(u32::cast_signed)
}
