//! What was made for a container's interface, as those who made it wrote down: libcni's cache of ADD results, podnet's
//! journals, and the runtime's own books.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address_store::AddressRange;
use super::mac::Mac;
use super::netns::Inode;
use super::workload::Pod;

/// Who wrote down what was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// libcni, for the runtime that called the plugins.
    #[default]
    CniCache,
    /// podnet itself, of `podnet create`.
    Podnet,
}

impl Keeper {
    /// Its name under «sources».
    pub fn source(self) -> &'static str {
        match self {
            Keeper::CniCache => "cni cache",
            Keeper::Podnet => "podnet's journals",
        }
    }

    /// As evidence names it.
    pub fn word(self) -> &'static str {
        match self {
            Keeper::CniCache => "CNI cache",
            Keeper::Podnet => "podnet's journal",
        }
    }
}

/// One file of libcni's cache, the result of an ADD; or one of podnet's journals, of what `podnet create` made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    #[serde(default)]
    pub kept_by: Keeper,
    pub file: String,
    /// When the file was written: the time of the ADD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    pub network: String,
    pub container_id: String,
    /// The name of the interface inside.
    pub ifname: String,
    /// Where the runtime had mounted the netns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// The namespace that it was made in, where that still is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns_inode: Option<Inode>,
    /// From `CNI_ARGS`, which kubelet's runtimes fill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The types of the plugins that made it, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<String>,
    /// The type of the address plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam: Option<String>,
    /// What that gives addresses from, where its configuration says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<AddressRange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<AttachedInterface>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AttachedAddress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<AttachedRoute>,
    /// Why the file tells nothing of an attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachedInterface {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether it is the container's; else it is the host's.
    pub in_sandbox: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachedAddress {
    #[schemars(with = "String")]
    pub address: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The interface that got it, where the result says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachedRoute {
    #[schemars(with = "String")]
    pub destination: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

impl Attachment {
    /// Of the runtime's own doing, not of a network's: containerd and CRI-O keep one for `lo`.
    pub fn is_loopback(&self) -> bool {
        self.ifname == "lo"
    }

    pub fn is_of_interface(&self, container_id: &str, ifname: &str) -> bool {
        self.container_id == container_id && self.ifname == ifname
    }

    /// Its interfaces inside.
    pub fn inside(&self) -> impl Iterator<Item = &AttachedInterface> {
        self.interfaces.iter().filter(|interface| interface.in_sandbox)
    }

    /// … and on the host.
    pub fn on_host(&self) -> impl Iterator<Item = &AttachedInterface> {
        self.interfaces.iter().filter(|interface| !interface.in_sandbox)
    }
}

/// What a runtime that makes networks itself (Docker, Podman) says of one that it joined a container to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeNetwork {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
}
