//! The tunnel that a route puts packets in (`RTA_ENCAP`), in the words of `ip route`.

use netlink_packet_core::{Emitable, NlaBuffer, ParseableParametrized};
use netlink_packet_route::route::{
    RouteAttribute, RouteIp6Tunnel, RouteIpTunnel, RouteLwEnCapType, RouteLwTunnelEncap, RouteMplsIpTunnel,
    RouteSeg6IpTunnel, Seg6Header,
};

/// Its kind, and what is told of it.
pub fn read(attributes: &[RouteAttribute]) -> Option<String> {
    let kind = attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::EncapType(kind) => Some(*kind),
        _ => None,
    })?;
    let parts = attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Encap(parts) => Some(parts.as_slice()),
        _ => None,
    });
    let words = parts.unwrap_or_default().iter().filter_map(|part| words(&decoded(part, kind)));
    Some([kind.to_string()].into_iter().chain(words).collect::<Vec<_>>().join(" "))
}

/// Of one hop among several the library leaves it undecoded, as the kind comes after it.
fn decoded(part: &RouteLwTunnelEncap, kind: RouteLwEnCapType) -> RouteLwTunnelEncap {
    let RouteLwTunnelEncap::Other(raw) = part else { return part.clone() };
    let mut bytes = vec![0; raw.buffer_len()];
    raw.emit(&mut bytes);
    let decode = |buffer| RouteLwTunnelEncap::parse_with_param(&buffer, kind).ok();
    NlaBuffer::new_checked(bytes.as_slice()).ok().and_then(decode).unwrap_or_else(|| part.clone())
}

fn words(part: &RouteLwTunnelEncap) -> Option<String> {
    Some(match part {
        RouteLwTunnelEncap::Mpls(RouteMplsIpTunnel::Destination(labels)) => {
            labels.iter().map(|label| label.label.to_string()).collect::<Vec<_>>().join("/")
        }
        RouteLwTunnelEncap::Mpls(RouteMplsIpTunnel::Ttl(ttl)) => format!("ttl {ttl}"),
        RouteLwTunnelEncap::Ip(part) => ip(part)?,
        RouteLwTunnelEncap::Ip6(part) => ip6(part)?,
        RouteLwTunnelEncap::Seg6(RouteSeg6IpTunnel::Seg6(header)) => seg6(header),
        RouteLwTunnelEncap::Seg6Local(part) => part.to_string(),
        RouteLwTunnelEncap::Xfrm(part) => part.to_string(),
        _ => return None,
    })
}

/// The kernel sends all of them; what is 0 is left to the device.
fn ip(part: &RouteIpTunnel) -> Option<String> {
    match part {
        RouteIpTunnel::Id(id) => Some(format!("id {id}")),
        RouteIpTunnel::Source(address) if !address.is_unspecified() => Some(format!("src {address}")),
        RouteIpTunnel::Destination(address) => Some(format!("dst {address}")),
        RouteIpTunnel::Ttl(ttl) if *ttl != 0 => Some(format!("ttl {ttl}")),
        RouteIpTunnel::Tos(tos) if *tos != 0 => Some(format!("tos {tos:#x}")),
        _ => None,
    }
}

fn ip6(part: &RouteIp6Tunnel) -> Option<String> {
    match part {
        RouteIp6Tunnel::Id(id) => Some(format!("id {id}")),
        RouteIp6Tunnel::Source(address) if !address.is_unspecified() => Some(format!("src {address}")),
        RouteIp6Tunnel::Destination(address) => Some(format!("dst {address}")),
        RouteIp6Tunnel::Hoplimit(hops) if *hops != 0 => Some(format!("hoplimit {hops}")),
        RouteIp6Tunnel::Tc(class) if *class != 0 => Some(format!("tc {class:#x}")),
        _ => None,
    }
}

/// The segments in the order in which they are visited; a segment routing header has the last one first (RFC 8754).
fn seg6(header: &Seg6Header) -> String {
    // SEG6_IPTUN_MODE_* (linux/seg6_iptunnel.h)
    let mode = match u32::from(header.mode) {
        0 => "inline".to_owned(),
        1 => "encap".to_owned(),
        2 => "l2encap".to_owned(),
        3 => "encap.red".to_owned(),
        4 => "l2encap.red".to_owned(),
        number => number.to_string(),
    };
    let segments: Vec<String> = header.segments.iter().map(ToString::to_string).collect();
    format!("mode {mode} segs {}", segments.join(","))
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::AddressFamily;
    use netlink_packet_route::route::RouteType;

    use super::*;

    /// No kernel without `CONFIG_MPLS_ROUTING` takes such a route: as one with it tells it.
    #[test]
    fn a_stack_of_labels() {
        let context = (AddressFamily::Inet, RouteType::Unicast, RouteLwEnCapType::Mpls);
        // RTA_ENCAP { MPLS_IPTUNNEL_DST: 100, 200 and the bottom of the stack }, RTA_ENCAP_TYPE 1
        let encap = [16, 0, 22, 0, 12, 0, 1, 0, 0, 6, 64, 0, 0, 12, 129, 0];
        let kind = [6, 0, 21, 0, 1, 0, 0, 0];
        let parse =
            |bytes: &[u8]| RouteAttribute::parse_with_param(&NlaBuffer::new_checked(bytes).unwrap(), context).unwrap();
        assert_eq!(read(&[parse(&encap), parse(&kind)]).as_deref(), Some("mpls 100/200"));
        assert_eq!(read(&[]), None);
    }
}
