//! Routes of all tables and types: `RTM_GETROUTE`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags,
    RoutePreference, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::Netlink;
use super::{encap, problem, route_metric};
use crate::model::address::Family;
use crate::model::route::{NextHop, Nexthop, Route};

/// Every route of the socket's netns; `names` names its interfaces, `nexthops` its nexthop objects.
pub fn read(
    netlink: &mut Netlink,
    problems: &mut Vec<String>,
    names: &BTreeMap<u32, String>,
    nexthops: &[Nexthop],
) -> Vec<Route> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut question = RouteMessage::default();
        question.header.address_family = family;
        let messages = problem::dump(netlink, problems, "routes", RouteNetlinkMessage::GetRoute(question));
        routes.extend(messages.into_iter().filter_map(|message| match message {
            // A cached route is an exception to a real one (a path MTU learnt), not a route of its own.
            RouteNetlinkMessage::NewRoute(route) if !route.header.flags.contains(RouteFlags::Cloned) => {
                convert(&route, names, nexthops)
            }
            _ => None,
        }));
    }
    join_ipv6_multipath(routes)
}

fn convert(message: &RouteMessage, names: &BTreeMap<u32, String>, nexthops: &[Nexthop]) -> Option<Route> {
    let header = &message.header;
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut route = Route {
        family: Family::of(&any),
        destination: IpNet::new(any, header.destination_prefix_length).ok()?,
        source_prefix: None,
        tos: (header.tos != 0).then_some(header.tos),
        kind: kind(header.kind),
        table: u32::from(header.table),
        metric: None,
        protocol: header.protocol.to_string(),
        scope: scope(header.scope),
        preferred_source: None,
        next_hops: Vec::new(),
        nexthop_id: None,
        mtu: None,
        advmss: None,
        metrics: BTreeMap::new(),
        preference: None,
        flags: flag_names(header.flags),
    };
    let mut single = NextHop::default();
    for attribute in &message.attributes {
        take(&mut route, &mut single, attribute, header);
    }
    if single.gateway.is_some() || single.ifindex.is_some() {
        single.flags = std::mem::take(&mut route.flags);
        single.encap = encap::read(&message.attributes);
        route.next_hops.push(single);
    }
    // With net.ipv4.nexthop_compat_mode=0 the kernel leaves it to the object to tell.
    if let Some(id) = route.nexthop_id.filter(|_| route.next_hops.is_empty()) {
        route.next_hops = hops_of(id, nexthops);
    }
    for hop in &mut route.next_hops {
        hop.interface = hop.ifindex.and_then(|ifindex| names.get(&ifindex).cloned());
    }
    Some(route)
}

fn take(route: &mut Route, single: &mut NextHop, attribute: &RouteAttribute, header: &RouteHeader) {
    match attribute {
        RouteAttribute::Destination(address) => {
            let prefix = ip(address).and_then(|ip| IpNet::new(ip, header.destination_prefix_length).ok());
            route.destination = prefix.unwrap_or(route.destination);
        }
        RouteAttribute::Source(address) => {
            route.source_prefix = ip(address).and_then(|ip| IpNet::new(ip, header.source_prefix_length).ok());
        }
        RouteAttribute::Table(table) => route.table = *table,
        RouteAttribute::Priority(metric) => route.metric = Some(*metric),
        RouteAttribute::PrefSource(address) => route.preferred_source = ip(address),
        RouteAttribute::Gateway(address) => single.gateway = ip(address),
        RouteAttribute::Via(via) => single.gateway = ip_via(via),
        RouteAttribute::Oif(ifindex) => single.ifindex = Some(*ifindex),
        RouteAttribute::NhId(id) => route.nexthop_id = Some(*id),
        RouteAttribute::MultiPath(hops) => route.next_hops = hops.iter().map(hop).collect(),
        RouteAttribute::Preference(RoutePreference::Low) => route.preference = Some("low".to_owned()),
        RouteAttribute::Preference(RoutePreference::High) => route.preference = Some("high".to_owned()),
        RouteAttribute::Metrics(metrics) => {
            for metric in metrics {
                match metric {
                    RouteMetric::Mtu(mtu) => route.mtu = Some(*mtu),
                    RouteMetric::Advmss(advmss) => route.advmss = Some(*advmss),
                    other => route.metrics.extend(route_metric::read(other)),
                }
            }
        }
        _ => {}
    }
}

fn hop(message: &RouteNextHop) -> NextHop {
    let gateway = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(via) => ip_via(via),
        _ => None,
    });
    NextHop {
        gateway,
        ifindex: Some(message.interface_index),
        interface: None,
        weight: Some(u16::from(message.hops) + 1), // rtnh_hops is the weight less one
        encap: encap::read(&message.attributes),
        flags: flag_names(RouteFlags::from_bits_retain(u32::from(RouteNextHopFlags::bits(&message.flags)))),
    }
}

fn hops_of(id: u32, nexthops: &[Nexthop]) -> Vec<NextHop> {
    let find = |id| nexthops.iter().find(|nexthop| nexthop.id == id);
    let Some(nexthop) = find(id) else { return Vec::new() };
    if nexthop.group.is_empty() {
        return vec![nexthop.hop.clone()];
    }
    let weighted = |&(id, weight): &(u32, u16)| Some(NextHop { weight: Some(weight), ..find(id)?.hop.clone() });
    nexthop.group.iter().filter_map(weighted).collect()
}

/// Older kernels send an IPv6 ECMP route as one route a hop; the same destination, table and metric
/// with protocol and kind alike are one route.
fn join_ipv6_multipath(routes: Vec<Route>) -> Vec<Route> {
    let mut joined: Vec<Route> = Vec::with_capacity(routes.len());
    for route in routes {
        let same = joined.last_mut().filter(|last| {
            let hops = !last.next_hops.is_empty() && route.next_hops.iter().all(|hop| hop.gateway.is_some());
            let alike = (last.destination, last.table, last.metric, &last.kind)
                == (route.destination, route.table, route.metric, &route.kind);
            route.family == Family::Ipv6 && route.nexthop_id.is_none() && hops && alike && !route.next_hops.is_empty()
        });
        match same {
            Some(last) => last.next_hops.extend(route.next_hops),
            None => joined.push(route),
        }
    }
    joined
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn ip_via(via: &RouteVia) -> Option<IpAddr> {
    match via {
        RouteVia::Inet(address) => Some(IpAddr::V4(*address)),
        RouteVia::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// By the names that `ip route` uses.
fn scope(scope: RouteScope) -> String {
    if scope == RouteScope::Universe { "global".to_owned() } else { scope.to_string() }
}

fn kind(kind: RouteType) -> String {
    match kind {
        RouteType::Other(number) => number.to_string(),
        named => format!("{named:?}").to_lowercase(),
    }
}

fn flag_names(flags: RouteFlags) -> Vec<String> {
    const NAMES: [(RouteFlags, &str); 7] = [
        (RouteFlags::Dead, "dead"),
        (RouteFlags::Pervasive, "pervasive"),
        (RouteFlags::Onlink, "onlink"),
        (RouteFlags::Offload, "offload"),
        (RouteFlags::Linkdown, "linkdown"),
        (RouteFlags::Unresolved, "unresolved"),
        (RouteFlags::RtTrap, "rt_trap"),
    ];
    NAMES.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| (*name).to_owned()).collect()
}
