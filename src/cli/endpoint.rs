//! `podnet endpoint`.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{Common, Error, block_on};
use crate::collect::cilium;
use crate::collect::options::{Depth, Options};
use crate::collect::survey::{self, survey};
use crate::model::endpoint::{Endpoint as Found, ToldBy};
use crate::model::node::Node;
use crate::model::source::Status;
use crate::target::{Target, Unresolved, candidate_of_endpoint, endpoints, resolve};
use crate::view::endpoint as view;

const EXAMPLES: &str = "\
Examples:
  podnet endpoint list                    what the agent believes of this node
  podnet endpoint list -o wide            … with labels and whole container ids
  podnet endpoint get 157                 all of one, by its id
  podnet endpoint get default/web-0       … or by its pod, address, interface, …
  podnet endpoint log ep:157
  podnet endpoint list --agent-socket /run/cilium/cilium.sock -o json

The agent is only read: nothing here changes an endpoint.";

/// Show what the Cilium agent believes of the pods of this node
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Endpoint {
    #[command(subcommand)]
    command: Command,
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
        match &self.command {
            Command::List => common.print(&view::list(block_on(ask(&options))??)),
            Command::Get { target } => {
                let (node, endpoint) = block_on(one(&options, target))??;
                common.print(&view::report(&node, endpoint))
            }
            Command::Log { target } => {
                let (node, endpoint) = block_on(one(&options, target))??;
                common.print(&view::log(&node, endpoint))
            }
        }?;
        Ok(0)
    }
}

/// The node as far as the agent knows it, or what it left there.
async fn ask(options: &Options) -> Result<Node, Error> {
    let told = cilium::ask_endpoints(options).await;
    if told.agent.is_none() && told.endpoints.is_empty() {
        let asked = told.sources.into_iter().next();
        let absent = asked.as_ref().is_some_and(|asked| asked.status == Status::Absent);
        let why = asked.and_then(|asked| asked.detail).unwrap_or_default();
        return Err(Error::NoAgent { why, absent, error: told.error });
    }
    let mut node = Node { hostname: survey::hostname(), collected_at: Timestamp::now(), ..Node::default() };
    told.add_to(&mut node);
    Ok(node)
}

/// The endpoint that is meant, with its whole log.
async fn one(options: &Options, text: &str) -> Result<(Node, Found), Error> {
    let target: Target = text.parse()?;
    let mut node = ask(options).await?;
    let mut endpoint = match endpoints(&node.endpoints, &target).as_slice() {
        [one] => (*one).clone(),
        [] => through_workload(&mut node, options, &target).await?,
        several => {
            let candidates = several.iter().map(|endpoint| candidate_of_endpoint(endpoint, "endpoint")).collect();
            return Err(Unresolved::Ambiguous { text: text.to_owned(), candidates }.into());
        }
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
        survey.read_closely(inode, options, false);
    }
    node.sources = std::mem::take(&mut survey.node.sources);
    let workload = pick.workload.and_then(|index| survey.node.workloads.get(index));
    let found = survey.node.endpoint_of(workload, pick.netns).cloned();
    found.ok_or_else(|| Error::NoEndpoint { text: target.text.clone() })
}
