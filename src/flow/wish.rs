//! What is asked for.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::agent::Agent;
use super::delegate::Delegate;
use crate::ipam::Owner;
use crate::model::mac::Mac;

/// The least MTU of IPv6 (RFC 8200, 5), and of IPv4 (RFC 791): the kernel takes away the family of a smaller one.
pub const LEAST_MTU_IPV6: u32 = 1280;
pub const LEAST_MTU_IPV4: u32 = 68;
/// `ETH_MAX_MTU`.
pub const LARGEST_MTU: u32 = 65535;

/// An interface for a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    pub owner: Owner,
    /// Name of the network, for the CNI result and its cache.
    pub network: String,
    pub place: Place,
    /// The pool of each family; none for a family that is not wanted.
    pub ipv4_pool: Option<String>,
    pub ipv6_pool: Option<String>,
    /// Addresses asked for by name, one of a family at most.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Of the pod's end; else a random one.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// Of both ends; else that of the host's uplink.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Let pods with a private address reach the outside as the host.
    pub masquerade: bool,
    /// Root of the address store.
    pub store: PathBuf,
    /// The plugin that gives the addresses in the place of the store.
    #[serde(default)]
    pub delegate: Option<Delegate>,
    /// The agent that the pod is to be of; then pools and MTU are its own, and so is what the host does.
    #[serde(default)]
    pub agent: Option<Agent>,
}

/// The netns of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// One that is there, by a path that leads to it.
    Path(PathBuf),
    /// A new one, mounted as `ip netns` does.
    Named(String),
}

/// Where `ip netns` mounts.
pub const NETNS_DIRECTORY: &str = "/run/netns";

impl Place {
    pub fn path(&self) -> PathBuf {
        match self {
            Place::Path(path) => path.clone(),
            Place::Named(name) => PathBuf::from(NETNS_DIRECTORY).join(name),
        }
    }
}

/// Why a wish cannot be granted, whatever the node is like.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("an MTU of {mtu} is out of range: {least} to {LARGEST_MTU}")]
    Mtu { mtu: u32, least: u32 },
    #[error("{mac} is no address of one interface: it is a group's, or zero")]
    Mac { mac: Mac },
    #[error("«{name}» is no name for a netns: no slash, not . or .., 1 to 200 bytes of A-Z a-z 0-9 _ . -")]
    Netns { name: String },
}

impl Wish {
    pub fn validate(&self) -> Result<(), Invalid> {
        let least = if self.ipv6_pool.is_some() { LEAST_MTU_IPV6 } else { LEAST_MTU_IPV4 };
        if let Some(mtu) = self.mtu.filter(|mtu| !(least..=LARGEST_MTU).contains(mtu)) {
            return Err(Invalid::Mtu { mtu, least });
        }
        let unusable = |mac: &Mac| mac.0.first().is_some_and(|first| first & 1 != 0) || mac.0 == [0; 6];
        if let Some(mac) = self.mac.filter(unusable) {
            return Err(Invalid::Mac { mac });
        }
        match &self.place {
            // A name is held to the rules of a container ID, which is what it becomes.
            Place::Named(name) if Owner::new(name, self.owner.ifname()).is_err() => {
                Err(Invalid::Netns { name: name.clone() })
            }
            _ => Ok(()),
        }
    }
}
