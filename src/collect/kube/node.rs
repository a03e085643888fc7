//! A Node as the API server writes it.

use serde::Deserialize;

use super::pod::Metadata;
use crate::model::kube::node::{KubeNode, NodeAddress};
use crate::model::kube::pod::Condition;

#[derive(Deserialize)]
pub struct Node {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
    taints: Option<Vec<Taint>>,
    unschedulable: bool,
}

#[derive(Deserialize)]
struct Taint {
    #[serde(default)]
    key: String,
    value: Option<String>,
    #[serde(default)]
    effect: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeStatus {
    addresses: Option<Vec<NodeAddress>>,
    conditions: Option<Vec<Condition>>,
    node_info: NodeInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeInfo {
    #[serde(rename = "bootID")]
    boot_id: Option<String>,
    #[serde(rename = "kubeletVersion")]
    kubelet_version: Option<String>,
}

impl From<Node> for KubeNode {
    fn from(Node { metadata, spec, status }: Node) -> Self {
        let mut pod_cidrs = spec.pod_cidrs.unwrap_or_default();
        pod_cidrs.extend(spec.pod_cidr.filter(|cidr| !cidr.is_empty() && !pod_cidrs.contains(cidr)));
        let taint = |taint: Taint| {
            let value = taint.value.filter(|value| !value.is_empty()).map(|value| format!("={value}"));
            format!("{}{}:{}", taint.key, value.unwrap_or_default(), taint.effect)
        };
        KubeNode {
            name: metadata.name,
            uid: metadata.uid,
            pod_cidrs,
            addresses: status.addresses.unwrap_or_default(),
            conditions: status.conditions.unwrap_or_default(),
            taints: spec.taints.into_iter().flatten().map(taint).collect(),
            unschedulable: spec.unschedulable,
            kubelet_version: status.node_info.kubelet_version,
            boot_id: status.node_info.boot_id.filter(|id| !id.is_empty()),
        }
    }
}
