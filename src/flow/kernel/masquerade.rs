//! The table `inet podnet` of nf_tables: pods whose addresses mean nothing outside of the node leave it under the
//! node's own address.
//!
//! ```text
//! table inet podnet {
//!     set masquerade4 { type ipv4_addr; elements = { 10.42.0.2 comment "3f2a91c04d5e@eth0" } }
//!     set masquerade6 { type ipv6_addr; }
//!     chain postrouting {
//!         type nat hook postrouting priority srcnat; policy accept;
//!         meta nfproto ipv4 ip saddr @masquerade4 oifname != "lxc*" masquerade
//!         meta nfproto ipv6 ip6 saddr @masquerade6 oifname != "lxc*" masquerade
//!     }
//! }
//! ```
//!
//! The table is made with the first pod and goes with the last. `nat` of the family inet exists since Linux 5.2.

use std::net::IpAddr;
use std::path::Path;

use nix::libc::{EEXIST, ENOENT};

use super::nft::{self, Kind, Message, attribute, element, nested, number, text};
use super::{refused, unless};
use crate::collect::kernel::bytes;
use crate::collect::kernel::netlink::Netlink;
use crate::flow::error::Error;
use crate::flow::names::HOST_PREFIX;
use crate::ipam::lock::Lock;
use crate::model::address::Family;

pub const TABLE: &str = "podnet";
const CHAIN: &str = "postrouting";
/// `NF_INET_POST_ROUTING`, `NF_IP_PRI_NAT_SRC`, `NF_ACCEPT`.
const HOOK: u32 = 4;
const PRIORITY: u32 = 100;
const ACCEPT: u32 = 1;
/// `NFT_META_OIFNAME` and `NFT_META_NFPROTO`.
const OUTPUT_NAME: u32 = 7;
const PROTOCOL: u32 = 15;
/// `NFTNL_UDATA_SET_ELEM_COMMENT` of libnftnl, which `nft` reads comments from.
const COMMENT: u8 = 0;

/// An address that is masqueraded, and whose it is: `CONTAINER@IFNAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub address: IpAddr,
    pub owner: String,
}

struct Set {
    name: &'static str,
    id: u32,
    /// nft's number for the type of the keys, and their length.
    key: (u32, u32),
    /// `NFPROTO_IPV4` or `_IPV6`, and where the source stands in the header.
    protocol: u8,
    source: u32,
}

const SETS: [Set; 2] = [
    Set { name: "masquerade4", id: 1, key: (7, 4), protocol: 2, source: 12 },
    Set { name: "masquerade6", id: 2, key: (8, 16), protocol: 10, source: 8 },
];

fn set_of(address: IpAddr) -> &'static Set {
    let [ipv4, ipv6] = &SETS;
    if address.is_ipv4() { ipv4 } else { ipv6 }
}

/// The table of the calling thread's netns, which nobody else changes meanwhile.
pub struct Masquerade {
    netlink: Netlink,
    _lock: Lock,
}

impl Masquerade {
    /// `run` is the directory of the lock.
    pub fn open(run: &Path) -> Result<Self, Error> {
        let lock = Lock::take(&run.join("masquerade"))?;
        Ok(Self { netlink: netlink()?, _lock: lock })
    }

    /// Adds addresses, and the table with the first of them.
    pub fn add(&mut self, elements: &[Element]) -> Result<(), Error> {
        self.add_table()?;
        let messages = elements.iter().map(|each| change(Kind::NewElement, each)).collect();
        self.netlink.execute_batch(nft::transaction(messages)).map_err(refused("masquerade the pod's addresses"))
    }

    fn add_table(&mut self) -> Result<(), Error> {
        if has_table(&mut self.netlink)? {
            return Ok(());
        }
        let mut messages = vec![Message::new(Kind::NewTable, text(1, TABLE)), Message::new(Kind::NewChain, chain())];
        messages.extend(SETS.iter().map(|set| Message::new(Kind::NewSet, declaration(set))));
        messages.extend(SETS.iter().map(|set| Message::new(Kind::NewRule, rule(set))));
        let made = self.netlink.execute_batch(nft::transaction(messages));
        let what = "make the nf_tables table inet podnet, that masquerades pods (--no-masq does without)";
        unless(EEXIST, made).map(drop).map_err(refused(what))
    }

    /// Removes addresses, as far as they are there, and the table with the last of them. Gives what was removed.
    pub fn remove(&mut self, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, Error> {
        let all = elements(&mut self.netlink)?;
        let found: Vec<_> = all.iter().filter(|each| addresses.contains(&each.address)).collect();
        let messages = if found.len() == all.len() && has_table(&mut self.netlink)? {
            vec![Message::new(Kind::DeleteTable, text(1, TABLE))]
        } else {
            found.iter().map(|each| change(Kind::DeleteElement, each)).collect()
        };
        if !messages.is_empty() {
            let removed = self.netlink.execute_batch(nft::transaction(messages));
            removed.map_err(refused("stop to masquerade the pod's addresses"))?;
        }
        Ok(found.into_iter().map(|each| each.address).collect())
    }
}

/// The addresses that are masqueraded in the calling thread's netns.
pub fn list() -> Result<Vec<Element>, Error> {
    elements(&mut netlink()?)
}

fn netlink() -> Result<Netlink, Error> {
    Netlink::open(netlink_sys::protocols::NETLINK_NETFILTER).map_err(refused("open a netlink socket of netfilter"))
}

fn has_table(netlink: &mut Netlink) -> Result<bool, Error> {
    let found = netlink.execute(Message::new(Kind::GetTable, text(1, TABLE)), 0);
    unless(ENOENT, found).map_err(refused("look for the nf_tables table inet podnet"))
}

fn elements(netlink: &mut Netlink) -> Result<Vec<Element>, Error> {
    let mut found = Vec::new();
    for set in &SETS {
        let question = Message::new(Kind::GetElement, [text(1, TABLE), text(2, set.name)].concat());
        match netlink.dump_with(question, |frame| Some(decode(frame.payload))) {
            Ok(dump) => found.extend(dump.messages.into_iter().flatten()),
            Err(error) if error.errno() == Some(ENOENT) => {}
            Err(source) => return Err(refused("read the nf_tables table inet podnet")(source)),
        }
    }
    Ok(found)
}

/// `NFTA_CHAIN_TABLE`, `_NAME`, `_HOOK`, `_POLICY`, `_TYPE`.
fn chain() -> Vec<u8> {
    let hook = nested(4, &[number(1, HOOK), number(2, PRIORITY)]);
    [text(1, TABLE), text(3, CHAIN), hook, number(5, ACCEPT), text(7, "nat")].concat()
}

/// `NFTA_SET_TABLE`, `_NAME`, `_FLAGS`, `_KEY_TYPE`, `_KEY_LEN`, `_ID`.
fn declaration(set: &Set) -> Vec<u8> {
    let (kind, length) = set.key;
    let key = [number(3, 0), number(4, kind), number(5, length), number(10, set.id)].concat();
    [text(1, TABLE), text(2, set.name), key].concat()
}

/// `NFTA_RULE_TABLE`, `_CHAIN`, `_EXPRESSIONS`.
fn rule(set: &Set) -> Vec<u8> {
    let expressions = [
        nft::meta(PROTOCOL),
        nft::compare(true, &[set.protocol]),
        nft::network_header(set.source, set.key.1),
        nft::lookup(set.name, set.id),
        nft::meta(OUTPUT_NAME),
        nft::compare(false, HOST_PREFIX.as_bytes()),
        nft::masquerade(),
    ];
    [text(1, TABLE), text(2, CHAIN), nested(4, &expressions)].concat()
}

/// `NFTA_SET_ELEM_LIST_TABLE`, `_SET`, `_ELEMENTS`, and in them `NFTA_SET_ELEM_KEY` and `_USERDATA`.
fn change(kind: Kind, each: &Element) -> Message {
    let key = match each.address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let comment: Vec<u8> = each.owner.bytes().take(127).chain([0]).collect();
    let userdata = [vec![COMMENT, u8::try_from(comment.len()).unwrap_or(u8::MAX)], comment].concat();
    let inner = element(&[nested(1, &[attribute(1, &key)]), attribute(6, &userdata)]);
    Message::new(kind, [text(1, TABLE), text(2, set_of(each.address).name), nested(3, &[inner])].concat())
}

fn decode(payload: &[u8]) -> Vec<Element> {
    let row = payload.get(4..).unwrap_or_default();
    let lists = bytes::attributes(row).filter(|(kind, _)| *kind == 3);
    let inner = lists.flat_map(|(_, list)| bytes::attributes(list)).filter(|(kind, _)| *kind == 1);
    inner.filter_map(|(_, element)| decode_element(element)).collect()
}

fn decode_element(element: &[u8]) -> Option<Element> {
    let find = |wanted: u16| bytes::attributes(element).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let (_, key) = bytes::attributes(find(1)?).find(|(kind, _)| *kind == 1)?;
    let address = match key.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(key).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(key).ok()?),
    };
    let owner = find(6).and_then(|userdata| userdata.get(2..)).map(bytes::text).unwrap_or_default();
    Some(Element { address, owner })
}

/// Whether an address is one that others on the way would not know: RFC 1918, RFC 6598, RFC 4193.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || matches!(address.octets(), [100, 64..=127, ..]),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// For people who read `nft list table inet podnet`.
pub fn family_set(family: Family) -> &'static str {
    let [ipv4, ipv6] = &SETS;
    match family {
        Family::Ipv4 => ipv4.name,
        Family::Ipv6 => ipv6.name,
    }
}
