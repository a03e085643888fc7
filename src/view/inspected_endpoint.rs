//! What the Cilium agent believes of a pod, beside what the runtime and the kernel show.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disagreement::{Disagreement, listed};
use crate::model::address::Family;
use crate::model::agent::Agent;
use crate::model::endpoint::{Endpoint, ToldBy};
use crate::model::link::Link;
use crate::model::mac::Mac;
use crate::model::netns::NetnsState;
use crate::model::node::Node;
use crate::model::peer::{Peer, Peers, Verdict};
use crate::model::workload::Workload;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InspectedEndpoint {
    #[serde(flatten)]
    pub endpoint: Endpoint,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<Disagreement>,
}

/// The endpoint with what contradicts it. `state` is the namespace of the pick, empty where it has none.
pub fn inspected(
    node: &Node,
    endpoint: &Endpoint,
    workload: Option<&Workload>,
    state: &NetnsState,
) -> InspectedEndpoint {
    let mut comparison = Comparison { node, endpoint, disagreements: Vec::new() };
    comparison.owner(workload);
    comparison.cilium_endpoint();
    if endpoint.is_host() {
        comparison.host_device();
    } else {
        comparison.host_interface(state);
        comparison.pod_interface(state);
        comparison.datapath();
    }
    InspectedEndpoint { endpoint: endpoint.clone(), disagreements: comparison.disagreements }
}

struct Comparison<'a> {
    node: &'a Node,
    endpoint: &'a Endpoint,
    disagreements: Vec<Disagreement>,
}

impl<'a> Comparison<'a> {
    /// Where both tell something, and not the same.
    fn compare<T: PartialEq + ToString>(&mut self, what: &str, who: &str, seen: Option<T>, believed: Option<T>) {
        if let (Some(seen), Some(believed)) = (seen, believed)
            && believed != seen
        {
            self.differ(what, who, &seen.to_string(), &believed.to_string());
        }
    }

    fn differ(&mut self, what: &str, who: &str, seen: &str, believed: &str) {
        let told_by = name_of(self.endpoint.told_by);
        self.disagreements.push(Disagreement::new(what, &[(who, seen), (told_by, believed)]));
    }

    fn owner(&mut self, workload: Option<&Workload>) {
        let Some(pod) = workload.and_then(|workload| workload.pod.as_ref()) else { return };
        let own = format!("{}/{}", pod.namespace, pod.name);
        self.compare("owner", "runtime", Some(own), self.endpoint.called());
        self.compare("sandbox", "runtime", pod.sandbox_id.clone(), self.endpoint.container_id.clone());
    }

    /// What other nodes go by.
    fn cilium_endpoint(&mut self) {
        let Some(pod) = &self.endpoint.pod else { return };
        let told = self.node.kubernetes.as_ref().and_then(|told| told.endpoint(&pod.namespace, &pod.name));
        let Some(told) = told else { return };
        self.compare("identity", "CiliumEndpoint", told.identity, self.endpoint.identity.map(u64::from));
        self.compare("id", "CiliumEndpoint", told.id, Some(u64::from(self.endpoint.id)));
    }

    /// What the datapath goes by, whatever anybody believes.
    fn datapath(&mut self) {
        const LOCAL: &str = "cilium_lxc";
        let endpoint = self.endpoint;
        let Some(datapath) = self.node.datapath.as_ref().filter(|_| endpoint.told_by != ToldBy::Map) else { return };
        for address in &endpoint.addresses {
            let identity = datapath.identity_of(*address).map(|entry| entry.identity);
            self.compare("identity", "ipcache", identity, endpoint.identity);
            let Some(local) = &datapath.endpoints else { continue };
            let Some(entry) = local.iter().find(|entry| entry.address == *address) else {
                self.differ("datapath", LOCAL, "no entry", &address.to_string());
                continue;
            };
            self.compare("id", LOCAL, Some(u32::from(entry.endpoint_id)), Some(endpoint.id));
            self.compare("ifindex", LOCAL, Some(entry.ifindex), endpoint.ifindex);
            self.compare("identity", LOCAL, entry.identity, endpoint.identity);
            self.compare("MAC", LOCAL, entry.mac, endpoint.mac);
            self.compare("host MAC", LOCAL, entry.host_mac, endpoint.host_mac);
        }
    }

    /// The host's own endpoint is `cilium_host`, which has no other end that matters.
    fn host_device(&mut self) {
        let Some(name) = &self.endpoint.interface else { return };
        match self.host().and_then(|host| host.links.iter().find(|link| link.name == *name)) {
            Some(link) => self.compare("MAC", "kernel", link.mac, self.endpoint.mac),
            None if self.host().is_some() => self.differ("interface", "kernel", "none of that name", name),
            None => {}
        }
    }

    /// The host's end as the kernel proves it from inside; else whatever has its ifindex.
    fn host_interface(&mut self, state: &NetnsState) {
        let endpoint = self.endpoint;
        let peer = self.peer(state);
        let host = self.host();
        let by_ifindex = endpoint.ifindex.and_then(|ifindex| host?.links.iter().find(|link| link.ifindex == ifindex));
        let Some(seen) = peer.as_ref().map(End::of_peer).or_else(|| by_ifindex.map(End::of_link)) else {
            let believed = [endpoint.interface.clone(), endpoint.ifindex.map(|ifindex| ifindex.to_string())];
            let believed: Vec<String> = believed.into_iter().flatten().collect();
            if host.is_some() && !believed.is_empty() {
                self.differ("interface", "kernel", "no such interface on the host", &believed.join(" "));
            }
            return;
        };
        let mtu = self.own_pairs().and_then(|agent| agent.device_mtu);
        self.compare("interface", "kernel", seen.name, endpoint.interface.clone());
        self.compare("ifindex", "kernel", seen.ifindex, endpoint.ifindex);
        self.compare("host MAC", "kernel", seen.mac, endpoint.host_mac);
        self.compare("MTU", "kernel", seen.mtu, mtu);
    }

    fn pod_interface(&mut self, state: &NetnsState) {
        let endpoint = self.endpoint;
        if state.netns.is_host || state.links.is_empty() {
            return;
        }
        let own: Vec<IpAddr> = global(state);
        if endpoint.addresses.iter().any(|address| !own.contains(address)) {
            self.differ("addresses", "kernel", &listed(&own), &listed(&endpoint.addresses));
        }
        let named = endpoint.container_interface.as_deref();
        let link = match named {
            Some(name) => state.links.iter().find(|link| link.name == name),
            None => self.end_inside(state),
        };
        let Some(link) = link else {
            if let Some(name) = named {
                let links = state.links.iter().map(|link| link.name.clone());
                self.differ("pod interface", "kernel", &listed(links), name);
            }
            return;
        };
        let mtu = self.own_pairs().and_then(|agent| agent.device_mtu);
        self.compare("MAC", "kernel", link.mac, endpoint.mac);
        self.compare("pod MTU", "kernel", Some(link.mtu), mtu);
        self.gateways(state, link);
    }

    /// The pod's way out goes by the agent's address on this node, and is cut to its route MTU.
    fn gateways(&mut self, state: &NetnsState, link: &Link) {
        let Some(agent) = self.own_pairs() else { return };
        for family in agent.families.iter().filter(|family| family.enabled) {
            let of_family = |address: &IpAddr| Family::of(address) == family.family;
            if !self.endpoint.addresses.iter().any(of_family) {
                continue;
            }
            let default = state.routes.iter().find(|route| {
                let gateway = route.next_hops.iter().any(|hop| hop.gateway.as_ref().is_some_and(of_family));
                route.is_default() && gateway && route.next_hops.iter().any(|hop| hop.ifindex == Some(link.ifindex))
            });
            let gateway = default.and_then(|route| route.next_hops.iter().find_map(|hop| hop.gateway));
            self.compare("gateway", "kernel", gateway, family.router);
            let mtu = default.and_then(|route| route.mtu);
            self.compare("route MTU", "kernel", mtu, agent.route_mtu);
        }
    }

    /// The agent, where its plugin makes the pairs: chained behind another, gateway and MTU are that plugin's.
    fn own_pairs(&self) -> Option<&'a Agent> {
        let chained = |mode: &String| !matches!(mode.as_str(), "none" | "portmap" | "");
        self.node.agent.as_ref().filter(|agent| !agent.mode.chaining.as_ref().is_some_and(chained))
    }

    /// Where its links were read.
    fn host(&self) -> Option<&'a NetnsState> {
        self.node.namespace(self.node.host_netns).filter(|host| !host.links.is_empty())
    }

    /// The pod's end: whose other end is the host's interface that the agent means, else the first of a pair.
    fn end_inside<'s>(&self, state: &'s NetnsState) -> Option<&'s Link> {
        let paired = || state.links.iter().filter(|link| link.is_paired());
        let meant = |link: &&Link| link.link.is_some() && link.link == self.endpoint.ifindex;
        paired().find(meant).or_else(|| paired().next())
    }

    /// The proven other end of the pod's end.
    fn peer(&self, state: &NetnsState) -> Option<Peer> {
        if state.netns.is_host {
            return None;
        }
        let named = self.endpoint.container_interface.as_deref();
        let by_name = state.links.iter().find(|link| Some(link.name.as_str()) == named && link.is_paired());
        let link = by_name.or_else(|| self.end_inside(state))?;
        let peer = Peers::new(&self.node.namespaces).of(state.netns.inode, link)?;
        let on_host = peer.netns.as_ref().is_some_and(|netns| netns.is_host);
        Some(peer).filter(|peer| peer.verdict == Verdict::Confirmed && on_host)
    }
}

/// One end of a pair as the kernel shows it.
struct End {
    name: Option<String>,
    ifindex: Option<u32>,
    mac: Option<Mac>,
    mtu: Option<u32>,
}

impl End {
    fn of_peer(peer: &Peer) -> Self {
        Self { name: peer.name.clone(), ifindex: peer.ifindex, mac: peer.mac, mtu: peer.mtu }
    }

    fn of_link(link: &Link) -> Self {
        Self { name: Some(link.name.clone()), ifindex: Some(link.ifindex), mac: link.mac, mtu: Some(link.mtu) }
    }
}

fn name_of(told_by: ToldBy) -> &'static str {
    match told_by {
        ToldBy::Agent => "agent",
        ToldBy::StateDirectory => "state directory",
        ToldBy::Map => "cilium_lxc",
    }
}

fn global(state: &NetnsState) -> Vec<IpAddr> {
    let all = state.links.iter().flat_map(|link| &link.addresses);
    all.filter(|address| address.scope == "global").map(|address| address.address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoint::PodName;
    use crate::model::kube::Kubernetes;
    use crate::model::kube::cilium::CiliumEndpoint;
    use crate::model::workload::Pod;

    #[test]
    fn another_owner_than_the_runtimes_is_told() {
        let pod = Pod { namespace: "a".into(), name: "web".into(), sandbox_id: Some("s1".into()), ..Pod::default() };
        let workload = Workload { pod: Some(pod), ..Workload::default() };
        let named = |name: &str, sandbox: &str| Endpoint {
            pod: Some(PodName { namespace: "a".into(), name: name.into() }),
            container_id: Some(sandbox.into()),
            ..Endpoint::default()
        };
        let differences = |endpoint: &Endpoint| {
            let found = inspected(&Node::default(), endpoint, Some(&workload), &NetnsState::default());
            found.disagreements.into_iter().map(|each| each.what).collect::<Vec<_>>()
        };
        assert!(differences(&named("web", "s1")).is_empty());
        assert_eq!(differences(&named("db", "s2")), ["owner", "sandbox"]);
        let told = Kubernetes {
            endpoints: Some(vec![CiliumEndpoint {
                namespace: "a".into(),
                name: "web".into(),
                identity: Some(23990),
                ..CiliumEndpoint::default()
            }]),
            ..Kubernetes::default()
        };
        let node = Node { kubernetes: Some(told), ..Node::default() };
        let agents = Endpoint { identity: Some(24105), ..named("web", "s1") };
        let found = inspected(&node, &agents, Some(&workload), &NetnsState::default());
        let expected = Disagreement::new("identity", &[("CiliumEndpoint", "23990"), ("agent", "24105")]);
        assert_eq!(found.disagreements, [expected]);
        // An older agent says less, which is no difference.
        assert!(differences(&Endpoint::default()).is_empty());
    }
}
