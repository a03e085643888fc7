//! The container runtimes.

use super::{Part, source_of};
use crate::model::node::Node;
use crate::model::source::Status;

pub(super) fn part(node: &Node, name: &str) -> Option<Part> {
    let asked = source_of(node, name)?;
    if asked.status != Status::Present {
        // Whether there is storage says nothing where there is no Podman.
        return (name != "podman storage").then(|| Part::silent(name, asked));
    }
    let mut part = Part::new(name);
    let (version, count) = match asked.detail.as_deref().and_then(|detail| detail.rsplit_once(", ")) {
        Some((version, count)) => (Some(version), Some(count)),
        None => (None, asked.detail.as_deref()),
    };
    part.fact("version", version);
    part.fact("with", count);
    Some(part)
}
