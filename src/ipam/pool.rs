//! A pool: a name and the subnets, IPv4 and IPv6, that podnet gives addresses from.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::range::AddressRange;
use crate::model::address::Family;

/// The pool that exists from the start, and that is taken where no other is named.
pub const DEFAULT_POOL: &str = "default";

/// Of a larger subnet only that many addresses, from its start, are given out unasked: more pods
/// than any node runs, and it bounds how long a search can take. `--ip` can ask for any address.
pub const WINDOW: u32 = 1 << 16;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("«{name}» is no pool name: 1 to 63 of a-z, 0-9, - and ., a letter or digit first and last")]
    Name { name: String },
    #[error("pool {pool} has no subnet")]
    Empty { pool: String },
    #[error("{cidr} is no subnet: its first address is {network}")]
    HostBits { cidr: IpNet, network: IpNet },
    #[error("{cidr} holds addresses that no pod can have (unspecified, loopback, link-local or multicast)")]
    Unusable { cidr: IpNet },
    #[error("{cidr} has no room for a gateway and a pod")]
    NoGateway { cidr: IpNet },
    #[error("the gateway {gateway} is not of the same family as {cidr}")]
    GatewayFamily { gateway: IpAddr, cidr: IpNet },
    #[error("the gateway {gateway} lies in none of the subnets of pool {pool}")]
    GatewayOutside { gateway: IpAddr, pool: String },
    #[error("the excluded range {range} lies in none of the subnets of pool {pool}")]
    ExcludeOutside { range: AddressRange, pool: String },
    #[error("{cidr} overlaps {other} of pool {pool}: an address would be given out twice")]
    Overlap { cidr: IpNet, other: IpNet, pool: String },
    #[error("{cidr} of pool {pool} overlaps a route of this host, {route}")]
    OverlapsRoute { cidr: IpNet, pool: String, route: IpNet },
}

/// One subnet of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    pub cidr: IpNet,
    /// What the pod's default route leads to; it is never given to a pod.
    pub gateway: IpAddr,
}

impl Subnet {
    /// A subnet with the usual gateway: its first usable address.
    pub fn new(cidr: IpNet) -> Result<Self, Invalid> {
        let offset = u32::from(!is_tiny(cidr));
        match address_at(cidr, offset) {
            Some(gateway) if cidr.prefix_len() < cidr.max_prefix_len() => Ok(Self { cidr, gateway }),
            _ => Err(Invalid::NoGateway { cidr }),
        }
    }

    pub fn family(&self) -> Family {
        Family::of(&self.gateway)
    }

    fn reason_withheld(&self, address: IpAddr) -> Option<&'static str> {
        match address {
            _ if address == self.gateway => Some("the gateway"),
            _ if is_tiny(self.cidr) => None,
            _ if address == self.cidr.network() => Some("the network address"),
            IpAddr::V4(_) if address == self.cidr.broadcast() => Some("the broadcast address"),
            _ => None,
        }
    }

    /// The addresses that are given out unasked, in order, out of the first [`WINDOW`], from the
    /// one at offset `begin`.
    fn addresses(&self, begin: u32) -> impl Iterator<Item = IpAddr> {
        let addresses = (begin..WINDOW).map_while(|offset| address_at(self.cidr, offset));
        addresses.filter(|address| self.reason_withheld(*address).is_none())
    }
}

/// A subnet of one or two addresses has no network and broadcast address (RFC 3021, RFC 6164). In a
/// larger one of IPv6 the first is the routers' anycast address (RFC 4291, 2.6.1).
fn is_tiny(cidr: IpNet) -> bool {
    cidr.prefix_len().saturating_add(1) >= cidr.max_prefix_len()
}

/// Where in its subnet an address lies, when that is within the [`WINDOW`].
fn offset_of(cidr: IpNet, address: IpAddr) -> Option<u32> {
    let offset = match (cidr.network(), address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => u128::from(address.to_bits().checked_sub(network.to_bits())?),
        (IpAddr::V6(network), IpAddr::V6(address)) => address.to_bits().checked_sub(network.to_bits())?,
        _ => return None,
    };
    u32::try_from(offset).ok().filter(|offset| *offset < WINDOW)
}

fn address_at(cidr: IpNet, offset: u32) -> Option<IpAddr> {
    let address = match cidr {
        IpNet::V4(net) => IpAddr::V4(Ipv4Addr::from_bits(net.network().to_bits().checked_add(offset)?)),
        IpNet::V6(net) => IpAddr::V6(Ipv6Addr::from_bits(net.network().to_bits().checked_add(u128::from(offset))?)),
    };
    cidr.contains(&address).then_some(address)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub name: String,
    pub subnets: Vec<Subnet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<AddressRange>,
}

impl Pool {
    /// A checked pool. `gateways` replace the usual one of the subnet that each lies in.
    pub fn new(name: &str, cidrs: &[IpNet], gateways: &[IpAddr], exclude: Vec<AddressRange>) -> Result<Self, Invalid> {
        let outside = gateways.iter().find(|gateway| !cidrs.iter().any(|cidr| cidr.contains(*gateway)));
        if let Some(gateway) = outside {
            return Err(Invalid::GatewayOutside { gateway: *gateway, pool: name.to_owned() });
        }
        let subnet = |cidr: &IpNet| match gateways.iter().find(|gateway| cidr.contains(*gateway)) {
            Some(gateway) => Ok(Subnet { cidr: *cidr, gateway: *gateway }),
            None => Subnet::new(*cidr),
        };
        let subnets = cidrs.iter().map(subnet).collect::<Result<_, _>>()?;
        let pool = Self { name: name.to_owned(), subnets, exclude };
        pool.validate()?;
        Ok(pool)
    }

    /// `default`: 10.42.0.0/24 and fd42::/64, until the operator adds a pool of that name.
    pub fn built_in() -> Self {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::new(10, 42, 0, 0), 24);
        let v6 = Ipv6Net::new_assert(Ipv6Addr::new(0xfd42, 0, 0, 0, 0, 0, 0, 0), 64);
        let gateway4 = IpAddr::V4(Ipv4Addr::new(10, 42, 0, 1));
        let gateway6 = IpAddr::V6(Ipv6Addr::new(0xfd42, 0, 0, 0, 0, 0, 0, 1));
        let subnets =
            vec![Subnet { cidr: v4.into(), gateway: gateway4 }, Subnet { cidr: v6.into(), gateway: gateway6 }];
        Self { name: DEFAULT_POOL.to_owned(), subnets, exclude: Vec::new() }
    }

    /// Checks what a pool must be by itself; also of one read from disk, which anyone may have edited.
    pub fn validate(&self) -> Result<(), Invalid> {
        if !is_name(&self.name) {
            return Err(Invalid::Name { name: self.name.clone() });
        }
        if self.subnets.is_empty() {
            return Err(Invalid::Empty { pool: self.name.clone() });
        }
        for (index, subnet) in self.subnets.iter().enumerate() {
            validate_subnet(subnet)?;
            if let Some(other) = self.subnets.iter().take(index).find(|other| overlap(other.cidr, subnet.cidr)) {
                return Err(Invalid::Overlap { cidr: subnet.cidr, other: other.cidr, pool: self.name.clone() });
            }
        }
        match self.exclude.iter().find(|range| self.subnet_of(range.first()).is_none()) {
            Some(range) => Err(Invalid::ExcludeOutside { range: *range, pool: self.name.clone() }),
            None => Ok(()),
        }
    }

    /// Two pools must not share an address: each keeps its own books.
    pub fn validate_beside(&self, other: &Pool) -> Result<(), Invalid> {
        let pairs = self.subnets.iter().flat_map(|own| other.subnets.iter().map(move |other| (own.cidr, other.cidr)));
        match pairs.into_iter().find(|(own, other)| overlap(*own, *other)) {
            Some((cidr, theirs)) => Err(Invalid::Overlap { cidr, other: theirs, pool: other.name.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses a pool whose addresses this host sends somewhere else already. `routes` are the
    /// destinations of the host's routes; a default route is no conflict, nor is the route to an
    /// address in `held`, which is podnet's own.
    pub fn validate_routes(&self, routes: &[IpNet], held: &BTreeSet<IpAddr>) -> Result<(), Invalid> {
        let own = |route: &IpNet| route.prefix_len() == route.max_prefix_len() && held.contains(&route.addr());
        let gateway = |route: &IpNet| self.subnets.iter().any(|subnet| *route == IpNet::from(subnet.gateway));
        let foreign = || routes.iter().filter(|route| route.prefix_len() > 0 && !own(route) && !gateway(route));
        let pairs = self.subnets.iter().flat_map(|subnet| foreign().map(move |route| (subnet.cidr, *route)));
        match pairs.into_iter().find(|(cidr, route)| overlap(*cidr, *route)) {
            Some((cidr, route)) => Err(Invalid::OverlapsRoute { cidr, pool: self.name.clone(), route }),
            None => Ok(()),
        }
    }

    pub fn families(&self) -> BTreeSet<Family> {
        self.subnets.iter().map(Subnet::family).collect()
    }

    /// The subnet that an address lies in.
    pub fn subnet_of(&self, address: IpAddr) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.cidr.contains(&address))
    }

    /// Why an address of this pool is never given out: network, broadcast, gateway or excluded.
    pub fn reason_withheld(&self, address: IpAddr) -> Option<&'static str> {
        let excluded = || self.exclude.iter().any(|range| range.contains(address)).then_some("excluded");
        self.subnet_of(address).and_then(|subnet| subnet.reason_withheld(address)).or_else(excluded)
    }

    /// How many addresses of a family the pool gives out unasked.
    pub fn size(&self, family: Family) -> usize {
        self.candidates(family).count()
    }

    /// The addresses of a family that are given out unasked, subnet after subnet.
    pub(super) fn candidates(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        self.candidates_after(family, None)
    }

    /// Those that come after `last`, without a look at those before it; all of them when `last` is
    /// none of the pool's.
    pub(super) fn candidates_after(&self, family: Family, last: Option<IpAddr>) -> impl Iterator<Item = IpAddr> {
        let subnets: Vec<&Subnet> = self.subnets.iter().filter(|subnet| subnet.family() == family).collect();
        let place = |last: IpAddr| {
            let index = subnets.iter().position(|subnet| subnet.cidr.contains(&last))?;
            Some((index, offset_of(subnets.get(index)?.cidr, last)?.saturating_add(1)))
        };
        let (index, begin) = last.and_then(place).unwrap_or((0, 0));
        let excluded = |address: &IpAddr| self.exclude.iter().any(|range| range.contains(*address));
        let rest = subnets.into_iter().skip(index).enumerate();
        rest.flat_map(move |(nth, subnet)| subnet.addresses(if nth == 0 { begin } else { 0 }))
            .filter(move |address| !excluded(address))
    }
}

fn validate_subnet(subnet: &Subnet) -> Result<(), Invalid> {
    let cidr = subnet.cidr;
    if cidr != cidr.trunc() {
        return Err(Invalid::HostBits { cidr, network: cidr.trunc() });
    }
    if Family::of(&subnet.gateway) != Family::of(&cidr.addr()) {
        return Err(Invalid::GatewayFamily { gateway: subnet.gateway, cidr });
    }
    let unusable = match cidr {
        IpNet::V4(net) => [("0.0.0.0", 8), ("127.0.0.0", 8), ("169.254.0.0", 16), ("224.0.0.0", 3)]
            .iter()
            .filter_map(|(base, length)| Ipv4Net::new(base.parse().ok()?, *length).ok())
            .any(|bad| overlap(bad.into(), net.into())),
        IpNet::V6(net) => [("::", 127), ("fe80::", 10), ("ff00::", 8)]
            .iter()
            .filter_map(|(base, length)| Ipv6Net::new(base.parse().ok()?, *length).ok())
            .any(|bad| overlap(bad.into(), net.into())),
    };
    if unusable { Err(Invalid::Unusable { cidr }) } else { Ok(()) }
}

/// Of two CIDRs that share an address, one contains the other.
fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// A name of Kubernetes' kind (RFC 1123), so that it can be a file's and CiliumPodIPPool's alike.
pub(super) fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| letter(*byte) || matches!(byte, b'-' | b'.'))
        && bytes.first().is_some_and(|byte| letter(*byte))
        && bytes.last().is_some_and(|byte| letter(*byte))
}
