//! TCP and UDP sockets, as sock_diag tells them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sockets {
    /// TCP sockets in LISTEN and unconnected UDP sockets.
    pub listeners: Vec<Socket>,
    /// `tcp/established` → 12.
    pub count_by_state: BTreeMap<String, u32>,
    /// Every socket that is no listener; filled only where asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Socket>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Socket {
    /// `tcp` or `udp`.
    pub protocol: String,
    pub state: String,
    pub local: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<SocketAddr>,
    pub inode: u32,
    pub receive_queue: u32,
    pub send_queue: u32,
    /// The process that holds it, where `/proc/PID/fd` may be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<SocketProcess>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SocketProcess {
    pub pid: u32,
    pub name: String,
}
