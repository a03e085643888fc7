//! Addresses of links.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use nix::libc::{self, EEXIST};
use rtnetlink::AddressMessageBuilder;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{refused, unless};
use crate::collect::kernel::netlink::Netlink;
use crate::flow::error::Error;

/// Adds a single address (/32 or /128) to a link; IPv6 without duplicate address detection, as the address store
/// knows that nobody else has it.
pub fn add(netlink: &mut Netlink, ifindex: u32, address: IpAddr) -> Result<bool, Error> {
    execute(netlink, message(ifindex, address), address)
}

/// Adds the gateway's address to the host's end of a pair. Its scope keeps the host from using it as its own
/// address towards anyone but that pod.
pub fn add_gateway(netlink: &mut Netlink, ifindex: u32, address: IpAddr) -> Result<bool, Error> {
    let mut message = message(ifindex, address);
    if address.is_ipv4() {
        message.header.scope = AddressScope::Link;
    }
    execute(netlink, message, address)
}

/// Deletes a single address from a link; `false` when it was gone already.
pub fn delete(netlink: &mut Netlink, ifindex: u32, address: IpAddr) -> Result<bool, Error> {
    match netlink.execute(RouteNetlinkMessage::DelAddress(message(ifindex, address)), 0) {
        Err(error) if matches!(error.errno(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(false),
        result => result.map(|()| true).map_err(refused(format!("delete the address {address}"))),
    }
}

/// The addresses of a link.
pub fn of(netlink: &mut Netlink, ifindex: u32) -> Result<Vec<IpAddr>, Error> {
    let mut question = AddressMessage::default();
    question.header.index = ifindex;
    let dump = netlink.dump(RouteNetlinkMessage::GetAddress(question));
    let dump = dump.map_err(refused(format!("read the addresses of interface {ifindex}")))?;
    let address = |message: RouteNetlinkMessage| match message {
        RouteNetlinkMessage::NewAddress(message) if message.header.index == ifindex => {
            let find = |local| {
                message.attributes.iter().find_map(|attribute| match attribute {
                    AddressAttribute::Local(address) if local => Some(*address),
                    AddressAttribute::Address(address) if !local => Some(*address),
                    _ => None,
                })
            };
            find(true).or_else(|| find(false))
        }
        _ => None,
    };
    Ok(dump.messages.into_iter().filter_map(address).collect())
}

fn message(ifindex: u32, address: IpAddr) -> AddressMessage {
    match address {
        IpAddr::V4(address) => AddressMessageBuilder::<Ipv4Addr>::new().index(ifindex).address(address, 32).build(),
        IpAddr::V6(address) => {
            let mut message = AddressMessageBuilder::<Ipv6Addr>::new().index(ifindex).address(address, 128).build();
            message.header.flags = AddressHeaderFlags::Nodad;
            message
        }
    }
}

/// `false` when the link has it already.
fn execute(netlink: &mut Netlink, message: AddressMessage, address: IpAddr) -> Result<bool, Error> {
    let added = netlink.execute(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL);
    unless(EEXIST, added).map_err(refused(format!("add the address {address}")))
}
