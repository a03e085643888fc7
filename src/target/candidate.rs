//! How each of several that fit is called, and the spelling that picks it.

use super::find::Match;
use crate::model::node::Node;
use crate::model::workload::Workload;

/// One of several that fit, with the spelling that picks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub spelling: String,
    pub name: String,
    pub reason: &'static str,
}

/// How to name exactly this one.
pub(super) fn spelling(workload: &Workload) -> String {
    let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
    match (&workload.runtime, &workload.id, workload.pid) {
        (Some(runtime), Some(id), _) => format!("{runtime}://{}", short(id)),
        (None, Some(id), _) => format!("container:{}", short(id)),
        (_, None, Some(pid)) => format!("pid:{pid}"),
        _ => workload.name.clone().unwrap_or_default(),
    }
}

pub(super) fn candidate(node: &Node, found: &Match) -> Candidate {
    let workload = found.pick.workload.and_then(|index| node.workloads.get(index));
    let netns = |inode| if inode == node.host_netns { "the host".to_owned() } else { format!("netns {inode}") };
    let endpoint = found.pick.endpoint.and_then(|index| node.endpoints.get(index)?.called());
    let name = workload.map(called).or(endpoint).or_else(|| found.pick.netns.map(netns)).unwrap_or_default();
    Candidate { spelling: found.spelling.clone(), name, reason: found.reason }
}

/// A workload as one of several to choose from.
pub fn candidate_of(workload: &Workload, reason: &'static str) -> Candidate {
    Candidate { spelling: spelling(workload), name: called(workload), reason }
}

fn called(workload: &Workload) -> String {
    let pod = workload.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name));
    pod.or_else(|| workload.name.clone()).or_else(|| workload.process.clone()).unwrap_or_default()
}
