//! Addresses: `RTM_GETADDR`.
//!
//! Decoded here and not by the message library, as links are: a node has a thousand, and `list` waits for them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use nix::libc;

use super::bytes::{attributes, text, u32_at};
use super::netlink::Netlink;
use super::problem;
use crate::model::address::{Address, Family};
use crate::model::link::Link;

/// Size of `struct ifaddrmsg`.
const HEADER: usize = 8;
/// `IFA_TARGET_NETNSID`, which libc has not.
const TARGET_NETNSID: u16 = 10;
/// «For ever» among lifetimes (`INFINITY_LIFE_TIME`).
const FOR_EVER: u32 = u32::MAX;

/// Reads every address of the socket's netns and gives each to its link.
pub fn read_into(links: &mut [Link], netlink: &mut Netlink, problems: &mut Vec<String>) {
    let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let dump = netlink.dump_with(question, |frame| decode(frame.payload));
    for Told { ifindex, address, .. } in problem::told(problems, "addresses", dump) {
        if let Some(link) = links.iter_mut().find(|link| link.ifindex == ifindex) {
            link.addresses.push(address);
        }
    }
}

/// An address as the kernel tells it.
pub struct Told {
    /// Of its link.
    pub ifindex: u32,
    pub address: Address,
    /// Of its netns, where another one was asked.
    pub nsid: Option<i32>,
}

pub fn decode(payload: &[u8]) -> Option<Told> {
    // struct ifaddrmsg: family (1), prefix length (1), flags (1), scope (1), index (4)
    let &[_, prefix_length, flags, scope, ..] = payload else { return None };
    let ifindex = u32_at(payload, 4)?;
    let mut flags = u32::from(flags);
    let (mut own, mut far, mut broadcast, mut label) = (None, None, None, None);
    let (mut valid_seconds, mut preferred_seconds, mut nsid) = (None, None, None);
    for (kind, value) in attributes(payload.get(HEADER..)?) {
        match kind {
            libc::IFA_LOCAL => own = Some(ip(value)?),
            libc::IFA_ADDRESS => far = Some(ip(value)?),
            libc::IFA_BROADCAST => broadcast = Some(ip(value)?),
            libc::IFA_LABEL => label = Some(text(value)),
            TARGET_NETNSID => nsid = Some(u32_at(value, 0)?.cast_signed()),
            libc::IFA_FLAGS => flags = u32_at(value, 0)?,
            // struct ifa_cacheinfo: preferred (4), valid (4), …
            libc::IFA_CACHEINFO => {
                let limited = |seconds: u32| Some(seconds).filter(|seconds| *seconds != FOR_EVER);
                preferred_seconds = limited(u32_at(value, 0)?);
                valid_seconds = limited(u32_at(value, 4)?);
            }
            _ => {}
        }
    }
    let own = own.or(far)?;
    let address = Address {
        address: own,
        prefix_length,
        family: Family::of(&own),
        scope: scope_name(scope),
        peer: far.filter(|far| *far != own),
        broadcast,
        label,
        flags: flag_names(flags, own.is_ipv6()),
        valid_seconds,
        preferred_seconds,
    };
    Some(Told { ifindex, address, nsid })
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        _ => <[u8; 16]>::try_from(value).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
    }
}

/// `RT_SCOPE_*` in the words of `ip addr`.
fn scope_name(scope: u8) -> String {
    match scope {
        libc::RT_SCOPE_UNIVERSE => "global".to_owned(),
        libc::RT_SCOPE_SITE => "site".to_owned(),
        libc::RT_SCOPE_LINK => "link".to_owned(),
        libc::RT_SCOPE_HOST => "host".to_owned(),
        libc::RT_SCOPE_NOWHERE => "nowhere".to_owned(),
        number => number.to_string(),
    }
}

/// The first bit is `IFA_F_SECONDARY`, or for IPv6 `IFA_F_TEMPORARY` (RFC 8981).
fn flag_names(flags: u32, is_ipv6: bool) -> Vec<Cow<'static, str>> {
    let names: [(u32, &str); 12] = [
        (libc::IFA_F_SECONDARY, if is_ipv6 { "temporary" } else { "secondary" }),
        (libc::IFA_F_NODAD, "nodad"),
        (libc::IFA_F_OPTIMISTIC, "optimistic"),
        (libc::IFA_F_DADFAILED, "dadfailed"),
        (libc::IFA_F_HOMEADDRESS, "home"),
        (libc::IFA_F_DEPRECATED, "deprecated"),
        (libc::IFA_F_TENTATIVE, "tentative"),
        (libc::IFA_F_PERMANENT, "permanent"),
        (libc::IFA_F_MANAGETEMPADDR, "mngtmpaddr"),
        (libc::IFA_F_NOPREFIXROUTE, "noprefixroute"),
        (libc::IFA_F_MCAUTOJOIN, "autojoin"),
        (libc::IFA_F_STABLE_PRIVACY, "stable-privacy"),
    ];
    names.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| Cow::Borrowed(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            decode(&bytes);
        }
    }
}
