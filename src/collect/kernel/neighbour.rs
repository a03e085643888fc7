//! Neighbours, ARP and NDP: `RTM_GETNEIGH`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::Netlink;
use super::problem;
use crate::model::mac::Mac;
use crate::model::neighbour::Neighbour;

/// The neighbours of the socket's netns, without what needs no resolving (multicast, loopback: `NUD_NOARP`).
pub fn read(netlink: &mut Netlink, problems: &mut Vec<String>, names: &BTreeMap<u32, String>) -> Vec<Neighbour> {
    let mut neighbours = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut question = NeighbourMessage::default();
        question.header.family = family;
        let messages = problem::dump(netlink, problems, "neighbours", RouteNetlinkMessage::GetNeighbour(question));
        neighbours.extend(messages.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewNeighbour(neighbour) if neighbour.header.state != NeighbourState::Noarp => {
                convert(&neighbour, names)
            }
            _ => None,
        }));
    }
    neighbours
}

fn convert(message: &NeighbourMessage, names: &BTreeMap<u32, String>) -> Option<Neighbour> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(IpAddr::V4(*ip)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(IpAddr::V6(*ip)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac),
            _ => {}
        }
    }
    Some(Neighbour {
        address: address?,
        mac,
        state: message.header.state.to_string(),
        ifindex: message.header.ifindex,
        interface: names.get(&message.header.ifindex).cloned(),
        flags: flag_names(message.header.flags),
    })
}

fn flag_names(flags: NeighbourFlags) -> Vec<String> {
    const NAMES: [(NeighbourFlags, &str); 5] = [
        (NeighbourFlags::Router, "router"),
        (NeighbourFlags::Proxy, "proxy"),
        (NeighbourFlags::ExtLearned, "extern_learn"),
        (NeighbourFlags::Offloaded, "offload"),
        (NeighbourFlags::Sticky, "sticky"),
    ];
    NAMES.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| (*name).to_owned()).collect()
}
