//! The settings of an interface, as they come along with the link (`IFLA_AF_SPEC`): the same numbers as under
//! `/proc/sys/net/ipv{4,6}/conf/NAME`, which would be a file for each setting of each interface.

use nix::libc;

use super::bytes::attributes;

/// `IFLA_INET_CONF`, `IFLA_INET6_CONF` (linux/if_link.h).
const INET_CONF: u16 = 1;
const INET6_CONF: u16 = 2;

/// `IPV4_DEVCONF_*` (linux/ip.h), which begin at 1, and `DEVCONF_*` (linux/ipv6.h), which begin at 0. The kernel only
/// adds to them.
const IPV4: [(&str, usize); 11] = [
    ("forwarding", 1),
    ("proxy_arp", 3),
    ("send_redirects", 6),
    ("rp_filter", 8),
    ("arp_filter", 13),
    ("arp_announce", 18),
    ("arp_ignore", 19),
    ("arp_accept", 21),
    ("arp_notify", 22),
    ("accept_local", 23),
    ("route_localnet", 26),
];
const IPV6: [(&str, usize); 5] =
    [("forwarding", 0), ("accept_ra", 3), ("proxy_ndp", 22), ("disable_ipv6", 26), ("accept_dad", 27)];

/// Numbers of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devconf {
    ipv4: Vec<u32>,
    ipv6: Vec<u32>,
}

impl Devconf {
    /// `value` is the row of attributes under `IFLA_AF_SPEC`, one for each address family.
    pub fn decode(value: &[u8]) -> Self {
        fn find(row: &[u8], wanted: u16) -> &[u8] {
            attributes(row).find(|(kind, _)| *kind == wanted).map(|(_, value)| value).unwrap_or_default()
        }
        let numbers = |family: libc::c_int, conf: u16| {
            let row = u16::try_from(family).map(|family| find(value, family)).unwrap_or_default();
            let (numbers, _) = find(row, conf).as_chunks();
            numbers.iter().copied().map(u32::from_ne_bytes).collect()
        };
        Self { ipv4: numbers(libc::AF_INET, INET_CONF), ipv6: numbers(libc::AF_INET6, INET6_CONF) }
    }

    /// Family, name and value of each setting; nothing of a family that the interface does not speak.
    pub fn settings(&self) -> impl Iterator<Item = (&'static str, &'static str, i32)> {
        let ipv4 = IPV4.iter().filter_map(|(name, number)| Some(("ipv4", *name, *self.ipv4.get(number - 1)?)));
        let ipv6 = IPV6.iter().filter_map(|(name, number)| Some(("ipv6", *name, *self.ipv6.get(*number)?)));
        ipv4.chain(ipv6).map(|(family, name, value)| (family, name, value.cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            Devconf::decode(&bytes).settings().for_each(drop);
        }
    }
}
