//! The addresses of many namespaces, asked of the host's by the ids that it has for them (`IFA_TARGET_NETNSID`, since
//! Linux 4.20): to enter each takes longer, and its links would be told under a lock that all wait for (rtnl).

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::address;
use super::explain::Looked;
use super::netlink::Netlink;
use super::nsid::nsid_of;
use super::problem::chain;
use super::read::{Visit, look, unread};
use crate::model::address::{Address, Family};
use crate::model::netns::{NetnsState, Nsid};
use crate::netns::{self, Handle};

/// So many are asked of over one socket.
const A_SHARE: usize = 16;

/// What the host's namespace tells of another one.
#[derive(Debug)]
pub struct Told {
    pub nsid: Nsid,
    pub addresses: Vec<Address>,
}

enum Answer {
    Host(Box<Looked>),
    /// Of each of a share of the others.
    Others(Vec<Option<Told>>),
}

/// Reads the host's namespace, and what it tells of each other one: nothing where it has no id for it, as they have no
/// link in common, or does not know the question.
pub fn read(host: &Visit<'_>, others: &[&Handle]) -> (NetnsState, Vec<Option<Told>>) {
    let shares: Vec<&[&Handle]> = others.chunks(A_SHARE).collect();
    let inside: Vec<&Handle> = std::iter::repeat_n(host.handle, 1 + shares.len()).collect();
    let ask = |index: usize, _: &Handle| match index.checked_sub(1).and_then(|place| shares.get(place)) {
        None => Answer::Host(Box::new(look(host, None))),
        Some(share) => Answer::Others(tell_of(share)),
    };
    let mut state = None;
    let mut told = Vec::with_capacity(others.len());
    for (index, answer) in netns::visit(&inside, ask).into_iter().enumerate() {
        match answer {
            Ok(Answer::Host(looked)) => state = Some(looked.state),
            Ok(Answer::Others(some)) => told.extend(some),
            Err(error) if index == 0 => state = Some(unread(&host.netns, chain(&error)).state),
            Err(_) => {}
        }
    }
    let mut state = state.unwrap_or_default();
    state.nsids.extend(told.iter().flatten().map(|told| told.nsid));
    (state, told)
}

fn tell_of(share: &[&Handle]) -> Vec<Option<Told>> {
    let mut netlink = Netlink::open(netlink_sys::protocols::NETLINK_ROUTE).ok();
    let mut tell = |other: &Handle| {
        let netlink = netlink.as_mut()?;
        let nsid = nsid_of(netlink, other)?;
        // Each family alone needs no rtnl (since Linux 6.9); of both at once the kernel tells under it.
        let mut addresses = addresses_in(netlink, nsid, Family::Ipv4)?;
        addresses.extend(addresses_in(netlink, nsid, Family::Ipv6)?);
        // As inside, those of one link together.
        addresses.sort_by_key(|(ifindex, _)| *ifindex);
        let addresses = addresses.into_iter().map(|(_, address)| address).collect();
        Some(Told { nsid: Nsid { nsid, inode: other.inode() }, addresses })
    };
    share.iter().map(|other| tell(other)).collect()
}

/// Each with the ifindex of its link. A kernel that does not know the question tells of its own netns, without the id; one without IPv6 tells of all families.
fn addresses_in(netlink: &mut Netlink, nsid: i32, family: Family) -> Option<Vec<(u32, Address)>> {
    let mut question = AddressMessage::default();
    question.header.family = match family {
        Family::Ipv4 => AddressFamily::Inet,
        Family::Ipv6 => AddressFamily::Inet6,
    };
    question.attributes.push(AddressAttribute::TargetNetNsId(nsid));
    let dump = netlink.dump_with(RouteNetlinkMessage::GetAddress(question), |frame| {
        address::decode(frame.payload).filter(|told| told.nsid == Some(nsid)).map(|told| (told.ifindex, told.address))
    });
    let dump = dump.ok().filter(|dump| dump.undecoded == 0)?;
    Some(dump.messages.into_iter().filter(|(_, address)| address.family == family).collect())
}
