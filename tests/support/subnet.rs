//! A subnet and an interface name that no other test on this machine has.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// `10.213.N.0/24`, claimed by an abstract socket: the kernel frees it when the process ends.
pub struct Subnet {
    number: u8,
    _claim: UnixListener,
}

impl Subnet {
    pub fn claim() -> Self {
        let claim = |number: u8| {
            let address = SocketAddr::from_abstract_name(format!("podnet-test-subnet-{number}")).ok()?;
            let _claim = UnixListener::bind_addr(&address).ok()?;
            Some(Self { number, _claim })
        };
        (0..=u8::MAX).find_map(claim).expect("a free subnet below 10.213.0.0/16")
    }

    pub fn cidr(&self) -> String {
        format!("10.213.{}.0/24", self.number)
    }

    pub fn address(&self, host: u8) -> String {
        format!("10.213.{}.{host}", self.number)
    }

    pub fn contains(&self, address: &str) -> bool {
        address.strip_prefix(&format!("10.213.{}.", self.number)).is_some_and(|host| host.parse::<u8>().is_ok())
    }

    /// The bridge's name.
    pub fn bridge(&self) -> String {
        format!("pnt-br{}", self.number)
    }
}
