//! Asking the Cilium agent of this node, with a deadline of its own. Everything here reads: GET alone, a few
//! questions for the whole node, never one an endpoint.

mod agent;
mod client;
mod controller;
mod endpoint;

use std::io;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::value::RawValue;

pub use client::{Client, Error};

use super::kernel::problem::chain;
use super::options::Options;
use crate::model::agent::{Agent, SOURCE};
use crate::model::endpoint::{Endpoint, StatusChange};
use crate::model::source::{Asked, Status};

const SOCKET: &str = "/var/run/cilium/cilium.sock";

/// What the agent told, with the line under «sources».
#[derive(Debug)]
pub struct Told {
    pub asked: Asked,
    pub agent: Option<Agent>,
    pub endpoints: Vec<Endpoint>,
    /// Why it told nothing.
    pub error: Option<Error>,
}

impl Told {
    /// What it told, with its line added to the sources.
    pub fn into_parts(self, sources: &mut Vec<Asked>) -> (Option<Agent>, Vec<Endpoint>) {
        sources.push(self.asked);
        (self.agent, self.endpoints)
    }
}

/// Where the agent listens: what the operator says, else the usual place.
pub fn socket(options: &Options) -> &Path {
    options.agent_socket.as_deref().unwrap_or(Path::new(SOCKET))
}

pub fn client(options: &Options) -> Client {
    Client::new(socket(options), options.timeout)
}

/// Asks for health, configuration and endpoints at once.
pub async fn ask(options: &Options) -> Told {
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

/// Asks for the endpoints alone.
pub async fn ask_endpoints(options: &Options) -> Told {
    let start = Instant::now();
    match endpoints(&client(options)).await {
        Ok((endpoints, problems)) => {
            let socket = socket(options).to_string_lossy().into_owned();
            present(Agent { problems, ..agent::agent(socket, None, None) }, endpoints, start)
        }
        Err(error) => refused(error, options, start),
    }
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

fn refused(error: Error, options: &Options, start: Instant) -> Told {
    let (status, why) = match why(&error, options) {
        (true, why) => (Status::Absent, why),
        (false, why) => (Status::Failed, why),
    };
    Told { asked: asked(status, why, start), agent: None, endpoints: Vec::new(), error: Some(error) }
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

fn present(agent: Agent, endpoints: Vec<Endpoint>, start: Instant) -> Told {
    let version = agent.version.as_ref().map(|version| format!("{version}, ")).unwrap_or_default();
    let unread = agent.problems.first().map(|problem| format!("; {problem}")).unwrap_or_default();
    let status = if agent.problems.is_empty() { Status::Present } else { Status::Failed };
    let detail = format!("{version}{} endpoints{unread}", endpoints.len());
    Told { asked: asked(status, detail, start), agent: Some(agent), endpoints, error: None }
}

fn asked(status: Status, detail: String, start: Instant) -> Asked {
    let elapsed_ms = start.elapsed().as_secs_f64() * 1000.0;
    Asked { name: SOURCE.to_owned(), status, detail: Some(detail), elapsed_ms }
}

/// The line under «sources» for a log that was asked for in vain.
pub fn unread_log(error: &Error) -> Asked {
    let detail = Some(chain(error));
    Asked { name: "endpoint log".to_owned(), status: Status::Failed, detail, elapsed_ms: 0.0 }
}

/// Go writes the year 1 for «never».
fn time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().filter(|time| time.as_second() > 0)
}
