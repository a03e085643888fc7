//! The API server, and what it says of the node.

use super::Part;
use crate::model::kube::Kubernetes;
use crate::model::node::Node;
use crate::model::source::Asked;

pub(super) fn part(node: &Node, asked: &Asked) -> Part {
    let Some(told) = &node.kubernetes else { return Part::silent("kubernetes", asked) };
    let mut part = Part::new("kubernetes");
    part.fact("version", told.version.as_ref());
    part.fact("server", Some(&told.server));
    part.fact("node", Some(&told.node_name));
    part.fact("pods", told.pods.as_ref().map(Vec::len));
    part.fact("as", Some(&told.credentials));
    conditions(&mut part, told);
    for unread in &told.unread {
        let why = format!("not read: {}", unread.told());
        // What RBAC does not allow podnet is no fault of the server's.
        if unread.rule.is_some() { part.why.push(why) } else { part.degrade(why) }
    }
    part
}

/// Of the Node: Ready must be true, all others (pressure, unavailability) false.
fn conditions(part: &mut Part, told: &Kubernetes) {
    let Some(node) = &told.node else {
        if !told.unread.iter().any(|unread| unread.resource == "nodes") {
            part.degrade(format!("the cluster has pods for the node {}, but no such node", told.node_name));
        }
        return;
    };
    for condition in &node.conditions {
        let good = if condition.kind == "Ready" { "True" } else { "False" };
        if condition.status != good {
            let why = [condition.reason.clone(), condition.message.clone()].into_iter().flatten().collect::<Vec<_>>();
            part.degrade(format!("node condition {} {}: {}", condition.kind, condition.status, why.join(": ")));
        }
    }
}
