//! `podnet endpoint`: what the Cilium agent believes of the pods of this node.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::model::endpoint::{Endpoint, PodName, QueuedDelete, StatusChange};
use crate::model::node::Node;
use crate::model::source::Asked;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointList {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    pub collected_at: Timestamp,
    pub items: Vec<Endpoint>,
    /// Deletes that wait for the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queued_deletes: Vec<QueuedDelete>,
    pub sources: Vec<Asked>,
}

/// One of them, with its whole status log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointReport {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    pub collected_at: Timestamp,
    pub endpoint: Endpoint,
    pub sources: Vec<Asked>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointLog {
    pub api_version: String,
    pub kind: String,
    pub node: String,
    pub collected_at: Timestamp,
    pub id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodName>,
    /// Newest first.
    pub items: Vec<StatusChange>,
    pub sources: Vec<Asked>,
}

pub fn list(node: Node) -> EndpointList {
    EndpointList {
        api_version: API_VERSION.to_owned(),
        kind: "EndpointList".to_owned(),
        node: node.hostname,
        collected_at: node.collected_at,
        items: node.endpoints,
        queued_deletes: node.queued_deletes,
        sources: node.sources,
    }
}

pub fn report(node: &Node, endpoint: Endpoint) -> EndpointReport {
    EndpointReport {
        api_version: API_VERSION.to_owned(),
        kind: "Endpoint".to_owned(),
        node: node.hostname.clone(),
        collected_at: node.collected_at,
        endpoint,
        sources: node.sources.clone(),
    }
}

pub fn log(node: &Node, endpoint: Endpoint) -> EndpointLog {
    EndpointLog {
        api_version: API_VERSION.to_owned(),
        kind: "EndpointLog".to_owned(),
        node: node.hostname.clone(),
        collected_at: node.collected_at,
        id: endpoint.id,
        pod: endpoint.pod,
        items: endpoint.log,
        sources: node.sources.clone(),
    }
}
