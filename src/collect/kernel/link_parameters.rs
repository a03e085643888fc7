//! What a kind of link adds to it (`IFLA_INFO_DATA`), by the names that `ip -d link` uses: the parameters that say
//! where packets go; the rest of what a kind can be set to is left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::bytes::{attributes, u16_at, u32_at};

/// How an attribute is written.
#[derive(Clone, Copy)]
enum Form {
    /// One, two or four bytes in the kernel's own order.
    Number,
    /// A number that is nothing when 0: an ifindex, a key.
    NonZero,
    /// Two bytes in network order.
    Port,
    Protocol,
    /// IPv4 or IPv6 by its length, nothing when unspecified.
    Address,
    /// A number that is 0 or not.
    OnOff,
    /// True by being there.
    Flag,
    /// A number that `ip` has a word for.
    Word(&'static [(u32, &'static str)]),
}
use Form::{Address, Flag, NonZero, Number, OnOff, Port, Protocol, Word};

const MACVLAN: &[&str] = &["macvlan", "macvtap"];
const IPVLAN: &[&str] = &["ipvlan", "ipvtap"];
const TUNNEL: &[&str] = &["ipip", "sit", "ip6tnl"];
const GRE: &[&str] = &["gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan"];
const VTI: &[&str] = &["vti", "vti6"];

const MACVLAN_MODES: &[(u32, &str)] = &[(1, "private"), (2, "vepa"), (4, "bridge"), (8, "passthru"), (16, "source")];
const IPVLAN_MODES: &[(u32, &str)] = &[(0, "l2"), (1, "l3"), (2, "l3s")];
const NETKIT_MODES: &[(u32, &str)] = &[(0, "l2"), (1, "l3")];
const NETKIT_POLICIES: &[(u32, &str)] = &[(0, "forward"), (2, "blackhole")];
const TUN_TYPES: &[(u32, &str)] = &[(1, "tun"), (2, "tap")];
const BOND_MODES: &[(u32, &str)] = &[
    (0, "balance-rr"),
    (1, "active-backup"),
    (2, "balance-xor"),
    (3, "broadcast"),
    (4, "802.3ad"),
    (5, "balance-tlb"),
    (6, "balance-alb"),
];

/// Kinds, type of the attribute, our name for it, its form (linux/if_link.h, if_tunnel.h, if_tun.h).
const TABLE: &[(&[&str], u16, &str, Form)] = &[
    (&["vlan"], 1, "id", Number),
    (&["vlan"], 5, "protocol", Protocol),
    (&["vxlan"], 1, "id", Number),
    (&["vxlan"], 2, "remote", Address),
    (&["vxlan"], 3, "link", NonZero),
    (&["vxlan"], 4, "local", Address),
    (&["vxlan"], 7, "learning", OnOff),
    (&["vxlan"], 15, "port", Port),
    (&["vxlan"], 16, "remote", Address),
    (&["vxlan"], 17, "local", Address),
    (&["vxlan"], 25, "external", OnOff),
    (&["geneve"], 1, "id", Number),
    (&["geneve"], 2, "remote", Address),
    (&["geneve"], 5, "port", Port),
    (&["geneve"], 6, "external", Flag),
    (&["geneve"], 7, "remote", Address),
    (&["bareudp"], 1, "port", Port),
    (MACVLAN, 1, "mode", Word(MACVLAN_MODES)),
    (IPVLAN, 1, "mode", Word(IPVLAN_MODES)),
    (&["netkit"], 2, "primary", OnOff),
    (&["netkit"], 3, "policy", Word(NETKIT_POLICIES)),
    (&["netkit"], 4, "peer_policy", Word(NETKIT_POLICIES)),
    (&["netkit"], 5, "mode", Word(NETKIT_MODES)),
    (&["bridge"], 5, "stp", OnOff),
    (&["bridge"], 7, "vlan_filtering", OnOff),
    (&["bridge"], 36, "nf_call_iptables", OnOff),
    (&["bridge"], 37, "nf_call_ip6tables", OnOff),
    (&["bond"], 1, "mode", Word(BOND_MODES)),
    (&["bond"], 2, "active_slave", NonZero),
    (&["vrf"], 1, "table", Number),
    (&["tun"], 3, "type", Word(TUN_TYPES)),
    (TUNNEL, 1, "link", NonZero),
    (TUNNEL, 2, "local", Address),
    (TUNNEL, 3, "remote", Address),
    (TUNNEL, 19, "external", Flag),
    (GRE, 1, "link", NonZero),
    (GRE, 6, "local", Address),
    (GRE, 7, "remote", Address),
    (GRE, 18, "external", Flag),
    (VTI, 1, "link", NonZero),
    (VTI, 4, "local", Address),
    (VTI, 5, "remote", Address),
    (&["xfrm"], 1, "link", NonZero),
    (&["xfrm"], 2, "if_id", Number),
];

/// `data` is the row of attributes under `IFLA_INFO_DATA` of a link of that kind.
pub fn parameters(kind: &str, data: &[u8]) -> BTreeMap<String, String> {
    let known = |(attribute, value)| {
        let is_this = |row: &&(&[&str], u16, &str, Form)| row.1 == attribute && row.0.contains(&kind);
        let (_, _, name, form) = TABLE.iter().find(is_this)?;
        Some(((*name).to_owned(), form.write(value)?))
    };
    attributes(data).filter_map(known).collect()
}

impl Form {
    fn write(self, value: &[u8]) -> Option<String> {
        match self {
            Number => number(value).map(|number| number.to_string()),
            NonZero => number(value).filter(|number| *number != 0).map(|number| number.to_string()),
            Port => u16_at(value, 0).map(|port| u16::from_be(port).to_string()),
            Protocol => u16_at(value, 0).map(|protocol| match u16::from_be(protocol) {
                0x8100 => "802.1Q".to_owned(),
                0x88a8 => "802.1ad".to_owned(),
                other => format!("{other:#06x}"),
            }),
            Address => address(value).filter(|address| !address.is_unspecified()).map(|address| address.to_string()),
            OnOff => number(value).map(|number| (number != 0).to_string()),
            Flag => Some(true.to_string()),
            Word(words) => number(value).map(|number| {
                let word = words.iter().find(|(known, _)| *known == number);
                word.map_or_else(|| number.to_string(), |(_, word)| (*word).to_owned())
            }),
        }
    }
}

fn number(value: &[u8]) -> Option<u32> {
    match value.len() {
        1 => value.first().copied().map(u32::from),
        2 => u16_at(value, 0).map(u32::from),
        _ => u32_at(value, 0),
    }
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(value).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(value).ok().map(IpAddr::from))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use netlink_packet_core::Nla;
    use netlink_packet_route::link::{
        BondMode, InfoBond, InfoData, InfoGeneve, InfoGre, InfoGre6, InfoIpTunnel, InfoIpVlan, InfoNetkit, InfoVlan,
        InfoVrf, InfoVti, InfoXfrm, IpVlanMode, NetkitMode, NetkitPolicy, VlanProtocol,
    };

    use super::*;

    fn of(kind: &str, data: &InfoData) -> String {
        let mut bytes = vec![0; data.value_len()];
        data.emit_value(&mut bytes);
        let found = parameters(kind, &bytes);
        found.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    }

    /// Kinds that not every kernel has (tests/kernel asks the kernel for the others), as the library encodes them.
    #[test]
    fn agrees_with_the_library_on_every_kind() {
        let (v4, v6) = (Ipv4Addr::new(10, 0, 0, 1), Ipv6Addr::LOCALHOST);
        let none = Ipv4Addr::UNSPECIFIED;
        let cases = [
            ("vlan", InfoData::Vlan(vec![InfoVlan::Id(7), InfoVlan::Protocol(VlanProtocol::Ieee8021Ad)])),
            ("geneve", InfoData::Geneve(vec![InfoGeneve::Id(9), InfoGeneve::Remote6(v6), InfoGeneve::Port(6081)])),
            ("geneve", InfoData::Geneve(vec![InfoGeneve::CollectMetadata])),
            ("ipvlan", InfoData::IpVlan(vec![InfoIpVlan::Mode(IpVlanMode::L3S)])),
            ("netkit", InfoData::Netkit(vec![InfoNetkit::Primary(true), InfoNetkit::Mode(NetkitMode::L3)])),
            ("netkit", InfoData::Netkit(vec![InfoNetkit::PeerPolicy(NetkitPolicy::Drop)])),
            ("bond", InfoData::Bond(vec![InfoBond::Mode(BondMode::Ieee8023Ad), InfoBond::ActivePort(3)])),
            ("vrf", InfoData::Vrf(vec![InfoVrf::TableId(100)])),
            ("ipip", InfoData::IpTunnel(vec![InfoIpTunnel::Local(v4.into()), InfoIpTunnel::Remote(none.into())])),
            ("gre", InfoData::GreTun(vec![InfoGre::Link(0), InfoGre::Local(v4), InfoGre::Remote(v4)])),
            ("ip6gre", InfoData::GreTun6(vec![InfoGre6::Link(4), InfoGre6::Remote(v6), InfoGre6::CollectMetadata])),
            ("vti6", InfoData::Vti(vec![InfoVti::Link(2), InfoVti::Local(v6.into()), InfoVti::Remote(v6.into())])),
            ("xfrm", InfoData::Xfrm(vec![InfoXfrm::Link(2), InfoXfrm::IfId(77)])),
        ];
        let expected = [
            "id 7, protocol 802.1ad",
            "id 9, port 6081, remote ::1",
            "external true",
            "mode l3s",
            "mode l3, primary true",
            "peer_policy blackhole",
            "active_slave 3, mode 802.3ad",
            "table 100",
            "local 10.0.0.1",
            "local 10.0.0.1, remote 10.0.0.1",
            "external true, link 4, remote ::1",
            "link 2, local ::1, remote ::1",
            "if_id 77, link 2",
        ];
        for ((kind, data), expected) in cases.iter().zip(expected) {
            assert_eq!(of(kind, data), expected, "{kind}");
        }
    }

    #[test]
    fn a_value_cut_short_is_no_value() {
        assert!(parameters("vxlan", &[5, 0, 1, 0, 9, 0, 0, 0]).contains_key("id"));
        for cut in [&[4, 0, 1, 0][..], &[7, 0, 1, 0, 9, 0, 0, 0], &[6, 0, 4, 0, 10, 0, 0, 0], &[8, 0, 1], &[]] {
            assert!(parameters("vxlan", cut).is_empty(), "{cut:?}");
        }
    }
}
