//! Nexthop objects: `RTM_GETNEXTHOP` (linux/nexthop.h), which netlink-packet-route does not know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};

use super::bytes::{attributes, u32_at};
use super::netlink::Netlink;
use super::problem;
use crate::model::route::{NextHop, Nexthop};

const RTM_GETNEXTHOP: u16 = 106;
/// `struct nhmsg`: family, scope, protocol, reserved, flags.
const HEADER: usize = 8;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
/// `struct nexthop_grp`: id u32, weight less one u8, its high byte u8, reserved u16.
const GROUP_ENTRY: usize = 8;

/// Every nexthop object of the socket's netns.
pub fn read(netlink: &mut Netlink, problems: &mut Vec<String>, names: &BTreeMap<u32, String>) -> Vec<Nexthop> {
    let messages = problem::dump(netlink, problems, "nexthop objects", Message::Question);
    let mut nexthops: Vec<Nexthop> = messages
        .into_iter()
        .filter_map(|message| match message {
            Message::Answer(nexthop) => Some(nexthop),
            Message::Question => None,
        })
        .collect();
    for nexthop in &mut nexthops {
        nexthop.hop.interface = nexthop.hop.ifindex.and_then(|ifindex| names.get(&ifindex).cloned());
    }
    nexthops
}

#[derive(Clone, Debug)]
enum Message {
    Question,
    Answer(Nexthop),
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        RTM_GETNEXTHOP
    }

    fn buffer_len(&self) -> usize {
        HEADER
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a nexthop object without an id")]
struct NoId;

impl NetlinkDeserializable for Message {
    type Error = NoId;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, NoId> {
        parse(payload).map(Message::Answer).ok_or(NoId)
    }
}

fn parse(payload: &[u8]) -> Option<Nexthop> {
    let (mut id, mut hop, mut blackhole, mut group) = (None, NextHop::default(), false, Vec::new());
    for (kind, value) in attributes(payload.get(HEADER..)?) {
        match kind {
            NHA_ID => id = u32_at(value, 0),
            NHA_BLACKHOLE => blackhole = true,
            NHA_OIF => hop.ifindex = u32_at(value, 0),
            NHA_GATEWAY => hop.gateway = address(value),
            NHA_GROUP => group = value.chunks_exact(GROUP_ENTRY).filter_map(member).collect(),
            _ => {}
        }
    }
    Some(Nexthop { id: id?, hop, blackhole, group })
}

fn member(entry: &[u8]) -> Option<(u32, u16)> {
    Some((u32_at(entry, 0)?, u16::from_le_bytes([*entry.get(4)?, *entry.get(5)?]).saturating_add(1)))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }

    #[test]
    fn reads_a_group() {
        let mut payload = vec![0; HEADER];
        payload.extend([8, 0, 1, 0, 7, 0, 0, 0]);
        payload.extend([20, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0]);
        let nexthop = parse(&payload).unwrap();
        assert_eq!((nexthop.id, nexthop.group), (7, vec![(1, 1), (2, 5)]));
    }
}
