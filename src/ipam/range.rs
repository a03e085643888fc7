//! A run of addresses of one family: what a pool excludes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::address::Family;

/// From `first` to `last`, both included, of one family. Written as `a`, `a-b` or a CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("«{text}» is no address, CIDR or range FIRST-LAST of one family")]
pub struct Invalid {
    text: String,
}

impl AddressRange {
    pub fn contains(&self, address: IpAddr) -> bool {
        Family::of(&address) == Family::of(&self.first) && self.first <= address && address <= self.last
    }

    pub fn first(&self) -> IpAddr {
        self.first
    }
}

impl FromStr for AddressRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid { text: text.to_owned() };
        let address = |part: &str| part.trim().parse::<IpAddr>().map_err(|_| invalid());
        let (first, last) = if let Ok(net) = text.parse::<IpNet>() {
            (net.network(), net.broadcast())
        } else if let Some((first, last)) = text.split_once('-') {
            (address(first)?, address(last)?)
        } else {
            let only = address(text)?;
            (only, only)
        };
        if Family::of(&first) != Family::of(&last) || first > last {
            return Err(invalid());
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for AddressRange {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return self.first.fmt(out);
        }
        write!(out, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, written) in [
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.7-10.0.0.9", "10.0.0.7-10.0.0.9"),
            ("10.0.0.8/30", "10.0.0.8-10.0.0.11"),
            ("fd00::1 - fd00::f", "fd00::1-fd00::f"),
        ] {
            let range: AddressRange = text.parse().unwrap();
            assert_eq!(range.to_string(), written);
            assert_eq!(written.parse(), Ok(range));
        }
    }

    #[test]
    fn refuses_what_is_no_range() {
        for text in ["", "-", "10.0.0.9-10.0.0.7", "10.0.0.1-fd00::1", "10.0.0.0/33", "10.0.0.1-"] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
    }
}
