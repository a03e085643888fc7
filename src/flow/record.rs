//! What was asked and what has been made so far: all that an undo needs to know.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::names;
use super::wish::Wish;
use crate::ipam::LeasedAddress;
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

impl Record {
    /// Of a wish of which nothing has been done.
    pub fn new(wish: Wish) -> Self {
        let end = |name: String| End { name, ifindex: 0, mac: None };
        let host = end(names::host_interface(&wish.owner));
        let pod = end(wish.owner.ifname().to_owned());
        Self { wish, host, pod, mtu: 0, netns: None, addresses: Vec::new(), masqueraded: Vec::new() }
    }

    pub fn netns_path(&self) -> PathBuf {
        self.wish.place.path()
    }
}
