//! Interfaces: `RTM_GETLINK`.
//!
//! Decoded here, attribute by attribute, and not by the message library: that gives up a whole link for one
//! attribute that it does not like, and whoever may name a link (root in a container) could hide it by a name or
//! an alias that is no UTF-8. It also saves decoding `IFLA_AF_SPEC`, the greatest part of each answer, where it is not wanted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use nix::libc;

use super::bytes::{attributes, text, u16_at, u32_at, u64_at};
use super::devconf::Devconf;
use super::link_parameters::parameters;
use super::netlink::Netlink;
use super::problem;
use crate::model::bpf::{Attachment, Hook};
use crate::model::link::{Link, Mac, Offload, OperationalState, Statistics};

/// Size of `struct ifinfomsg`.
const HEADER: usize = 16;
/// `IFLA_GSO_IPV4_MAX_SIZE`, `IFLA_GRO_IPV4_MAX_SIZE`; libc has them not for every target.
const GSO_IPV4_MAX_SIZE: u16 = 63;
const GRO_IPV4_MAX_SIZE: u16 = 64;
/// `IFLA_XDP_PROG_ID`, and the ids by mode: driver, generic, hardware (linux/if_link.h).
const XDP_PROGRAM: u16 = 4;
const XDP_PROGRAMS_BY_MODE: [u16; 3] = [5, 6, 7];

/// Every link of the socket's netns, without addresses. The kernel is asked to leave out the counters of IPv6
/// (`RTEXT_FILTER_SKIP_STATS`), which nobody here wants; the link's own come always, and are kept where wanted, and so are its settings.
pub fn read(
    netlink: &mut Netlink,
    problems: &mut Vec<String>,
    statistics: bool,
    settings: bool,
) -> Vec<(Link, Devconf)> {
    let mut question = LinkMessage::default();
    question.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let decode = |payload: &[u8]| {
        let (link, malformed) = decode(payload)?;
        let conf = if settings { devconf(payload) } else { Devconf::default() };
        Some((link, malformed, conf))
    };
    let dump = netlink.dump_with(RouteNetlinkMessage::GetLink(question), |frame| decode(frame.payload));
    let mut links = Vec::new();
    for (mut link, malformed, conf) in problem::told(problems, "links", dump) {
        if !malformed.is_empty() {
            problems.push(format!("interface {}: attributes {malformed:?} are not well formed", link.ifindex));
        }
        link.statistics = link.statistics.filter(|_| statistics);
        links.push((link, conf));
    }
    links
}

fn devconf(payload: &[u8]) -> Devconf {
    let row = payload.get(HEADER..).unwrap_or_default();
    let specification = attributes(row).find(|(kind, _)| *kind == libc::IFLA_AF_SPEC);
    specification.map(|(_, value)| Devconf::decode(value)).unwrap_or_default()
}

/// A link, and the types of those of its attributes that could not be decoded.
fn decode(payload: &[u8]) -> Option<(Link, Vec<u16>)> {
    // struct ifinfomsg: family (1), padding (1), type (2), index (4), flags (4), change (4)
    let is_loopback = u16_at(payload, 2)? == libc::ARPHRD_LOOPBACK;
    let mut link = Link {
        ifindex: u32_at(payload, 4)?,
        kind: if is_loopback { "loopback" } else { "physical" }.to_owned(),
        flags: flag_names(u32_at(payload, 8)?),
        ..Link::default()
    };
    let row = attributes(payload.get(HEADER..)?);
    let malformed = row.filter_map(|(kind, value)| take(&mut link, kind, value).is_none().then_some(kind)).collect();
    Some((link, malformed))
}

/// None when the attribute is too short for what it must hold.
fn take(link: &mut Link, attribute: u16, value: &[u8]) -> Option<()> {
    let number = || u32_at(value, 0);
    match attribute {
        libc::IFLA_IFNAME => link.name = text(value),
        libc::IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
        libc::IFLA_MTU => link.mtu = number()?,
        libc::IFLA_LINK => link.link = Some(number()?),
        libc::IFLA_LINK_NETNSID => link.link_netnsid = Some(number()?.cast_signed()),
        libc::IFLA_MASTER => link.master = Some(number()?),
        libc::IFLA_QDISC => link.qdisc = Some(text(value)),
        libc::IFLA_TXQLEN => link.tx_queue_length = Some(number()?),
        libc::IFLA_IFALIAS => link.alias = Some(text(value)),
        libc::IFLA_OPERSTATE => link.state = operational_state(*value.first()?),
        libc::IFLA_STATS64 => link.statistics = Some(counters(value)?),
        libc::IFLA_GSO_MAX_SIZE => offload(link).gso_max_size = Some(number()?),
        libc::IFLA_GRO_MAX_SIZE => offload(link).gro_max_size = Some(number()?),
        GSO_IPV4_MAX_SIZE => offload(link).gso_ipv4_max_size = Some(number()?),
        GRO_IPV4_MAX_SIZE => offload(link).gro_ipv4_max_size = Some(number()?),
        libc::IFLA_LINKINFO => take_info(link, value),
        libc::IFLA_XDP => link.programs.extend(xdp(value)),
        libc::IFLA_PROP_LIST => {
            let names = attributes(value).filter(|(kind, _)| *kind == libc::IFLA_ALT_IFNAME);
            link.alternative_names.extend(names.map(|(_, name)| text(name)));
        }
        _ => {}
    }
    Some(())
}

/// The kernel sends the kind before its data.
fn take_info(link: &mut Link, value: &[u8]) {
    for (kind, value) in attributes(value) {
        match kind {
            libc::IFLA_INFO_KIND => link.kind = text(value),
            libc::IFLA_INFO_DATA => link.parameters = parameters(&link.kind, value),
            _ => {}
        }
    }
}

fn offload(link: &mut Link) -> &mut Offload {
    link.offload.get_or_insert_with(Offload::default)
}

/// One program is named twice, by its mode and in general; several only by their modes.
fn xdp(value: &[u8]) -> Vec<Attachment> {
    let mut general = None;
    let mut by_mode = Vec::new();
    for (kind, id) in attributes(value).filter_map(|(kind, value)| Some((kind, u32_at(value, 0)?))) {
        let program = Attachment { hook: Hook::Xdp, name: None, id, tag: None, preference: None };
        match kind {
            XDP_PROGRAM => general = Some(program),
            _ if XDP_PROGRAMS_BY_MODE.contains(&kind) => by_mode.push(program),
            _ => {}
        }
    }
    general.map_or(by_mode, |only| vec![only]).into_iter().filter(|program| program.id != 0).collect()
}

/// The head of `struct rtnl_link_stats64`: packets, bytes, errors, dropped, each received then sent.
fn counters(value: &[u8]) -> Option<Statistics> {
    let at = |place: usize| u64_at(value, place * size_of::<u64>());
    Some(Statistics {
        rx_packets: at(0)?,
        tx_packets: at(1)?,
        rx_bytes: at(2)?,
        tx_bytes: at(3)?,
        rx_errors: at(4)?,
        tx_errors: at(5)?,
        rx_dropped: at(6)?,
        tx_dropped: at(7)?,
    })
}

fn operational_state(state: u8) -> OperationalState {
    match i32::from(state) {
        libc::IF_OPER_NOTPRESENT => OperationalState::NotPresent,
        libc::IF_OPER_DOWN => OperationalState::Down,
        libc::IF_OPER_LOWERLAYERDOWN => OperationalState::LowerLayerDown,
        libc::IF_OPER_TESTING => OperationalState::Testing,
        libc::IF_OPER_DORMANT => OperationalState::Dormant,
        libc::IF_OPER_UP => OperationalState::Up,
        _ => OperationalState::Unknown,
    }
}

/// `IFF_*` in the words and the order of `ip link`.
fn flag_names(flags: u32) -> Vec<Cow<'static, str>> {
    const NAMES: [(libc::c_int, &str); 18] = [
        (libc::IFF_LOOPBACK, "LOOPBACK"),
        (libc::IFF_BROADCAST, "BROADCAST"),
        (libc::IFF_POINTOPOINT, "POINTOPOINT"),
        (libc::IFF_MULTICAST, "MULTICAST"),
        (libc::IFF_NOARP, "NOARP"),
        (libc::IFF_ALLMULTI, "ALLMULTI"),
        (libc::IFF_PROMISC, "PROMISC"),
        (libc::IFF_MASTER, "MASTER"),
        (libc::IFF_SLAVE, "SLAVE"),
        (libc::IFF_DEBUG, "DEBUG"),
        (libc::IFF_DYNAMIC, "DYNAMIC"),
        (libc::IFF_AUTOMEDIA, "AUTOMEDIA"),
        (libc::IFF_PORTSEL, "PORTSEL"),
        (libc::IFF_NOTRAILERS, "NOTRAILERS"),
        (libc::IFF_UP, "UP"),
        (libc::IFF_LOWER_UP, "LOWER_UP"),
        (libc::IFF_DORMANT, "DORMANT"),
        (libc::IFF_ECHO, "ECHO"),
    ];
    let is_set = |flag: libc::c_int| flags & flag.cast_unsigned() != 0;
    let no_carrier = (is_set(libc::IFF_UP) && !is_set(libc::IFF_RUNNING)).then_some("NO-CARRIER");
    let set = NAMES.iter().filter(|(flag, _)| is_set(*flag)).map(|(_, name)| *name);
    no_carrier.into_iter().chain(set).map(Cow::Borrowed).collect()
}

/// ifindex → name, for tables that name interfaces by number.
pub fn names(links: &[Link]) -> BTreeMap<u32, String> {
    links.iter().map(|link| (link.ifindex, link.name.clone())).collect()
}
