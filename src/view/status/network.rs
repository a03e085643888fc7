//! The network that a runtime picked among the CNI configurations.

use super::{Part, PartState};
use crate::model::network::{NetworkFile, NetworkReader, Standing};
use crate::model::node::Node;

pub(super) fn part(node: &Node, reader: &NetworkReader) -> Part {
    let mut part = Part::new("cni");
    let blocking = reader.files.iter().find(|file| file.standing == Standing::Blocks);
    match (reader.picked(), &reader.problem) {
        (_, Some(problem)) => part.degrade(problem),
        (Some(file), None) => in_force(&mut part, reader, file),
        (None, None) => {
            part.fact("for", reader.runtime.as_ref());
            part.fact("reads", Some(&reader.directory));
            match blocking {
                Some(file) => part.degrade(format!(
                    "{} is damaged, and so pods get no network: {}",
                    file.path,
                    file.problem.as_deref().unwrap_or_default()
                )),
                None => without_network(&mut part, node, reader),
            }
        }
    }
    part
}

fn in_force(part: &mut Part, reader: &NetworkReader, file: &NetworkFile) {
    part.fact("network", file.network.as_ref());
    part.fact("plugins", Some(file.plugins.join(", ")));
    part.fact("file", Some(&file.path));
    part.fact("for", reader.runtime.as_ref());
    let others = reader.files.iter().filter(|other| other.path != file.path && other.standing != Standing::Also);
    part.fact("not used", Some(others.map(|other| other.path.clone()).collect::<Vec<_>>().join(", ")));
    for missing in &file.missing {
        part.degrade(format!("its plugin {missing} is not in {}", reader.plugin_directories.join(" or ")));
    }
    for refused in &file.not_executable {
        part.degrade(format!("its plugin {refused} may not be executed"));
    }
}

/// Docker's own networks need none; the kubelet's pods do.
fn without_network(part: &mut Part, node: &Node, reader: &NetworkReader) {
    let why = match reader.files.as_slice() {
        [] => format!("no network in {}", reader.directory),
        files => format!("none of the {} files in {} can be used", files.len(), reader.directory),
    };
    let has_pods = node.workloads.iter().any(|workload| workload.pod.is_some());
    if has_pods || reader.runtime.is_some() && !reader.files.is_empty() {
        part.degrade(format!("{why}: new pods get no network"));
    } else {
        part.state = PartState::Absent;
        part.why.push(why);
    }
}
