//! Everything that was read from one node, in one go.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address_store::AddressStore;
use super::agent::Agent;
use super::attachment::Attachment;
use super::datapath::Datapath;
use super::dns::Dns;
use super::endpoint::{Endpoint, QueuedDelete};
use super::host::Host;
use super::kernel::Kernel;
use super::kube::Kubernetes;
use super::netns::{Inode, NetnsState};
use super::network::{NetworkReader, NetworkStatus};
use super::peer::{Peers, Verdict};
use super::source::Asked;
use super::workload::Workload;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub hostname: String,
    pub collected_at: Timestamp,
    /// The netns of PID 1 as podnet sees it.
    pub host_netns: Inode,
    pub workloads: Vec<Workload>,
    /// Every namespace found, also those that could not be read.
    pub namespaces: Vec<NetnsState>,
    /// Where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
    /// The networks that runtimes put pods in; absent where they were not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<NetworkReader>>,
    /// What runtimes say of their own network, where they were asked and answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_status: Vec<NetworkStatus>,
    /// The Cilium agent, where it was asked and answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// Cilium's endpoints: each says whose word it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// What libcni's cache tells of; absent where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Vec<Attachment>>,
    /// What Cilium's pinned maps hold, where they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datapath: Option<Datapath>,
    /// Deletes that the CNI plugin left for the agent to do when it is back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queued_deletes: Vec<QueuedDelete>,
    /// Where the API server was asked and answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// Where they were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address_stores: Vec<AddressStore>,
    pub sources: Vec<Asked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Name resolution as seen by the processes of which it was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Names>,
}

/// The resolver files that a process sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Names {
    pub pid: u32,
    pub dns: Dns,
}

impl Node {
    pub fn namespace(&self, inode: Inode) -> Option<&NetnsState> {
        self.namespaces.iter().find(|state| state.netns.inode == inode)
    }

    /// The resolver files of a process, where they were read.
    pub fn names_of(&self, pid: u32) -> Option<&Dns> {
        self.names.iter().find(|names| names.pid == pid).map(|names| &names.dns)
    }

    /// The endpoint of a workload or of a netns, by what says most: the sandbox that it was made for, the host's end of
    /// its pair, the pod, its address. Where one says another than the others, that is for the reader to see.
    pub fn endpoint_of(&self, workload: Option<&Workload>, netns: Option<Inode>) -> Option<&Endpoint> {
        let find = |fits: &dyn Fn(&Endpoint) -> bool| self.endpoints.iter().find(|endpoint| fits(endpoint));
        let own = netns.filter(|inode| *inode != self.host_netns);
        let sandboxes = self.sandboxes(workload, own);
        let by_sandbox =
            || find(&|endpoint| endpoint.container_id.as_ref().is_some_and(|id| sandboxes.contains(&id.as_str())));
        let state = own.and_then(|inode| self.namespace(inode));
        let ends = state.map(|state| self.host_ends(state)).unwrap_or_default();
        let by_interface = || {
            find(&|endpoint| {
                ends.iter().any(|(ifindex, name)| {
                    endpoint.ifindex == Some(*ifindex) && endpoint.interface.as_ref() == Some(name)
                })
            })
        };
        let pod = workload.and_then(|workload| workload.pod.as_ref());
        let by_pod = || {
            let (namespace, name) = pod.map(|pod| (&pod.namespace, &pod.name))?;
            find(&|endpoint| endpoint.pod.as_ref().is_some_and(|pod| &pod.namespace == namespace && &pod.name == name))
        };
        let addresses = || state.into_iter().flat_map(|state| &state.links).flat_map(|link| &link.addresses);
        let by_address = || find(&|endpoint| addresses().any(|address| endpoint.addresses.contains(&address.address)));
        let host = || (netns == Some(self.host_netns)).then(|| find(&Endpoint::is_host)).flatten();
        by_sandbox().or_else(by_interface).or_else(by_pod).or_else(by_address).or_else(host)
    }

    /// Ids that an endpoint may have been made for: the sandbox of the pod, or the container itself.
    fn sandboxes<'a>(&'a self, workload: Option<&'a Workload>, netns: Option<Inode>) -> Vec<&'a str> {
        let mates = self.workloads.iter().filter(|mate| netns.is_some() && mate.netns == netns);
        let ids = |workload: &'a Workload| {
            let sandbox = workload.pod.as_ref().and_then(|pod| pod.sandbox_id.as_deref());
            sandbox.into_iter().chain(workload.id.as_deref())
        };
        workload.into_iter().chain(mates).flat_map(ids).collect()
    }

    /// The host's ends of the pairs of a namespace that are proven.
    fn host_ends(&self, state: &NetnsState) -> Vec<(u32, String)> {
        let peers = Peers::new(&self.namespaces);
        let ends = state.links.iter().filter_map(|link| peers.of(state.netns.inode, link));
        let of_host = ends.filter(|peer| {
            peer.verdict == Verdict::Confirmed && peer.netns.as_ref().is_some_and(|netns| netns.is_host)
        });
        of_host.filter_map(|peer| peer.ifindex.zip(peer.name)).collect()
    }
}
