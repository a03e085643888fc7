//! The kernel, and what of it Cilium depends on.

use super::{Part, PartState};
use crate::model::node::Node;

/// Where Cilium keeps its maps when nothing is mounted at the usual place; the usual place.
const BPF_PLACES: [&str; 2] = ["/sys/fs/bpf", "/run/cilium/bpffs"];

pub(super) fn parts(node: &Node) -> Vec<Part> {
    let Some(kernel) = &node.kernel else { return Vec::new() };
    let mut release = Part::new("kernel");
    release.fact("release", Some(&kernel.release));
    let mut bpf = Part::new("bpf file system");
    let places: Vec<&String> =
        kernel.bpf_file_systems.iter().filter(|place| BPF_PLACES.contains(&place.as_str())).collect();
    bpf.fact("at", places.first().or(kernel.bpf_file_systems.first().as_ref()));
    match (places.is_empty(), &node.agent) {
        (false, _) => {}
        (true, None) => {
            bpf.state = PartState::Absent;
            bpf.why.push(format!("none at {}, where programs and maps outlive those who loaded them", BPF_PLACES[0]));
        }
        (true, Some(_)) => {
            bpf.degrade(format!("the Cilium agent runs, and podnet sees none at {}", BPF_PLACES.join(" or ")))
        }
    }
    vec![release, bpf]
}
