//! The addresses of many namespaces, asked of the host's by the ids that it has for them (`IFA_TARGET_NETNSID`, since
//! Linux 4.20): to enter each takes longer, and its links would be told under a lock that all wait for (rtnl).

use std::sync::{Mutex, MutexGuard, PoisonError};

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::address;
use super::explain::Looked;
use super::netlink::Netlink;
use super::nsid::nsid_of;
use super::read::{Visit, Want, read, tables_over};
use crate::collect::ask_each::most_at_once;
use crate::model::address::{Address, Family};
use crate::model::netns::{Netns, NetnsState, Nsid};
use crate::netns::{self, Handle};

/// What the host's namespace tells of another one.
#[derive(Debug)]
pub struct Told {
    pub nsid: Nsid,
    pub addresses: Vec<Address>,
}

/// Sockets in the host's namespace, for as many as may ask at once.
pub struct Outside(Mutex<Vec<Netlink>>);

impl Outside {
    /// Opened on a thread that goes there, where podnet is elsewhere.
    pub fn of(host: &Handle) -> Self {
        let open = || Netlink::open(netlink_sys::protocols::NETLINK_ROUTE).ok();
        let opened = netns::visit(&[host], |_, _| (0..most_at_once()).filter_map(|_| open()).collect());
        Self(Mutex::new(opened.into_iter().flatten().flat_map(|sockets: Vec<Netlink>| sockets).collect()))
    }

    /// The host's own links and addresses.
    pub fn host(&self, host: &Handle) -> NetnsState {
        let netns = Netns { inode: host.inode(), is_host: true, ..Netns::default() };
        let visit = Visit { netns, handle: host, want: Want::default(), known: Vec::new() };
        let Some(socket) = self.idle().pop() else {
            return read(&[visit], &[]).pop().unwrap_or_default(); // which says why there is none
        };
        let Looked { state, netlink } = tables_over(socket, &visit, None);
        self.idle().extend(netlink);
        state
    }

    /// Nothing where the host has no id for it, as they have no link in common, or does not know the question.
    pub fn ask(&self, other: &Handle) -> Option<Told> {
        let mut netlink = self.idle().pop()?;
        let told = tell_of(&mut netlink, other);
        self.idle().push(netlink);
        told
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Netlink>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell_of(netlink: &mut Netlink, other: &Handle) -> Option<Told> {
    let nsid = nsid_of(netlink, other)?;
    // Each family alone needs no rtnl (since Linux 6.9); of both at once the kernel tells under it.
    let mut addresses = addresses_in(netlink, nsid, Family::Ipv4)?;
    addresses.extend(addresses_in(netlink, nsid, Family::Ipv6)?);
    // As inside, those of one link together.
    addresses.sort_by_key(|(ifindex, _)| *ifindex);
    let addresses = addresses.into_iter().map(|(_, address)| address).collect();
    Some(Told { nsid: Nsid { nsid, inode: other.inode() }, addresses })
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
