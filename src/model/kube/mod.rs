//! What the Kubernetes API server told of this node.

pub mod cilium;
pub mod node;
pub mod pod;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cilium::{CiliumEndpoint, CiliumIdentity, CiliumNode, CiliumPodIpPool, SliceEndpoint};
use node::KubeNode;
use pod::KubePod;

/// A list that is absent was not asked for or not told, and then `unread` says why; one that is empty was told to be
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubernetes {
    /// The API server's URL.
    pub server: String,
    /// Its version, as `gitVersion` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The kubeconfig, or the service account's directory.
    pub credentials: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The name that this machine was looked for by.
    pub node_name: String,
    /// What told the name: an environment variable, the kubelet's flag, the hostname.
    pub node_name_from: String,
    /// Absent as well where the cluster has no such node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<KubeNode>,
    /// Those that the scheduler gave to this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<Vec<KubePod>>,
    /// Cilium's resources that podnet reads, with the version that it read; absent where the cluster's Cilium was not
    /// asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<Served>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cilium_node: Option<CiliumNode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pools: Option<Vec<CiliumPodIpPool>>,
    /// Of the pods that were asked about (`askedAbout`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<CiliumEndpoint>>,
    /// What CiliumEndpointSlices tell other nodes about the same pods; absent where the cluster has no slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices: Option<Vec<SliceEndpoint>>,
    /// The identities that those endpoints name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identities: Option<Vec<CiliumIdentity>>,
    /// `NAMESPACE/POD` of each pod whose endpoint was asked for and told of: that it is, or that there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_about: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

impl Kubernetes {
    /// The pod of that name, on this node.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&KubePod> {
        self.pods.iter().flatten().find(|pod| pod.namespace == namespace && pod.name == name)
    }

    /// The CiliumEndpoint of that pod.
    pub fn endpoint(&self, namespace: &str, name: &str) -> Option<&CiliumEndpoint> {
        self.endpoints.iter().flatten().find(|endpoint| endpoint.namespace == namespace && endpoint.name == name)
    }

    /// The CiliumIdentity of that number.
    pub fn identity(&self, id: u64) -> Option<&CiliumIdentity> {
        self.identities.iter().flatten().find(|identity| identity.id == id)
    }

    /// Whether the cluster has Cilium's resource of that name (plural).
    pub fn serves(&self, resource: &str) -> bool {
        self.served.iter().any(|served| served.resource == resource)
    }
}

/// One of Cilium's resources, and the version of `cilium.io` that podnet reads it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Served {
    pub resource: String,
    pub version: String,
}

/// A question that the API server did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unread {
    /// get or list.
    pub verb: String,
    /// Plural; with its group after a point where that is not the core one: `ciliumnodes.cilium.io`.
    pub resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Of HTTP, where the server got so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    pub why: String,
    /// The rule of a ClusterRole that would allow it, where RBAC refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}

impl Unread {
    /// What was asked, and why there is no answer.
    pub fn told(&self) -> String {
        let place = self.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        match self.refused_to() {
            Some(user) => format!("{user} may not {} {}{place}", self.verb, self.resource),
            None => format!("{} {}{place}: {}", self.verb, self.resource, self.why),
        }
    }

    /// The user that RBAC did not allow it, as it names him.
    pub fn refused_to(&self) -> Option<&str> {
        self.rule.as_ref()?;
        Some(self.why.split_once("User \"")?.1.split_once('"')?.0)
    }
}

/// `rbac.authorization.k8s.io/v1` PolicyRule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    pub verbs: Vec<String>,
}
