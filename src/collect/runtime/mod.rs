//! Asking the container runtimes: all that a node may have, side by side, each with a deadline of its own.
//!
//! Each is asked for its lists once, never for one container after another; PIDs that a list does not hold come from the
//! `/proc` walk, by cgroup.

mod containerd;
mod cri;
mod docker;
mod grpc;
mod merge;
mod podman;
mod sockets;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

pub use merge::merge;

use super::kernel::problem::chain;
use super::log;
use super::options::{Options, Runtimes};
use crate::model::count::counted;
use crate::model::network::NetworkStatus;
use crate::model::source::{Answer, Asked, Status};
use crate::model::workload::{Role, Workload};

/// What a runtime told: its version and its workloads.
#[derive(Debug, Default)]
pub struct Told {
    pub version: Option<String>,
    pub workloads: Vec<Workload>,
    /// Over the CRI, where it was asked.
    pub network: Option<NetworkStatus>,
    /// Docker or Podman, to be asked more.
    client: Option<docker::Client>,
}

/// Who can be asked more without another connection.
#[derive(Clone, Debug, Default)]
pub struct Clients(Vec<docker::Client>);

impl Clients {
    /// Those of the daemons that answered.
    pub fn of(answers: &mut [Told]) -> Self {
        Self(answers.iter_mut().filter_map(|told| told.client.take()).collect())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect to {}", .socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    #[error("{} does not speak the API of {runtime}", .socket.display())]
    Protocol { socket: PathBuf, runtime: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("no answer from {} within {} s", .socket.display(), .timeout.as_secs_f32())]
    Timeout { socket: PathBuf, timeout: Duration },
}

type Question<'a> = Pin<Box<dyn Future<Output = (Asked, Told)> + 'a>>;

/// Asks every runtime that `options` names; one line under «sources» for each, with its workloads, and what it says of
/// its network where that is `judged`; of the container with an id that begins with `sought` all that there is.
pub async fn ask_all(options: &Options, judged: bool, sought: Option<&str>) -> Vec<(Asked, Told)> {
    if options.runtimes == Runtimes::None {
        return Vec::new();
    }
    let mut questions: Vec<Question<'_>> = Vec::new();
    if wanted(options, "docker") {
        questions.extend(sockets::distant_docker().map(|host| -> Question<'_> { Box::pin(distant(host)) }));
        match sockets::docker() {
            Some(socket) => questions.push(Box::pin(timed(
                "docker",
                options,
                socket.clone(),
                docker::ask("docker", socket, sought),
            ))),
            None => questions.push(Box::pin(absent("docker", sockets::DOCKER))),
        }
    }
    if wanted(options, "podman") {
        match sockets::podman() {
            Some(socket) => questions.push(Box::pin(timed(
                "podman",
                options,
                socket.clone(),
                docker::ask("podman", socket, sought),
            ))),
            None => questions.push(Box::pin(absent("podman", sockets::PODMAN))),
        }
        questions.push(Box::pin(podman_storage()));
    }
    questions.extend(container_interfaces(options, judged));
    join_all(questions).await
}

fn wanted(options: &Options, name: &str) -> bool {
    match &options.runtimes {
        Runtimes::All => true,
        Runtimes::None => false,
        Runtimes::Only(names) => names.iter().any(|each| each == name),
    }
}

/// containerd's own API and the CRI, on the sockets where each may be.
fn container_interfaces(options: &Options, judged: bool) -> Vec<Question<'_>> {
    let mut questions: Vec<Question<'_>> = Vec::new();
    let native = sockets::containerd(options);
    if wanted(options, "containerd") {
        for socket in &native {
            questions.push(Box::pin(timed("containerd", options, socket.clone(), containerd::ask(socket.clone()))));
        }
        if native.is_empty() {
            questions.push(Box::pin(absent("containerd", sockets::CONTAINERD)));
        }
    }
    let interfaces = sockets::cri(options);
    if wanted(options, "containerd") || wanted(options, "cri-o") {
        for socket in &interfaces {
            questions.push(Box::pin(timed("cri", options, socket.clone(), cri::ask(socket.clone(), judged))));
        }
    }
    if wanted(options, "cri-o") && interfaces.iter().all(|socket| native.contains(socket)) {
        questions.push(Box::pin(absent("cri-o", sockets::CRI_ONLY)));
    }
    questions
}

/// It has no daemon: its storage knows the containers, whether its service runs or not.
async fn podman_storage() -> (Asked, Told) {
    outcome(podman::STORAGE, Instant::now(), podman::from_state_files())
}

async fn distant(host: String) -> (Asked, Told) {
    let why = format!("{host} is no unix socket: only this machine's containers can be shown");
    outcome("DOCKER_HOST", Instant::now(), Answer::Failed(why))
}

async fn absent(name: &str, tried: &[&str]) -> (Asked, Told) {
    let places = match tried {
        [first, _, _, ..] => format!("{first} or {} other usual places", tried.len() - 1),
        few => few.join(" or "),
    };
    outcome(name, Instant::now(), Answer::Absent(format!("no socket at {places}")))
}

async fn timed(
    name: &str,
    options: &Options,
    socket: PathBuf,
    question: impl Future<Output = Result<Told, Error>>,
) -> (Asked, Told) {
    let start = Instant::now();
    tracing::debug!(source = name, socket = socket.to_string_lossy().as_ref(), "asked");
    let answer = match tokio::time::timeout(options.timeout, question).await {
        Ok(Ok(told)) => Answer::Present(told),
        // A socket file that nobody listens on any more is a runtime that is not running.
        Ok(Err(Error::Connect { socket, source })) if source.kind() == io::ErrorKind::ConnectionRefused => {
            Answer::Failed(format!("nothing listens on {} (is {name} running?)", socket.display()))
        }
        Ok(Err(error)) => Answer::Failed(explain(&error)),
        Err(_) => Answer::Failed(Error::Timeout { socket, timeout: options.timeout }.to_string()),
    };
    outcome(name, start, answer)
}

fn explain(error: &Error) -> String {
    let hint = match error {
        Error::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            " (run as root, or join the socket's group)"
        }
        _ => "",
    };
    format!("{}{hint}", chain(error))
}

fn outcome(name: &str, start: Instant, answer: Answer<Told>) -> (Asked, Told) {
    let (status, detail, told) = match answer {
        Answer::Present(told) => {
            let version = told.version.as_ref().map(|version| format!("{version}, ")).unwrap_or_default();
            let containers = counted(told.workloads.len(), "container", "containers");
            (Status::Present, format!("{version}{containers}"), told)
        }
        Answer::Absent(why) => (Status::Absent, why, Told::default()),
        Answer::Failed(why) => (Status::Failed, why, Told::default()),
    };
    let elapsed_ms = start.elapsed().as_secs_f64() * 1000.0;
    (log::told(Asked { name: name.to_owned(), status, detail: Some(detail), elapsed_ms }), told)
}

/// Asks the one more question that `inspect` has about one workload: times, ports, paths, PID. An answer that does not
/// come leaves it as it was.
pub async fn look_closer(workload: &mut Workload, options: &Options, clients: &Clients) {
    let Some(id) = workload.id.clone() else { return };
    let seen_by = |name: &str| workload.seen_by.iter().any(|source| source == name);
    let daemon = ["docker", "podman"].into_iter().find(|name| seen_by(name));
    let closer: Pin<Box<dyn Future<Output = Option<Workload>> + '_>> = if let Some(name) = daemon {
        let Some(client) = clients.0.iter().find(|client| client.runtime == name) else { return };
        Box::pin(async move { docker::look(client, &id).await })
    } else if seen_by("cri") {
        let sandbox = workload.role == Role::Sandbox;
        Box::pin(async move { cri::look(sockets::cri(options), &id, sandbox).await })
    } else {
        return;
    };
    if let Ok(Some(found)) = tokio::time::timeout(options.timeout, closer).await {
        merge::complete(workload, found);
    }
}
