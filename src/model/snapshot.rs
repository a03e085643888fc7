//! A node as it was at one moment, with all that views and rules look at: what `podnet snapshot save` writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::endpoint::StatusChange;
use super::netns::Inode;
use super::node::Node;
use super::workload::Workload;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub api_version: String,
    pub kind: String,
    /// The version of podnet that took it.
    pub podnet: String,
    /// What was taken out of it, by place.
    pub left_out: Vec<LeftOut>,
    pub node: Node,
    /// The look before that one, where something was wrong: what only one of two looks shows was being made, or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Node>,
    /// What runtimes tell of a workload only when they are asked for it alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closer: Vec<CloserLook>,
    /// The whole log of each endpoint; a list of endpoints holds the newest line only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<History>,
    /// The processes in each namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Inhabitants>,
    /// podnet's own pools, as `podnet ipam pool list` has them under «items».
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<serde_json::Value>,
    /// Containers that podnet was setting up or tearing down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub busy: Vec<String>,
    /// Findings that this node's operator has reasons for (`/etc/podnet/check.yaml`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Exception>,
}

/// A value that was replaced, or left away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// A JSON Pointer (RFC 6901) into the snapshot.
    pub place: String,
    pub because: Because,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// Its name speaks of a secret.
    Name,
    /// A part of it looks like a secret.
    Value,
    /// It tells this machine from all others (machine-id(5)).
    Identity,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloserLook {
    /// Index into `node.workloads`.
    pub index: usize,
    pub workload: Workload,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The endpoint's id.
    pub endpoint: u32,
    /// Newest first.
    pub log: Vec<StatusChange>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inhabitants {
    pub netns: Inode,
    pub pids: Vec<u32>,
}

/// A finding that is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exception {
    pub rule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    pub reason: String,
}

impl Snapshot {
    /// The namespace of a process.
    pub fn netns_of(&self, pid: u32) -> Option<Inode> {
        self.processes.iter().find(|inhabitants| inhabitants.pids.contains(&pid)).map(|inhabitants| inhabitants.netns)
    }

    /// The whole log of an endpoint, where it was told.
    pub fn log(&self, endpoint: u32) -> Option<&[StatusChange]> {
        self.logs.iter().find(|history| history.endpoint == endpoint).map(|history| history.log.as_slice())
    }

    /// A workload as its runtime tells it when it is asked for it alone.
    pub fn closer(&self, index: usize) -> Option<&Workload> {
        self.closer.iter().find(|look| look.index == index).map(|look| &look.workload)
    }
}
