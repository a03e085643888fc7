//! A network agent in the place of podnet's own books: it gives the addresses, is told of the endpoint, and its
//! programs do the routing.

pub mod client;
pub mod conf;
pub mod queue;
pub mod request;

use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::collect::cilium::SOCKET;
use crate::model::agent::{FamilyAddressing, PodSettings};
use crate::model::link::Offload;

/// The Cilium agent that is to register the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub socket: PathBuf,
    /// How long to wait until it listens, in milliseconds: a runtime waits longer than a person.
    pub patience_ms: u64,
    /// The pod in Kubernetes; without one the endpoint has no labels, and no policy selects it.
    #[serde(default)]
    pub pod: Option<Pod>,
    /// Of its pools (multi-pool); else it chooses.
    #[serde(default)]
    pub pool: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    #[serde(default)]
    pub uid: Option<String>,
}

/// What the agent said and was told so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    pub config: Config,
    #[serde(default)]
    pub given: Vec<Given>,
    /// When it gave them.
    #[serde(default)]
    pub given_at: Option<Timestamp>,
    /// The endpoint came to be: from then on its addresses are the agent's to take back.
    #[serde(default)]
    pub registered: bool,
    /// The endpoint was deleted, and with it the agent takes its addresses back.
    #[serde(default)]
    pub deleted: bool,
}

/// Of its configuration, what an interface needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    pub version: Version,
    /// veth, netkit, netkit-l2.
    pub datapath: String,
    pub ipam: String,
    pub device_mtu: u32,
    /// Of the default route; none where it is the device's.
    #[serde(default)]
    pub route_mtu: Option<u32>,
    #[serde(default)]
    pub offload: Offload,
    #[serde(default)]
    pub settings: PodSettings,
    #[serde(default)]
    pub families: Vec<FamilyAddressing>,
}

/// Major and minor.
pub type Version = (u32, u32);

/// An address of the agent's, with what has to be said when it is used or given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    pub address: IpAddr,
    #[serde(default)]
    pub pool: Option<String>,
    /// Of the timer by which the agent takes it back unless an endpoint comes with it.
    #[serde(default)]
    pub expiration: Option<String>,
}

impl Agent {
    /// Whom the agent is told that an address is for.
    pub fn owner(&self, container_id: &str) -> String {
        match &self.pod {
            Some(pod) => format!("{}/{}", pod.namespace, pod.name),
            None => container_id.to_owned(),
        }
    }

    /// Where its socket is, and its deletion queue.
    pub fn run_directory(&self) -> PathBuf {
        self.socket.parent().map(PathBuf::from).unwrap_or_default()
    }
}

impl Told {
    /// Whether nobody else can have the addresses by now: the agent takes back what no endpoint came with after ten
    /// minutes, and then gives it to others.
    pub fn is_surely_ours(&self, now: Timestamp) -> bool {
        const SAFE_SECONDS: i64 = 9 * 60;
        let age = self.given_at.map(|then| now.as_second().saturating_sub(then.as_second()));
        !self.registered && age.is_some_and(|age| (0..SAFE_SECONDS).contains(&age))
    }
}

impl Config {
    /// The pods' gateway: the agent's address on this node.
    pub fn router(&self, address: IpAddr) -> Option<IpAddr> {
        let of_family = |family: &&FamilyAddressing| {
            family.enabled && family.router.is_some_and(|router| router.is_ipv4() == address.is_ipv4())
        };
        self.families.iter().find(of_family)?.router
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_surely_ours_until_its_timer_may_have_run_out() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let told = |registered| Told { given_at: Some(at(1000)), registered, ..Told::default() };
        assert!(told(false).is_surely_ours(at(1010)));
        assert!(!told(false).is_surely_ours(at(1000 + 600)), "another may have it");
        assert!(!told(false).is_surely_ours(at(10)), "the clock was set back");
        assert!(!told(true).is_surely_ours(at(1010)), "it went with the endpoint");
        assert!(!Told::default().is_surely_ours(at(1010)));
    }
}
