//! Links: the pair, and its ends.

use std::os::fd::RawFd;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoNetkit, InfoVeth, LinkAttribute, LinkFlags, LinkMessage, NetkitMode, NetkitPolicy,
    NetkitScrub,
};
use nix::libc;
use rtnetlink::{LinkMessageBuilder, LinkNetkit, LinkUnspec, LinkVeth};

use super::refused;
use crate::collect::kernel::netlink::{self, Netlink};
use crate::flow::error::Error;
use crate::model::link::Offload;
use crate::model::mac::Mac;

/// Of the host's end, as Cilium sets it: the queue that a shaper needs.
const HOST_QUEUE: u32 = 1000;

/// A pair to be made.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    pub host: (&'a str, Option<Mac>),
    pub pod: (&'a str, Option<Mac>),
    pub mtu: u32,
    pub device: Device,
    /// An open descriptor of the pod's netns.
    pub netns: RawFd,
}

/// Of which kind its ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Veth,
    /// Linux 6.7; its pod's end lets nothing pass before a program says so.
    Netkit {
        mode: NetkitMode,
        headroom: Option<u16>,
        tailroom: Option<u16>,
    },
}

/// Makes the pair with the pod's end born inside its netns. It saves the move between namespaces, for which the
/// kernel waits several RCU grace periods (`__dev_change_net_namespace`). `false` where the kernel cannot do that.
///
/// The host's end is up; the pod's cannot be at its birth, when it has no other end yet (`veth_open`: ENOTCONN).
/// MACs are given explicitly: systemd since 242 replaces the kernel's random ones (`MACAddressPolicy`).
pub fn create_pair(host: &mut Netlink, pair: &Pair<'_>) -> Result<bool, Error> {
    let pod = end(LinkMessageBuilder::<LinkUnspec>::new(), pair.pod, pair.mtu).setns_by_fd(pair.netns);
    match order(host, pair, pod.build()) {
        Err(error) if matches!(error.errno(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Ok(false),
        result => result.map(|()| true).map_err(refused(creation(pair))),
    }
}

/// As [`create_pair`], in two steps: the pod's end is made here, as `temporary`, moved and renamed.
pub fn create_and_move(host: &mut Netlink, pair: &Pair<'_>, temporary: &str) -> Result<(), Error> {
    let (name, mac) = pair.pod;
    let pod = end(LinkMessageBuilder::<LinkUnspec>::new(), (temporary, mac), pair.mtu);
    order(host, pair, pod.build()).map_err(refused(creation(pair)))?;
    let what = format!("move interface {temporary} into the pod as {name}");
    let ifindex = find(host, temporary)?.map_or(0, |found| found.ifindex);
    set(host, LinkUnspec::new_with_index(ifindex).setns_by_fd(pair.netns).name(name).build(), &what)
}

fn order(host: &mut Netlink, pair: &Pair<'_>, pod: LinkMessage) -> Result<(), netlink::Error> {
    let message = match pair.device {
        Device::Veth => {
            let veth = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(pod)));
            end(veth, pair.host, pair.mtu).txqueuelen(HOST_QUEUE).up().build()
        }
        Device::Netkit { mode, headroom, tailroom } => {
            let mut data = vec![
                InfoNetkit::Mode(mode),
                InfoNetkit::Policy(NetkitPolicy::Forward),
                InfoNetkit::PeerPolicy(NetkitPolicy::Drop),
                InfoNetkit::Scrub(NetkitScrub::None),
            ];
            data.extend(headroom.map(InfoNetkit::Headroom));
            data.extend(tailroom.map(InfoNetkit::Tailroom));
            data.push(InfoNetkit::Peer(pod));
            let netkit = LinkMessageBuilder::<LinkNetkit>::new_with_info_kind(InfoKind::Netkit)
                .set_info_data(InfoData::Netkit(data));
            end(netkit, pair.host, pair.mtu).txqueuelen(HOST_QUEUE).up().build()
        }
    };
    host.execute(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
}

fn creation(pair: &Pair<'_>) -> String {
    format!("create the pair {} and {}", pair.host.0, pair.pod.0)
}

fn end<T>(builder: LinkMessageBuilder<T>, (name, mac): (&str, Option<Mac>), mtu: u32) -> LinkMessageBuilder<T> {
    let builder = builder.name(name).mtu(mtu);
    match mac {
        Some(mac) => builder.address(mac.0.to_vec()),
        None => builder,
    }
}

/// Sets the MAC of a link.
pub fn set_mac(netlink: &mut Netlink, ifindex: u32, mac: Mac) -> Result<(), Error> {
    let message = LinkUnspec::new_with_index(ifindex).address(mac.0.to_vec()).build();
    set(netlink, message, &format!("set the MAC of interface {ifindex}"))
}

/// Sets the alias of a link; the kernel takes none at its birth (`rtnl_create_link`).
pub fn set_alias(netlink: &mut Netlink, ifindex: u32, alias: &str) -> Result<(), Error> {
    let message = LinkUnspec::new_with_index(ifindex).alias(alias).build();
    set(netlink, message, &format!("set the alias of interface {ifindex}"))
}

/// Sets the link up.
pub fn set_up(netlink: &mut Netlink, ifindex: u32) -> Result<(), Error> {
    set(netlink, LinkUnspec::new_with_index(ifindex).up().build(), &format!("set interface {ifindex} up"))
}

/// Sets the largest segments; a kernel before 6.3 knows no sizes of IPv4 and passes over them.
pub fn set_offload(netlink: &mut Netlink, ifindex: u32, offload: &Offload) -> Result<(), Error> {
    let mut message = LinkUnspec::new_with_index(ifindex).build();
    let sizes = [
        offload.gso_max_size.map(LinkAttribute::GsoMaxSize),
        offload.gro_max_size.map(LinkAttribute::GroMaxSize),
        offload.gso_ipv4_max_size.map(LinkAttribute::GsoIpv4MaxSize),
        offload.gro_ipv4_max_size.map(LinkAttribute::GroIpv4MaxSize),
    ];
    message.attributes.extend(sizes.into_iter().flatten());
    set(netlink, message, &format!("set the GSO and GRO sizes of interface {ifindex}"))
}

fn set(netlink: &mut Netlink, message: LinkMessage, what: &str) -> Result<(), Error> {
    netlink.execute(RouteNetlinkMessage::SetLink(message), 0).map_err(refused(what))
}

/// What is needed to recognise a link, and to compare it with what it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub ifindex: u32,
    pub mac: Option<Mac>,
    pub alias: Option<String>,
    pub mtu: u32,
    pub up: bool,
    /// The ifindex of its other end, in that one's netns.
    pub link: Option<u32>,
}

/// The link of that name, `None` where there is none.
pub fn find(netlink: &mut Netlink, name: &str) -> Result<Option<Found>, Error> {
    let mut question = LinkMessage::default();
    question.attributes.push(LinkAttribute::IfName(name.to_owned()));
    get(netlink, question).map_err(refused(format!("look for the interface {name}")))
}

/// The MTU of a link; `None` when there is none with that number.
pub fn mtu(netlink: &mut Netlink, ifindex: u32) -> Result<Option<u32>, Error> {
    let found = get(netlink, LinkUnspec::new_with_index(ifindex).build());
    Ok(found.map_err(refused(format!("look for the interface {ifindex}")))?.map(|found| found.mtu))
}

fn get(netlink: &mut Netlink, question: LinkMessage) -> Result<Option<Found>, netlink::Error> {
    match netlink.request(RouteNetlinkMessage::GetLink(question)) {
        Ok(RouteNetlinkMessage::NewLink(answer)) => Ok(Some(found(answer))),
        Ok(_) => Ok(None),
        Err(error) if error.errno() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

fn found(answer: LinkMessage) -> Found {
    let up = answer.header.flags.contains(LinkFlags::Up);
    let mut found = Found { ifindex: answer.header.index, up, ..Found::default() };
    for attribute in answer.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => found.mac = bytes.try_into().ok().map(Mac),
            LinkAttribute::IfAlias(alias) => found.alias = Some(alias),
            LinkAttribute::Mtu(mtu) => found.mtu = mtu,
            LinkAttribute::Link(link) => found.link = Some(link),
            _ => {}
        }
    }
    found
}
