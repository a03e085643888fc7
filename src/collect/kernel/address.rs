//! Addresses: `RTM_GETADDR`.

use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};

use super::netlink::Netlink;
use super::problem;
use crate::model::address::{Address, Family};
use crate::model::link::Link;

/// «For ever» among lifetimes (`INFINITY_LIFE_TIME`).
const FOR_EVER: u32 = u32::MAX;

/// Reads every address of the socket's netns and gives each to its link.
pub fn read_into(links: &mut [Link], netlink: &mut Netlink, problems: &mut Vec<String>) {
    let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    for message in problem::dump(netlink, problems, "addresses", question) {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        let owner = links.iter_mut().find(|link| link.ifindex == message.header.index);
        if let Some((link, address)) = owner.zip(convert(&message)) {
            link.addresses.push(address);
        }
    }
}

fn convert(message: &AddressMessage) -> Option<Address> {
    let (mut own, mut far, mut broadcast, mut label) = (None, None, None, None);
    let (mut valid_seconds, mut preferred_seconds) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => far = Some(*address),
            AddressAttribute::Broadcast(address) => broadcast = Some(IpAddr::V4(*address)),
            AddressAttribute::Label(text) => label = Some(text.clone()),
            AddressAttribute::Flags(all) => flags = *all,
            AddressAttribute::CacheInfo(life) => {
                valid_seconds = Some(life.ifa_valid).filter(|seconds| *seconds != FOR_EVER);
                preferred_seconds = Some(life.ifa_preferred).filter(|seconds| *seconds != FOR_EVER);
            }
            _ => {}
        }
    }
    let address = own.or(far)?;
    Some(Address {
        address,
        prefix_length: message.header.prefix_len,
        family: Family::of(&address),
        scope: scope(message.header.scope),
        peer: far.filter(|far| *far != address),
        broadcast,
        label,
        flags: flag_names(flags, address.is_ipv6()),
        valid_seconds,
        preferred_seconds,
    })
}

fn scope(scope: AddressScope) -> String {
    match scope {
        AddressScope::Universe => "global".to_owned(),
        AddressScope::Other(number) => number.to_string(),
        named => format!("{named:?}").to_lowercase(),
    }
}

/// The first bit is `IFA_F_SECONDARY`, or for IPv6 `IFA_F_TEMPORARY` (RFC 8981).
fn flag_names(flags: AddressFlags, is_ipv6: bool) -> Vec<String> {
    let names: [(AddressFlags, &str); 12] = [
        (AddressFlags::Secondary, if is_ipv6 { "temporary" } else { "secondary" }),
        (AddressFlags::Nodad, "nodad"),
        (AddressFlags::Optimistic, "optimistic"),
        (AddressFlags::Dadfailed, "dadfailed"),
        (AddressFlags::Homeaddress, "home"),
        (AddressFlags::Deprecated, "deprecated"),
        (AddressFlags::Tentative, "tentative"),
        (AddressFlags::Permanent, "permanent"),
        (AddressFlags::Managetempaddr, "mngtmpaddr"),
        (AddressFlags::Noprefixroute, "noprefixroute"),
        (AddressFlags::Mcautojoin, "autojoin"),
        (AddressFlags::StablePrivacy, "stable-privacy"),
    ];
    names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| (*name).to_owned()).collect()
}
