//! Routes to and from a pod.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::libc::{self, EEXIST};
use rtnetlink::RouteMessageBuilder;

use super::{link, refused, unless};
use crate::collect::kernel::netlink::Netlink;
use crate::flow::error::Error;

/// A route by way of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub destination: IpNet,
    /// `None`: the destination is on the link itself.
    pub gateway: Option<IpAddr>,
    pub ifindex: u32,
    pub mtu: Option<u32>,
}

impl Route {
    /// The one address, on the link itself.
    pub fn to_neighbour(address: IpAddr, ifindex: u32) -> Self {
        Self { destination: IpNet::from(address), gateway: None, ifindex, mtu: None }
    }

    pub fn default_by(gateway: IpAddr, ifindex: u32) -> Self {
        let any = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let destination = IpNet::new(any, 0).unwrap_or_else(|_| IpNet::from(any));
        Self { destination, gateway: Some(gateway), ifindex, mtu: None }
    }
}

/// Addresses that stand for any outside of the node; they are for documentation (RFC 5737, RFC 3849).
pub const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// How the kernel would send a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    pub ifindex: u32,
    pub gateway: Option<IpAddr>,
    pub mtu: Option<u32>,
}

/// The way to an address; `None` without one. It is only asked for: nothing is sent.
pub fn way_to(netlink: &mut Netlink, destination: IpAddr) -> Option<Way> {
    let mut question = RouteMessage::default();
    question.header.address_family = if destination.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    question.header.destination_prefix_length = if destination.is_ipv4() { 32 } else { 128 };
    question.attributes.push(RouteAttribute::Destination(RouteAddress::from(destination)));
    let RouteNetlinkMessage::NewRoute(answer) = netlink.request(RouteNetlinkMessage::GetRoute(question)).ok()? else {
        return None;
    };
    if answer.header.kind != RouteType::Unicast {
        return None;
    }
    let mut way = Way::default();
    for attribute in answer.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => way.ifindex = ifindex,
            RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => way.gateway = Some(gateway.into()),
            RouteAttribute::Gateway(RouteAddress::Inet6(gateway)) => way.gateway = Some(gateway.into()),
            RouteAttribute::Metrics(metrics) => {
                way.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Some(way)
}

/// The MTU of the way out: of the route where it has one of its own, else of its link. `None` without a way out.
pub fn uplink_mtu(netlink: &mut Netlink) -> Result<Option<u32>, Error> {
    match OUTSIDE.iter().find_map(|outside| way_to(netlink, *outside)) {
        Some(Way { mtu: Some(mtu), .. }) => Ok(Some(mtu)),
        Some(way) => link::mtu(netlink, way.ifindex),
        None => Ok(None),
    }
}

/// Where the routes of every table lead.
pub fn destinations(netlink: &mut Netlink) -> Vec<IpNet> {
    all(netlink).into_iter().map(|route| route.destination).collect()
}

/// The interfaces, by name, that the calling thread's netns has routes by from router advertisements.
pub fn advertised() -> Vec<String> {
    let Ok(mut netlink) = Netlink::open(netlink_sys::protocols::NETLINK_ROUTE) else { return Vec::new() };
    let hops = all(&mut netlink).into_iter().filter(|route| route.protocol == "ra").flat_map(|route| route.next_hops);
    let mut ifindexes: Vec<u32> = hops.filter_map(|hop| hop.ifindex).collect();
    ifindexes.sort_unstable();
    ifindexes.dedup();
    let name = |ifindex| nix::net::if_::if_indextoname(ifindex).ok()?.into_string().ok();
    ifindexes.into_iter().filter_map(name).collect()
}

fn all(netlink: &mut Netlink) -> Vec<crate::model::route::Route> {
    crate::collect::kernel::route::read(netlink, &mut Vec::new(), &BTreeMap::new(), &[])
}

/// Deletes a route from the main table; `false` when it was gone already.
pub fn delete(netlink: &mut Netlink, route: &Route) -> Result<bool, Error> {
    let deleted = netlink.execute(RouteNetlinkMessage::DelRoute(message(route)), 0);
    let gone = |errno| matches!(errno, Some(libc::ESRCH | libc::ENODEV));
    match deleted {
        Err(error) if gone(error.errno()) => Ok(false),
        result => result.map(|()| true).map_err(refused(format!("delete the route to {}", route.destination))),
    }
}

/// Adds a route to the main table; `false` when it is there already.
pub fn add(netlink: &mut Netlink, route: &Route) -> Result<bool, Error> {
    let added = netlink.execute(RouteNetlinkMessage::NewRoute(message(route)), NLM_F_CREATE | NLM_F_EXCL);
    unless(EEXIST, added).map_err(refused(format!("add the route to {}", route.destination)))
}

/// Protocol `boot`, as Cilium's own and those of `ip route add`.
fn message(route: &Route) -> RouteMessage {
    let length = route.destination.prefix_len();
    let mut message = match (route.destination.addr(), route.gateway) {
        (IpAddr::V4(destination), gateway) => {
            let builder = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(destination, length);
            let builder = match gateway {
                Some(IpAddr::V4(gateway)) => builder.gateway(gateway),
                _ => builder.scope(RouteScope::Link),
            };
            builder.output_interface(route.ifindex).protocol(RouteProtocol::Boot).build()
        }
        (IpAddr::V6(destination), gateway) => {
            let builder = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(destination, length);
            let builder = match gateway {
                Some(IpAddr::V6(gateway)) => builder.gateway(gateway),
                _ => builder,
            };
            builder.output_interface(route.ifindex).protocol(RouteProtocol::Boot).build()
        }
    };
    if let Some(mtu) = route.mtu {
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
    }
    message
}
