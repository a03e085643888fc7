//! Stores that keep a file an address: those of the CNI plugin host-local, and podnet's own in the same layout.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub held: Vec<StoredAddress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
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
