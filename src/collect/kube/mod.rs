//! The Kubernetes API server, asked with GET alone, about this node only.
//!
//! A local command must not become slow because a cluster is: unless the user asked for it, a server that does not take
//! a connection at once is not waited for, and never is one waited for past the deadline.

mod access;
mod cilium;
mod kubelet;
mod node;
mod node_name;
mod pod;
mod request;
mod served;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use access::Access;
use node_name::NodeName;
use request::{Asker, Failure, Resource};

use super::log;
use super::options::{Kube, Options};
use crate::model::kube::cilium::{CiliumEndpoint, SliceEndpoint};
use crate::model::kube::pod::KubePod;
use crate::model::kube::{Kubernetes, Unread};
use crate::model::source::{Answer, Asked, Status};

/// Under «sources».
pub const NAME: &str = "kubernetes";
/// A server in the same cluster takes a connection in a few milliseconds.
const REACHABLE_WITHIN: Duration = Duration::from_millis(300);
/// Questions that are on their way at once; the server's own fairness is by user, and there are other nodes.
const AT_ONCE: usize = 8;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Access(#[from] access::Error),
    #[error("the credentials were not ready within {} s (a plugin of the kubeconfig?)", .0.as_secs_f32())]
    NotReady(Duration),
    #[error("{server} is not reachable: {why}{hint}")]
    Unreachable { server: String, why: String, hint: &'static str },
    #[error("{server} told nothing: {why}")]
    Mute { server: String, why: String },
    #[error(
        "the API server {server} takes the credentials of {credentials} for nobody's (401): expired, or of another cluster"
    )]
    Unauthorized { server: String, credentials: String },
    #[error("{server} has no node «{name}» (named by {from}): not this machine's cluster, or NODE_NAME tells its name")]
    NoSuchNode { server: String, name: String, from: String },
}

/// An API server that answered, to be asked more.
#[derive(Debug)]
pub struct Session {
    asker: Asker,
    resources: Vec<Resource>,
}

/// Asks what concerns the whole node: its objects and its pods. None where the options say not to.
pub async fn ask(options: &Options) -> Option<(Asked, Option<(Session, Kubernetes)>)> {
    if options.kube == Kube::Never {
        return None;
    }
    let start = Instant::now();
    let answer = match first_questions(options, start).await {
        Ok(told) => Answer::Present(told),
        Err(error @ (Error::Access(access::Error::Nothing) | Error::NoSuchNode { .. })) if !options.kube.is_asked() => {
            Answer::Absent(error.to_string())
        }
        Err(error) => Answer::Failed(error.to_string()),
    };
    let (status, detail, told) = match answer {
        Answer::Present((session, told)) => (Status::Present, summary(&told), Some((session, told))),
        Answer::Absent(why) => (Status::Absent, why, None),
        Answer::Failed(why) => (Status::Failed, why, None),
    };
    let elapsed_ms = start.elapsed().as_secs_f64() * 1000.0;
    Some((log::told(Asked { name: NAME.to_owned(), status, detail: Some(detail), elapsed_ms }), told))
}

/// Server, version, and how much it let be read.
fn summary(told: &Kubernetes) -> String {
    let version = told.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let pods = told.pods.as_ref().map(|pods| format!(", {} pods", pods.len())).unwrap_or_default();
    format!("{}{version}, node {}{pods}, as {}", told.server, told.node_name, told.credentials)
}

async fn first_questions(options: &Options, start: Instant) -> Result<(Session, Kubernetes), Error> {
    let deadline = start + options.timeout;
    let (access, name) = access(options, deadline).await?;
    // Before a credential plugin is run in vain.
    knock(options, &access, deadline).await?;
    let access = Arc::new(access);
    let client = blocking(options, deadline, {
        let access = access.clone();
        move || access.connect()
    });
    let client = client.await??;
    let mut told = Kubernetes {
        server: access.server.clone(),
        credentials: access.credentials.to_string_lossy().into_owned(),
        context: access.context.clone(),
        node_name: name.name,
        node_name_from: name.from,
        ..Kubernetes::default()
    };
    let asker = Asker { client, deadline, timeout: options.timeout };
    let (nodes, pods) = (Resource::core("nodes"), Resource::core("pods"));
    let of_node = format!("spec.nodeName={}", told.node_name);
    let (version, node, on_node, catalogue) = tokio::join!(
        asker.path::<served::Version>("/version"),
        asker.get::<node::Node>(&nodes, None, &told.node_name),
        asker.list::<pod::Pod>(&pods, &of_node),
        served::find(&asker),
    );
    if let (Err(failure), Err(_)) = (&node, &on_node) {
        return Err(nothing_read(failure, &told));
    }
    told.version = version.ok().flatten().map(|version| version.git_version);
    let no_node = matches!(node, Ok(None));
    told.node = note(&mut told.unread, node, &nodes, "get").flatten().map(Into::into);
    told.pods = note(&mut told.unread, on_node, &pods, "list").map(|pods| pods.into_iter().map(Into::into).collect());
    if no_node && told.pods.as_ref().is_none_or(Vec::is_empty) {
        return Err(Error::NoSuchNode { server: told.server, name: told.node_name, from: told.node_name_from });
    }
    let resources = match catalogue {
        Ok(resources) => resources,
        Err(failure) => {
            told.unread.push(served::unread(&failure));
            Vec::new()
        }
    };
    told.served = resources.iter().map(served::told).collect();
    let session = Session { asker, resources };
    session.ask_about_node(&mut told).await;
    Ok((session, told))
}

async fn access(options: &Options, deadline: Instant) -> Result<(Access, NodeName), Error> {
    let (root, context) = (options.proc_root.clone(), options.kube_context.clone());
    let finding = blocking(options, deadline, move || {
        let kubelet = kubelet::find(&root);
        let name = node_name::node_name(kubelet.as_ref());
        access::find(context.as_deref(), kubelet.as_ref()).map(|access| (access, name))
    });
    Ok(finding.await??)
}

/// Runs what reads files or waits for a program; it is left alone when the deadline comes.
async fn blocking<T: Send + 'static>(
    options: &Options,
    deadline: Instant,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    match timeout_at(deadline, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) | Err(_) => Err(Error::NotReady(options.timeout)),
    }
}

/// Whether anybody takes a connection there.
async fn knock(options: &Options, access: &Access, deadline: Instant) -> Result<(), Error> {
    let unreachable = |why: String, hint| Error::Unreachable { server: access.server.clone(), why, hint };
    let patience = if options.kube.is_asked() { options.timeout } else { REACHABLE_WITHIN.min(options.timeout) };
    let connecting = TcpStream::connect((access.host.as_str(), access.port));
    match timeout_at(deadline.min(Instant::now() + patience), connecting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(unreachable(error.to_string(), "")),
        Err(_) => {
            let hint = if options.kube.is_asked() { "" } else { " (--kube waits longer)" };
            Err(unreachable(format!("no connection within {} s", patience.as_secs_f32()), hint))
        }
    }
}

/// The reason why neither the node nor its pods could be read.
fn nothing_read(failure: &Failure, told: &Kubernetes) -> Error {
    let server = told.server.clone();
    match failure.status() {
        Some(401) => Error::Unauthorized { server, credentials: told.credentials.clone() },
        _ => Error::Mute { server, why: failure.to_string() },
    }
}

/// An answer, or a line under «not read».
fn note<T>(unread: &mut Vec<Unread>, answer: Result<T, Failure>, resource: &Resource, verb: &str) -> Option<T> {
    answer.map_err(|failure| unread.push(resource.unread(verb, None, &failure))).ok()
}

impl Session {
    fn resource(&self, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.plural == plural)
    }

    async fn ask_about_node(&self, told: &mut Kubernetes) {
        let node = async {
            let resource = self.resource("ciliumnodes")?;
            Some((resource, self.asker.get::<cilium::Node>(resource, None, &told.node_name).await))
        };
        let pools = async {
            let resource = self.resource("ciliumpodippools")?;
            Some((resource, self.asker.list::<cilium::Pool>(resource, "").await))
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
        told.asked_about = pods.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
        let (endpoints, slices) = tokio::join!(self.endpoints(pods), self.slices(pods));
        let (endpoints, refused) = endpoints.unzip();
        told.endpoints = endpoints.flatten();
        told.unread.extend(refused.into_iter().flatten());
        if let Some((resource, answer)) = slices {
            told.slices = note(&mut told.unread, answer, resource, "list");
        }
        let of_slices = told.slices.iter().flatten().filter_map(|entry| entry.identity);
        let ids: BTreeSet<u64> =
            told.endpoints.iter().flatten().filter_map(|endpoint| endpoint.identity).chain(of_slices).collect();
        self.identities(told, ids).await;
    }

    /// One by one: a list would be of the whole cluster.
    async fn endpoints(&self, pods: &[(String, String)]) -> Option<(Option<Vec<CiliumEndpoint>>, Vec<Unread>)> {
        let resource = self.resource("ciliumendpoints")?;
        let question = |(namespace, name): &(String, String)| {
            let (namespace, name) = (namespace.clone(), name.clone());
            async move {
                let answer = self.asker.get::<cilium::Endpoint>(resource, Some(&namespace), &name).await;
                (namespace, answer)
            }
        };
        let answers: Vec<_> = stream::iter(pods.iter().map(question)).buffer_unordered(AT_ONCE).collect().await;
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        for (namespace, answer) in answers {
            match answer {
                Ok(endpoint) => found.extend(endpoint.map(CiliumEndpoint::from)),
                Err(failure) => unread.push(resource.unread("get", Some(&namespace), &failure)),
            }
        }
        found.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        unread.dedup_by(|one, other| one.why == other.why);
        let nothing = found.is_empty() && !unread.is_empty();
        Some(((!nothing).then_some(found), unread))
    }

    async fn slices(&self, pods: &[(String, String)]) -> Option<(&Resource, Result<Vec<SliceEndpoint>, Failure>)> {
        let resource = self.resource("ciliumendpointslices")?;
        let wanted = |entry: &SliceEndpoint| {
            pods.iter().any(|(namespace, name)| *namespace == entry.namespace && *name == entry.name)
        };
        let answer = self.asker.list::<cilium::Slice>(resource, "").await;
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
            None => self.asker.list::<pod::Pod>(&pods, &format!("metadata.name={name}")).await,
        };
        found.unwrap_or_default().into_iter().map(KubePod::from).collect()
    }
}

/// An error with those of its causes that say more than it does itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
