//! The Kubernetes API server, asked with GET alone, about this node only.
//!
//! A local command must not become slow because a cluster is: unless the user asked for it, a server that does not take
//! a connection at once is not waited for, and never is one waited for past the deadline.

mod access;
mod cilium;
mod connect;
mod kubelet;
mod node;
mod node_name;
mod pod;
mod request;
mod served;
mod session;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use access::Access;
pub use kubelet::{Kubelet, find as find_kubelet};
use node_name::NodeName;
use request::{Asker, Failure, Resource};
pub use session::Session;
use session::note;

use super::options::{Kube, Options};
use super::{background, log, proc};
use crate::model::count::counted;
use crate::model::kube::Kubernetes;
use crate::model::source::{Answer, Asked, Status};

/// Under «sources».
pub const NAME: &str = "kubernetes";
/// A server in the same cluster takes a connection in a few milliseconds.
const REACHABLE_WITHIN: Duration = Duration::from_millis(300);

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

/// Asks what concerns the whole node: its objects and its pods. None where the options say not to. The kubelet comes
/// as soon as the processes are known, or not at all.
pub async fn ask(
    options: &Options,
    kubelet: impl Future<Output = Option<Kubelet>>,
) -> Option<(Asked, Option<(Session, Kubernetes)>)> {
    if options.kube == Kube::Never {
        return None;
    }
    let kubelet = kubelet.await;
    let start = Instant::now();
    let answer = match first_questions(options, kubelet, start).boxed_local().await {
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

/// The kubelet that runs here, where the processes are not looked at for anything else.
pub async fn kubelet(options: &Options) -> Option<Kubelet> {
    let root = options.proc_root.clone();
    let looking = background::begin(move || find_kubelet(&root, &proc::walk(&root).ok()?));
    looking.await.ok().flatten()
}

/// Server, version, and how much it let be read.
fn summary(told: &Kubernetes) -> String {
    let version = told.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let pods = told.pods.as_ref().map(|pods| format!(", {}", counted(pods.len(), "pod", "pods"))).unwrap_or_default();
    format!("{}{version}, node {}{pods}, as {}", told.server, told.node_name, told.credentials)
}

async fn first_questions(
    options: &Options,
    kubelet: Option<Kubelet>,
    start: Instant,
) -> Result<(Session, Kubernetes), Error> {
    let deadline = start + options.timeout;
    let (access, name) = access(options, kubelet, deadline).await?;
    // Before a credential plugin is run in vain.
    let open = knock(options, &access, deadline).await?;
    let access = Arc::new(access);
    let client = blocking(options, deadline, {
        let access = access.clone();
        move || access.connect(open)
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
        asker.list::<pod::Pod>(&pods, None, &of_node),
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

async fn access(options: &Options, kubelet: Option<Kubelet>, deadline: Instant) -> Result<(Access, NodeName), Error> {
    let context = options.kube_context.clone();
    let finding = blocking(options, deadline, move || {
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
    match timeout_at(deadline, background::begin(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) | Err(_) => Err(Error::NotReady(options.timeout)),
    }
}

/// Whether anybody takes a connection there.
async fn knock(options: &Options, access: &Access, deadline: Instant) -> Result<TcpStream, Error> {
    let unreachable = |why: String, hint| Error::Unreachable { server: access.server.clone(), why, hint };
    let patience = if options.kube.is_asked() { options.timeout } else { REACHABLE_WITHIN.min(options.timeout) };
    let connecting = TcpStream::connect((access.host.as_str(), access.port));
    match timeout_at(deadline.min(Instant::now() + patience), connecting).await {
        Ok(Ok(open)) => Ok(open),
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
