//! Asking the Cilium agent of this node, with a deadline of its own. Everything here reads: GET alone, a few
//! questions for the whole node, never one an endpoint.

mod agent;
mod client;
mod controller;
mod endpoint;
mod evidence;
mod map;
mod queue;
mod state;

use std::io;
use std::path::Path;
use std::time::Instant;

use hyper::Method;
use jiff::Timestamp;
use serde_json::value::RawValue;

pub use client::{Client, Error, Question, garbage};

use super::kernel::problem::chain;
use super::log;
use super::options::Options;
use crate::model::agent::{Agent, Allocation, SOURCE};
use crate::model::count::counted;
use crate::model::datapath::Datapath;
use crate::model::endpoint::{Endpoint, QueuedDelete, StatusChange};
use crate::model::node::Node;
use crate::model::source::{Asked, Status};
use evidence::Evidence;

/// Where the agent listens unless it is told otherwise.
pub const SOCKET: &str = "/var/run/cilium/cilium.sock";

/// What is known of Cilium on this node: by the agent, and by what it keeps beside it.
#[derive(Debug, Default)]
pub struct Cilium {
    pub agent: Option<Agent>,
    /// The agent's, or those of its state directory and maps.
    pub endpoints: Vec<Endpoint>,
    pub datapath: Option<Datapath>,
    pub queued_deletes: Vec<QueuedDelete>,
    /// The agent first.
    pub sources: Vec<Asked>,
    /// Why the agent told nothing.
    pub error: Option<Error>,
}

impl Cilium {
    pub fn add_to(self, node: &mut Node) {
        node.agent = self.agent;
        node.endpoints = self.endpoints;
        node.datapath = self.datapath;
        node.queued_deletes = self.queued_deletes;
        node.sources.extend(self.sources);
    }

    /// Adds what lies on the node, and takes the endpoints from there if the agent told none.
    fn with(self, evidence: Evidence) -> Self {
        let sources = self.sources.into_iter().chain(evidence.sources).collect();
        let endpoints = if self.agent.is_some() { self.endpoints } else { evidence.endpoints };
        Self { endpoints, sources, datapath: evidence.datapath, queued_deletes: evidence.queued_deletes, ..self }
    }
}

/// Where the agent listens: what the operator says, else the usual place.
pub fn socket(options: &Options) -> &Path {
    options.agent_socket.as_deref().unwrap_or(Path::new(SOCKET))
}

pub fn client(options: &Options) -> Client {
    Client::new(socket(options), options.timeout)
}

/// Asks the agent for health, configuration and endpoints at once, and reads the maps beside it.
pub async fn ask(options: &Options) -> Cilium {
    let told = ask_agent(options).await;
    let own = told.agent.is_some().then_some(told.endpoints.as_slice());
    let evidence = evidence::read(options, own, true);
    told.with(evidence)
}

/// Asks the agent for its endpoints alone, and reads the maps only if it does not answer.
pub async fn ask_endpoints(options: &Options) -> Cilium {
    let told = ask_list(options).await;
    let own = told.agent.is_some().then_some(told.endpoints.as_slice());
    let evidence = evidence::read(options, own, own.is_none());
    told.with(evidence)
}

async fn ask_agent(options: &Options) -> Cilium {
    let start = Instant::now();
    let client = client(options);
    let (list, health, configuration) = tokio::join!(endpoints(&client), client.get("/healthz"), client.get("/config"));
    let mut problems = Vec::new();
    let mut first = None;
    let mut failed = |error: Error| {
        problems.push(chain(&error));
        first.get_or_insert(error);
    };
    let health = health.map_err(&mut failed).ok();
    let configuration = configuration.map_err(&mut failed).ok();
    let (endpoints, unread) = match list {
        Ok(read) => read,
        Err(error) => {
            failed(error);
            Default::default()
        }
    };
    let silent = problems.len() == 3;
    problems.extend(unread);
    match first.filter(|_| silent) {
        Some(error) => refused(error, options, start),
        None => {
            let agent = agent::agent(socket(options).to_string_lossy().into_owned(), health, configuration);
            present(Agent { problems, ..agent }, endpoints, start)
        }
    }
}

async fn ask_list(options: &Options) -> Cilium {
    let start = Instant::now();
    match endpoints(&client(options)).await {
        Ok((endpoints, problems)) => {
            let socket = socket(options).to_string_lossy().into_owned();
            present(Agent { problems, ..agent::agent(socket, None, None) }, endpoints, start)
        }
        Err(error) => refused(error, options, start),
    }
}

/// What an ADD needs to know: the configuration, and of the health the version alone.
pub async fn ask_configuration(client: &Client, socket: &Path) -> Result<Agent, Error> {
    let brief = Question::new(Method::GET, "/healthz").header("brief", "true");
    let (configuration, health) = tokio::join!(client.get("/config"), client.ask(&brief));
    let configuration = configuration?;
    let health = health.ok().and_then(|body| serde_json::from_slice(&body).ok());
    Ok(agent::agent(socket.to_string_lossy().into_owned(), health, Some(configuration)))
}

/// Whom the agent gave which address.
pub async fn ask_allocations(client: &Client) -> Result<Vec<Allocation>, Error> {
    let health = client.get("/healthz").await?;
    Ok(agent::agent(String::new(), Some(health), None).ipam.map(|ipam| ipam.allocations).unwrap_or_default())
}

/// The status log of one endpoint, newest first; the list has the newest line only.
pub async fn ask_log(options: &Options, id: u32) -> Result<Vec<StatusChange>, Error> {
    client(options).get(&format!("/endpoint/{id}/log")).await.map(endpoint::log)
}

async fn endpoints(client: &Client) -> Result<(Vec<Endpoint>, Vec<String>), Error> {
    let read = |body: &[u8]| {
        let list: Option<Vec<&RawValue>> = serde_json::from_slice(body)?;
        Ok(endpoint::endpoints(&list.unwrap_or_default()))
    };
    client.get_and("/endpoint", read).await
}

fn refused(error: Error, options: &Options, start: Instant) -> Cilium {
    let (status, why) = match why(&error, options) {
        (true, why) => (Status::Absent, why),
        (false, why) => (Status::Failed, why),
    };
    Cilium { sources: vec![asked(status, why, start)], error: Some(error), ..Cilium::default() }
}

/// Whether it is absent, and why it did not answer. A socket that is not there is an agent that is not there, unless
/// Cilium's directory or the operator says that there should be one.
fn why(error: &Error, options: &Options) -> (bool, String) {
    let Error::Connect { socket, source } = error else { return (false, chain(error)) };
    let place = socket.display();
    match source.kind() {
        io::ErrorKind::NotFound if options.agent_socket.is_none() => match socket.parent().filter(|it| it.is_dir()) {
            Some(folder) => {
                let folder = folder.display();
                (false, format!("no socket at {place}, though {folder} is there (the agent is down or starting)"))
            }
            None => (true, format!("no socket at {place}")),
        },
        io::ErrorKind::ConnectionRefused => {
            (false, format!("nothing listens on {place} (the agent is down: see its pod's log)"))
        }
        io::ErrorKind::PermissionDenied => {
            (false, format!("{} (run as root, or join the socket's group)", chain(error)))
        }
        _ => (false, chain(error)),
    }
}

fn present(agent: Agent, endpoints: Vec<Endpoint>, start: Instant) -> Cilium {
    let version = agent.version.as_ref().map(|version| format!("{version}, ")).unwrap_or_default();
    let unread = agent.problems.first().map(|problem| format!("; {problem}")).unwrap_or_default();
    let status = if agent.problems.is_empty() { Status::Present } else { Status::Failed };
    let detail = format!("{version}{}{unread}", counted(endpoints.len(), "endpoint", "endpoints"));
    let sources = vec![asked(status, detail, start)];
    Cilium { sources, agent: Some(agent), endpoints, ..Cilium::default() }
}

fn asked(status: Status, detail: String, start: Instant) -> Asked {
    let elapsed_ms = start.elapsed().as_secs_f64() * 1000.0;
    log::told(Asked { name: SOURCE.to_owned(), status, detail: Some(detail), elapsed_ms })
}

/// The line under «sources» for a log that was asked for in vain.
pub fn unread_log(error: &Error) -> Asked {
    let detail = Some(chain(error));
    Asked { name: "endpoint log".to_owned(), status: Status::Failed, detail, elapsed_ms: 0.0 }
}

/// … for several, which did not come in time.
pub fn unread_logs(count: usize) -> Asked {
    let detail =
        Some(format!("the agent did not tell the logs of {} in time", counted(count, "endpoint", "endpoints")));
    Asked { name: "endpoint log".to_owned(), status: Status::Failed, detail, elapsed_ms: 0.0 }
}

/// Go writes the year 1 for «never».
fn time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().filter(|time| time.as_second() > 0)
}
