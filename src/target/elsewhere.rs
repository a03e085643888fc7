//! A pod that is not found here, but that the cluster knows.

use super::candidate::Candidate;
use crate::model::kube::pod::KubePod;

/// Why it is not here.
#[derive(Debug, thiserror::Error)]
pub enum Elsewhere {
    #[error("the pod {pod} is not on this node ({this}), but on {node}{address}")]
    OtherNode { pod: String, this: String, node: String, address: String },
    #[error("the pod {pod} is on no node yet{why}")]
    Unscheduled { pod: String, why: String },
    #[error("the pod {pod} belongs on this node, but nothing of it runs here: {state}")]
    NotRunning { pod: String, state: String },
    #[error("«{text}» is not on this node; the cluster has several pods of that name")]
    Several { text: String, candidates: Vec<Candidate> },
}

/// Tells of the pods of that name which the cluster has; None where there are none. `this` is this node's name in the
/// cluster.
pub fn elsewhere(text: &str, this: &str, pods: &[KubePod]) -> Option<Elsewhere> {
    match pods {
        [] => None,
        [pod] => Some(of_one(this, pod)),
        several => {
            Some(Elsewhere::Several { text: text.to_owned(), candidates: several.iter().map(candidate).collect() })
        }
    }
}

fn of_one(this: &str, pod: &KubePod) -> Elsewhere {
    let name = format!("{}/{}", pod.namespace, pod.name);
    match pod.node_name.as_deref() {
        Some(node) if node != this => {
            let address = pod.host_ip.as_ref().map(|ip| format!(" ({ip})")).unwrap_or_default();
            Elsewhere::OtherNode { pod: name, this: this.to_owned(), node: node.to_owned(), address }
        }
        Some(_) => Elsewhere::NotRunning { pod: name, state: pod.standing() },
        None => {
            let scheduled = pod.conditions.iter().find(|condition| condition.kind == "PodScheduled");
            let why = scheduled.and_then(|condition| condition.message.clone().or_else(|| condition.reason.clone()));
            Elsewhere::Unscheduled { pod: name, why: why.map(|why| format!(": {why}")).unwrap_or_default() }
        }
    }
}

fn candidate(pod: &KubePod) -> Candidate {
    Candidate {
        spelling: format!("pod:{}/{}", pod.namespace, pod.name),
        name: pod.node_name.clone().map_or_else(|| "on no node yet".to_owned(), |node| format!("on {node}")),
        reason: "pod",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kube::pod::{Condition, ContainerStatus};

    #[test]
    fn each_pod_is_said_where_it_is() {
        let pod = |node: Option<&str>| KubePod {
            namespace: "demo".into(),
            name: "far".into(),
            node_name: node.map(str::to_owned),
            host_ip: Some("10.252.0.3".into()),
            phase: "Pending".into(),
            conditions: vec![Condition {
                kind: "PodScheduled".into(),
                message: Some("0/2 nodes".into()),
                ..Condition::default()
            }],
            containers: vec![ContainerStatus {
                name: "app".into(),
                reason: Some("ContainerCreating".into()),
                ..ContainerStatus::default()
            }],
            ..KubePod::default()
        };
        let said = |pods: &[KubePod]| elsewhere("far", "vm", pods).map(|found| found.to_string());
        assert_eq!(said(&[]), None);
        assert_eq!(
            said(&[pod(Some("vm2"))]).unwrap(),
            "the pod demo/far is not on this node (vm), but on vm2 (10.252.0.3)"
        );
        assert_eq!(said(&[pod(None)]).unwrap(), "the pod demo/far is on no node yet: 0/2 nodes");
        assert!(
            said(&[pod(Some("vm"))]).unwrap().ends_with("nothing of it runs here: Pending, app: ContainerCreating")
        );
        assert!(
            matches!(elsewhere("far", "vm", &[pod(None), pod(Some("vm2"))]), Some(Elsewhere::Several { candidates, .. }) if candidates[1].name == "on vm2")
        );
    }
}
