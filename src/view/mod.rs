//! What a command answers: pure functions from the model to the documents that `-o json` prints.

pub mod bench;
pub mod chain;
pub mod cni;
pub mod creation;
pub mod disagreement;
pub mod endpoint;
pub mod error;
pub mod exec;
pub mod gc;
mod host_route;
pub mod inspected_endpoint;
pub mod inspected_ipam;
pub mod inspection;
pub mod installation;
pub mod ipam;
pub mod ipam_check;
pub mod kube;
pub mod list;
pub mod node_ipam;
pub mod schema;
pub mod snapshot;
mod snapshot_facts;
pub mod status;

/// Of every document (`apiVersion`).
pub const API_VERSION: &str = "podnet/v1";
