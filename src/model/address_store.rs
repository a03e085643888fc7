//! Stores that keep a file an address: those of the CNI plugin host-local, and podnet's own in the same layout.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Family;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressStore {
    /// host-local or podnet.
    pub kind: String,
    /// The directory of its networks.
    pub directory: String,
    pub networks: Vec<StoredNetwork>,
}

/// A network of host-local, a pool of podnet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredNetwork {
    pub name: String,
    /// What it gives addresses from, where that is known.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub subnets: Vec<IpNet>,
    /// Which addresses of those, where not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<AddressRange>,
    /// How many it can give out, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_ipv4: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_ipv6: Option<u64>,
    pub held: Vec<StoredAddress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What an address plugin may give out of a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressRange {
    #[schemars(with = "String")]
    pub subnet: IpNet,
    pub first: IpAddr,
    pub last: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

impl AddressRange {
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether it ends before it begins: host-local refuses such a network.
    pub fn is_backwards(&self) -> bool {
        self.last < self.first
    }

    /// Without the gateway, which is never given out.
    pub fn size(&self) -> u64 {
        if self.is_backwards() {
            return 0;
        }
        let number = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let all = number(self.last).saturating_sub(number(self.first)).saturating_add(1);
        let gateway = self.gateway.is_some_and(|gateway| self.contains(gateway));
        u64::try_from(all.saturating_sub(u128::from(gateway))).unwrap_or(u64::MAX)
    }
}

impl StoredNetwork {
    /// How many addresses of a family are held, and how many there are.
    pub fn fill(&self, family: Family) -> (u64, Option<u64>) {
        let held = self.held.iter().filter(|held| Family::of(&held.address) == family).count() as u64;
        let size = match family {
            Family::Ipv4 => self.size_ipv4,
            Family::Ipv6 => self.size_ipv6,
        };
        (held, size)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredAddress {
    pub address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why the file does not tell who holds the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_ends_before_it_begins_has_no_address() {
        let range = |first: &str, last: &str| AddressRange {
            subnet: "10.0.0.0/24".parse().unwrap(),
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            gateway: "10.0.0.1".parse().ok(),
        };
        let sizes = [("10.0.0.9", "10.0.0.7"), ("10.0.0.7", "10.0.0.7"), ("10.0.0.1", "10.0.0.9")];
        assert_eq!(sizes.map(|(first, last)| range(first, last).size()), [0, 1, 8]);
        assert!(range("10.0.0.9", "10.0.0.7").is_backwards() && !range("10.0.0.7", "10.0.0.7").is_backwards());
    }
}
