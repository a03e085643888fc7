//! What of a snapshot a command would have read by itself: each asks its own sources, and shows those that it asked.

use serde_json::Value;

use super::redact::redact;
use crate::model::agent;
use crate::model::node::Node;
use crate::model::snapshot::Snapshot;
use crate::model::source::Asked;

/// Of Cilium, by their names under «sources».
const OF_CILIUM: [&str; 4] = [agent::SOURCE, "cilium state", "cilium maps", "endpoint log"];
/// Of others that `list` does not ask.
const OF_INSPECT: [&str; 4] = ["cni cache", "podnet's journals", "host-local", "podnet's addresses"];
const KUBERNETES: &str = "kubernetes";

/// As `list` reads it; the API server is asked only by who wants it.
pub fn listed(mut node: Node, kubernetes: bool) -> Node {
    let others = |source: &Asked| {
        let name = source.name.as_str();
        OF_CILIUM.contains(&name) || OF_INSPECT.contains(&name) || (name == KUBERNETES && !kubernetes)
    };
    node.sources.retain(|source| !others(source));
    node.kubernetes = node.kubernetes.filter(|_| kubernetes);
    node
}

/// As `endpoint` reads it.
pub fn of_endpoints(mut node: Node) -> Node {
    node.sources.retain(|source| OF_CILIUM.contains(&source.name.as_str()));
    node
}

/// As `ipam` reads it; the API server is asked only where the agent does not tell how many addresses there are.
pub fn of_addresses(mut node: Node, kubernetes: bool) -> Node {
    node.sources.retain(|source| {
        let name = source.name.as_str();
        (OF_CILIUM.contains(&name) && name != "endpoint log")
            || OF_INSPECT.contains(&name)
            || (name == KUBERNETES && kubernetes)
    });
    node.kubernetes = node.kubernetes.filter(|_| kubernetes);
    node
}

/// As it is written: without secrets, and saying so.
pub fn sealed(snapshot: &Snapshot) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(snapshot)?;
    let left_out = serde_json::to_value(redact(&mut value))?;
    if let Some(slot) = value.get_mut("leftOut") {
        *slot = left_out;
    }
    Ok(value)
}
