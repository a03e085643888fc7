//! What an API server is asked once it has answered: of the node by Cilium's word, and of some pods.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};

use super::request::{Asker, Failure, Resource};
use super::{cilium, pod};
use crate::model::kube::cilium::{CiliumEndpoint, SliceEndpoint};
use crate::model::kube::pod::KubePod;
use crate::model::kube::{Kubernetes, Unread};

/// Questions that are on their way at once; the server's own fairness is by user, and there are other nodes.
const AT_ONCE: usize = 8;

/// An API server that answered, to be asked more.
#[derive(Debug)]
pub struct Session {
    pub(super) asker: Asker,
    /// Those of Cilium that the cluster has.
    pub(super) resources: Vec<Resource>,
}

/// What was told of the CiliumEndpoints of some pods.
#[derive(Default)]
struct Answered {
    found: Vec<CiliumEndpoint>,
    asked_about: Vec<String>,
    unread: Vec<Unread>,
}

impl Session {
    fn resource(&self, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.plural == plural)
    }

    pub(super) async fn ask_about_node(&self, told: &mut Kubernetes) {
        let node = async {
            let resource = self.resource("ciliumnodes")?;
            Some((resource, self.asker.get::<cilium::Node>(resource, None, &told.node_name).await))
        };
        let pools = async {
            let resource = self.resource("ciliumpodippools")?;
            Some((resource, self.asker.list::<cilium::Pool>(resource, None, "").await))
        };
        let (node, pools) = tokio::join!(node, pools);
        if let Some((resource, answer)) = node {
            told.cilium_node = note(&mut told.unread, answer, resource, "get").flatten().map(Into::into);
        }
        if let Some((resource, answer)) = pools {
            let pools = note(&mut told.unread, answer, resource, "list");
            told.pools = pools.map(|pools| pools.into_iter().map(Into::into).collect());
        }
    }

    /// Asks for the CiliumEndpoints of these pods (namespace, name), what slices say of them, and their identities.
    pub async fn ask_about(&self, told: &mut Kubernetes, pods: &[(String, String)]) {
        if pods.is_empty() {
            return;
        }
        let (endpoints, slices) = tokio::join!(self.endpoints(pods), self.slices(pods));
        if let Some(answered) = endpoints {
            told.endpoints = (!answered.asked_about.is_empty()).then_some(answered.found);
            told.asked_about = answered.asked_about;
            told.unread.extend(answered.unread);
        }
        if let Some((resource, answer)) = slices {
            told.slices = note(&mut told.unread, answer, resource, "list");
        }
        let of_slices = told.slices.iter().flatten().filter_map(|entry| entry.identity);
        let ids: BTreeSet<u64> =
            told.endpoints.iter().flatten().filter_map(|endpoint| endpoint.identity).chain(of_slices).collect();
        self.identities(told, ids).await;
    }

    /// A list of each namespace that several of them are in; one by one where there is no other, or a list is refused.
    async fn endpoints(&self, pods: &[(String, String)]) -> Option<Answered> {
        let resource = self.resource("ciliumendpoints")?;
        let mut by_namespace: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (namespace, name) in pods {
            by_namespace.entry(namespace.clone()).or_default().push(name.clone());
        }
        let (several, mut alone): (Vec<_>, Vec<_>) = by_namespace.into_iter().partition(|(_, names)| names.len() > 1);
        let mut answered = Answered::default();
        alone.extend(self.list_endpoints(resource, several, &mut answered).await);
        self.get_endpoints(resource, alone, &mut answered).await;
        answered.unread.dedup_by(|one, other| one.why == other.why);
        Some(answered)
    }

    /// Gives back those namespaces of which no list may be had.
    async fn list_endpoints(
        &self,
        resource: &Resource,
        namespaces: Vec<(String, Vec<String>)>,
        answered: &mut Answered,
    ) -> Vec<(String, Vec<String>)> {
        let question = |(namespace, names): (String, Vec<String>)| async move {
            let answer = self.asker.list::<cilium::Endpoint>(resource, Some(&namespace), "").await;
            (namespace, names, answer)
        };
        let answers: Vec<_> = stream::iter(namespaces.into_iter().map(question)).buffered(AT_ONCE).collect().await;
        let mut refused = Vec::new();
        for (namespace, names, answer) in answers {
            match answer {
                Ok(endpoints) => {
                    let all = endpoints.into_iter().map(CiliumEndpoint::from);
                    answered.found.extend(all.filter(|endpoint| names.contains(&endpoint.name)));
                    answered.asked_about.extend(names.iter().map(|name| format!("{namespace}/{name}")));
                }
                Err(failure) if failure.is_forbidden() => refused.push((namespace, names)),
                Err(failure) => answered.unread.push(resource.unread("list", Some(&namespace), &failure)),
            }
        }
        refused
    }

    async fn get_endpoints(
        &self,
        resource: &Resource,
        namespaces: Vec<(String, Vec<String>)>,
        answered: &mut Answered,
    ) {
        let pods = namespaces
            .into_iter()
            .flat_map(|(namespace, names)| names.into_iter().map(move |name| (namespace.clone(), name)));
        let question = |(namespace, name): (String, String)| async move {
            let answer = self.asker.get::<cilium::Endpoint>(resource, Some(&namespace), &name).await;
            (namespace, name, answer)
        };
        let answers: Vec<_> = stream::iter(pods.map(question)).buffered(AT_ONCE).collect().await;
        for (namespace, name, answer) in answers {
            match answer {
                Ok(endpoint) => {
                    answered.found.extend(endpoint.map(CiliumEndpoint::from));
                    answered.asked_about.push(format!("{namespace}/{name}"));
                }
                Err(failure) => answered.unread.push(resource.unread("get", Some(&namespace), &failure)),
            }
        }
    }

    async fn slices(&self, pods: &[(String, String)]) -> Option<(&Resource, Result<Vec<SliceEndpoint>, Failure>)> {
        let resource = self.resource("ciliumendpointslices")?;
        let wanted = |entry: &SliceEndpoint| {
            pods.iter().any(|(namespace, name)| *namespace == entry.namespace && *name == entry.name)
        };
        let answer = self.asker.list::<cilium::Slice>(resource, None, "").await;
        let entries =
            |slices: Vec<cilium::Slice>| slices.into_iter().flat_map(cilium::Slice::entries).filter(wanted).collect();
        Some((resource, answer.map(entries)))
    }

    async fn identities(&self, told: &mut Kubernetes, ids: BTreeSet<u64>) {
        let Some(resource) = self.resource("ciliumidentities") else { return };
        let question =
            |id: u64| async move { self.asker.get::<cilium::Identity>(resource, None, &id.to_string()).await };
        let answers: Vec<_> = stream::iter(ids.into_iter().map(question)).buffer_unordered(AT_ONCE).collect().await;
        let mut found = Vec::new();
        for answer in answers {
            match answer {
                Ok(identity) => found.extend(identity.and_then(cilium::Identity::into_model)),
                Err(failure) => told.unread.push(resource.unread("get", None, &failure)),
            }
        }
        told.unread.dedup_by(|one, other| one.why == other.why && one.resource == other.resource);
        found.sort_by_key(|identity| identity.id);
        told.identities = Some(found);
    }

    /// Where in the cluster a pod is that is not here: of that name, in one namespace or in any. What cannot be asked
    /// is not found.
    pub async fn find_pod(&self, namespace: Option<&str>, name: &str) -> Vec<KubePod> {
        let pods = Resource::core("pods");
        let found = match namespace {
            Some(namespace) => {
                self.asker.get::<pod::Pod>(&pods, Some(namespace), name).await.map(|pod| pod.into_iter().collect())
            }
            None => self.asker.list::<pod::Pod>(&pods, None, &format!("metadata.name={name}")).await,
        };
        found.unwrap_or_default().into_iter().map(KubePod::from).collect()
    }
}

/// An answer, or a line under «not read».
pub(super) fn note<T>(
    unread: &mut Vec<Unread>,
    answer: Result<T, Failure>,
    resource: &Resource,
    verb: &str,
) -> Option<T> {
    answer.map_err(|failure| unread.push(resource.unread(verb, None, &failure))).ok()
}
