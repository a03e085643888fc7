//! Everything that was read from one node, in one go.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::netns::{Inode, NetnsState};
use super::source::Asked;
use super::workload::Workload;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub hostname: String,
    pub collected_at: Timestamp,
    /// The netns of PID 1 as podnet sees it.
    pub host_netns: Inode,
    pub workloads: Vec<Workload>,
    /// Every namespace found, also those that could not be read.
    pub namespaces: Vec<NetnsState>,
    pub sources: Vec<Asked>,
}

impl Node {
    pub fn namespace(&self, inode: Inode) -> Option<&NetnsState> {
        self.namespaces.iter().find(|state| state.netns.inode == inode)
    }
}
