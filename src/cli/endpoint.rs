//! `podnet endpoint`.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::from::From;
use super::{Common, Error, block_on};
use crate::collect::cilium;
use crate::collect::options::{Depth, Options};
use crate::collect::survey::{self, survey};
use crate::model::endpoint::{Endpoint as Found, ToldBy};
use crate::model::node::Node;
use crate::model::snapshot::Snapshot;
use crate::model::source::{Asked, Status};
use crate::snapshot;
use crate::target::{Pick, Target, Unresolved, candidate_of_endpoint, endpoints, resolve};
use crate::view::endpoint as view;

const EXAMPLES: &str = "\
Examples:
  podnet endpoint list                    what the agent believes of this node
  podnet endpoint list -o wide            … with labels and whole container ids
  podnet endpoint get 157                 all of one, by its id
  podnet endpoint get default/web-0       … or by its pod, address, interface, …
  podnet endpoint log ep:157
  podnet endpoint list --agent-socket /run/cilium/cilium.sock -o json
  podnet endpoint list --from node7.json  … of a snapshot, as it was

The agent is only read: nothing here changes an endpoint.";

/// Show what the Cilium agent believes of the pods of this node
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Endpoint {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A line an endpoint: identity, pod, address, interface, and what ails it
    List,
    /// All there is of one endpoint
    Get {
        /// An endpoint's id, ep:ID, cep:NAMESPACE/NAME, identity:ID, or any target that `podnet inspect` takes
        target: String,
    },
    /// What happened to an endpoint, newest first
    Log {
        /// As for `get`
        target: String,
    },
}

impl Endpoint {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let options = common.options()?;
        let from = self.from.read()?;
        let one = |target: &str| match &from {
            Some(snapshot) => one_of_snapshot(snapshot, target),
            None => block_on(one(&options, target))?,
        };
        match &self.command {
            Command::List => {
                let node = match &from {
                    Some(snapshot) => told(snapshot)?,
                    None => block_on(ask(&options))??,
                };
                common.print(&view::list(node))
            }
            Command::Get { target } => {
                let (node, endpoint) = one(target)?;
                common.print(&view::report(&node, endpoint))
            }
            Command::Log { target } => {
                let (node, endpoint) = one(target)?;
                common.print(&view::log(&node, endpoint))
            }
        }?;
        Ok(0)
    }
}

/// The node as the agent told it to whoever took the snapshot.
fn told(snapshot: &Snapshot) -> Result<Node, Error> {
    let node = snapshot::of_endpoints(snapshot.node.clone());
    if node.agent.is_none() && node.endpoints.is_empty() {
        return Err(silence(node.sources, None));
    }
    Ok(node)
}

fn one_of_snapshot(snapshot: &Snapshot, text: &str) -> Result<(Node, Found), Error> {
    let target: Target = text.parse()?;
    let node = told(snapshot)?;
    let mut endpoint = match named(&node, &target)? {
        Some(endpoint) => endpoint,
        None => of_workload(&snapshot.node, &target)?,
    };
    if let Some(log) = snapshot.log(endpoint.id).filter(|log| !log.is_empty()) {
        endpoint.log = log.to_vec();
    }
    Ok((node, endpoint))
}

/// What the agent itself has that name for.
fn named(node: &Node, target: &Target) -> Result<Option<Found>, Error> {
    match endpoints(&node.endpoints, target).as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        several => {
            let candidates = several.iter().map(|endpoint| candidate_of_endpoint(endpoint, "endpoint")).collect();
            Err(Unresolved::Ambiguous { text: target.text.clone(), candidates }.into())
        }
    }
}

/// Why nobody told of endpoints.
fn silence(sources: Vec<Asked>, error: Option<cilium::Error>) -> Error {
    let asked = sources.into_iter().next();
    let absent = asked.as_ref().is_some_and(|asked| asked.status == Status::Absent);
    let why = asked.and_then(|asked| asked.detail).unwrap_or_default();
    Error::NoAgent { why, absent, error }
}

/// The node as far as the agent knows it, or what it left there.
async fn ask(options: &Options) -> Result<Node, Error> {
    let told = cilium::ask_endpoints(options).await;
    if told.agent.is_none() && told.endpoints.is_empty() {
        return Err(silence(told.sources, told.error));
    }
    let mut node = Node { hostname: survey::hostname(), collected_at: Timestamp::now(), ..Node::default() };
    told.add_to(&mut node);
    Ok(node)
}

/// The endpoint that is meant, with its whole log.
async fn one(options: &Options, text: &str) -> Result<(Node, Found), Error> {
    let target: Target = text.parse()?;
    let mut node = ask(options).await?;
    let mut endpoint = match named(&node, &target)? {
        Some(endpoint) => endpoint,
        None => through_workload(&mut node, options, &target).await?,
    };
    if endpoint.told_by != ToldBy::Agent {
        return Ok((node, endpoint));
    }
    match cilium::ask_log(options, endpoint.id).await {
        Ok(log) if !log.is_empty() => endpoint.log = log,
        Ok(_) => {}
        Err(error) => node.sources.push(cilium::unread_log(&error)),
    }
    Ok((node, endpoint))
}

/// What the agent has no name for may be one that the runtimes and the kernel have: a PID, a container, a netns.
async fn through_workload(node: &mut Node, options: &Options, target: &Target) -> Result<Found, Error> {
    let mut survey = survey(options, target.depth().max(Depth::HostLinks)).await;
    survey.node.endpoints = std::mem::take(&mut node.endpoints);
    survey.node.sources.splice(0..0, node.sources.drain(..));
    let pick = resolve(&survey.node, target)?;
    if let Some(inode) = pick.netns {
        survey.read_closely(inode, false);
    }
    node.sources = std::mem::take(&mut survey.node.sources);
    of_pick(&survey.node, target, pick)
}

fn of_workload(node: &Node, target: &Target) -> Result<Found, Error> {
    of_pick(node, target, resolve(node, target)?)
}

fn of_pick(node: &Node, target: &Target, pick: Pick) -> Result<Found, Error> {
    let workload = pick.workload.and_then(|index| node.workloads.get(index));
    let found = node.endpoint_of(workload, pick.netns).cloned();
    found.ok_or_else(|| Error::NoEndpoint { text: target.text.clone() })
}
