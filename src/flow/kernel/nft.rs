//! Messages of nf_tables (linux/netfilter/nf_tables.h), as far as one table with sets and rules needs them.

use netlink_packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NetlinkSerializable};

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN` and `_END`.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// `NFPROTO_INET`: IPv4 and IPv6.
pub const INET: u8 = 1;
const REGISTER_1: u32 = 1;

/// `NFT_MSG_*`.
#[derive(Clone, Copy)]
#[repr(u16)]
pub enum Kind {
    NewTable = 0,
    GetTable = 1,
    DeleteTable = 2,
    NewChain = 3,
    NewRule = 6,
    NewSet = 9,
    NewElement = 12,
    GetElement = 13,
    DeleteElement = 14,
}

/// A message to nfnetlink: `struct nfgenmsg` and attributes.
#[derive(Clone)]
pub struct Message {
    kind: u16,
    payload: Vec<u8>,
}

impl Message {
    pub fn new(kind: Kind, attributes: Vec<u8>) -> Self {
        Self { kind: SUBSYSTEM << 8 | kind as u16, payload: [vec![INET, 0, 0, 0], attributes].concat() }
    }

    /// The marks between which changes are made all at once or not at all.
    fn mark(kind: u16) -> Self {
        let [high, low] = SUBSYSTEM.to_be_bytes();
        Self { kind, payload: vec![0, 0, high, low] }
    }
}

/// As one transaction, rules in their order.
pub fn transaction(messages: Vec<Message>) -> Vec<(Message, u16)> {
    let inner = messages.into_iter().map(|message| (message, NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND));
    let begin = std::iter::once((Message::mark(BATCH_BEGIN), 0));
    begin.chain(inner).chain([(Message::mark(BATCH_END), 0)]).collect()
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.payload.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.payload);
    }
}

/// `struct nlattr` and its value, padded to four bytes.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len().saturating_add(4)).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub fn nested(kind: u16, values: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &values.concat())
}

pub fn text(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), &[0]].concat())
}

pub fn number(kind: u16, number: u32) -> Vec<u8> {
    attribute(kind, &number.to_be_bytes())
}

/// `NFTA_LIST_ELEM`.
pub fn element(values: &[Vec<u8>]) -> Vec<u8> {
    nested(1, values)
}

/// `NFTA_EXPR_NAME` and `_DATA`.
fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    element(&[text(1, name), nested(2, data)])
}

/// Loads a `NFT_META_*`.
pub fn meta(key: u32) -> Vec<u8> {
    expression("meta", &[number(1, REGISTER_1), number(2, key)])
}

/// Goes on when what was loaded begins with `value`, or when it does not.
pub fn compare(equal: bool, value: &[u8]) -> Vec<u8> {
    let operator = u32::from(!equal); // NFT_CMP_EQ, NFT_CMP_NEQ
    expression("cmp", &[number(1, REGISTER_1), number(2, operator), nested(3, &[attribute(1, value)])])
}

/// Loads bytes of the network header (`NFT_PAYLOAD_NETWORK_HEADER`).
pub fn network_header(offset: u32, length: u32) -> Vec<u8> {
    expression("payload", &[number(1, REGISTER_1), number(2, 1), number(3, offset), number(4, length)])
}

/// Goes on when what was loaded is in a set that the same transaction makes.
pub fn lookup(set: &str, id: u32) -> Vec<u8> {
    expression("lookup", &[text(1, set), number(2, REGISTER_1), number(4, id)])
}

pub fn masquerade() -> Vec<u8> {
    expression("masq", &[])
}
