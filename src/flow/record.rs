//! What was asked and what has been made so far: all that an undo needs to know.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::agent::Told;
use super::names;
use super::wish::Wish;
use crate::cni::result::Dns;
use crate::ipam::LeasedAddress;
use crate::model::address::Family;
use crate::model::mac::Mac;
use crate::model::netns::Inode;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub wish: Wish,
    /// The host's end of the pair.
    pub host: End,
    /// The pod's end.
    pub pod: End,
    /// Of both ends; 0 until the plan is made.
    #[serde(default)]
    pub mtu: u32,
    #[serde(default)]
    pub netns: Option<Inode>,
    #[serde(default)]
    pub addresses: Vec<LeasedAddress>,
    /// What a delegated plugin said of name servers.
    #[serde(default)]
    pub dns: Dns,
    /// Where an agent registers it.
    #[serde(default)]
    pub agent: Option<Told>,
    /// Those that leave the node under its own address.
    #[serde(default)]
    pub masqueraded: Vec<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    pub name: String,
    /// 0 until it exists.
    #[serde(default)]
    pub ifindex: u32,
    #[serde(default)]
    pub mac: Option<Mac>,
}

/// An address as previews show it.
pub struct Shown {
    pub address: String,
    pub gateway: String,
    pub family: Family,
}

impl Record {
    /// Of a wish of which nothing has been done.
    pub fn new(wish: Wish) -> Self {
        let end = |name: String| End { name, ifindex: 0, mac: None };
        let host = end(names::host_interface(&wish.owner));
        let pod = end(wish.owner.ifname().to_owned());
        Self {
            wish,
            host,
            pod,
            mtu: 0,
            netns: None,
            addresses: Vec::new(),
            dns: Dns::default(),
            agent: None,
            masqueraded: Vec::new(),
        }
    }

    /// The addresses for previews; before they are known, a word in the place of each.
    pub fn shown_addresses(&self) -> Vec<Shown> {
        if !self.addresses.is_empty() {
            let shown = |leased: &LeasedAddress| Shown {
                address: leased.address.addr().to_string(),
                gateway: leased.gateway.to_string(),
                family: Family::of(&leased.gateway),
            };
            return self.addresses.iter().map(shown).collect();
        }
        let families = [(Family::Ipv4, &self.wish.ipv4_pool, "4"), (Family::Ipv6, &self.wish.ipv6_pool, "6")];
        let routed = |family: Family| match &self.agent {
            Some(told) => told.config.families.iter().any(|each| each.family == family && each.enabled),
            None => true,
        };
        let wanted = families.into_iter().filter(|(family, pool, _)| pool.is_some() && routed(*family));
        wanted
            .map(|(family, _, digit)| Shown {
                address: format!("ADDRESS{digit}"),
                gateway: format!("GATEWAY{digit}"),
                family,
            })
            .collect()
    }

    /// Of the default route, where it is not the link's.
    pub fn route_mtu(&self) -> Option<u32> {
        self.agent.as_ref().and_then(|told| told.config.route_mtu)
    }

    /// Whether the pod is to have an address of that family.
    pub fn has(&self, family: Family) -> bool {
        let pool = match family {
            Family::Ipv4 => &self.wish.ipv4_pool,
            Family::Ipv6 => &self.wish.ipv6_pool,
        };
        match self.wish.agent {
            Some(_) => self.addresses.iter().any(|leased| Family::of(&leased.gateway) == family),
            None => pool.is_some(),
        }
    }

    pub fn netns_path(&self) -> PathBuf {
        self.wish.place.path()
    }
}
