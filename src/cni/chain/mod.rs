//! A network's plugins, driven as a runtime drives them: ADD in order, each told what the one before it gave;
//! DEL in reverse; CHECK, STATUS and GC; and libcni's cache kept, so that a runtime could go on.

mod attachment;
mod network;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use attachment::{AddFailure, Chain};
pub use network::Collected;

use serde_json::{Map, Value};

use super::args;
use super::cache::{self, Cache, Cached};
use super::exec::{self, Call};
use super::install;
use super::invocation::{self, Verb};
use super::netconf::{self, Plugin};
use super::result::{self, AddResult};
use super::version::SpecVersion;
use crate::ipam::{Owner, owner};

/// Where plugins are, and how long one may take.
#[derive(Clone, Debug)]
pub struct Runtime {
    pub path: Vec<PathBuf>,
    pub cache: Cache,
    pub deadline: Duration,
}

/// What a runtime says of the container.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    pub owner: Owner,
    /// Absent for a DEL after the netns is gone.
    pub netns: Option<PathBuf>,
    /// `CNI_ARGS`.
    pub args: Vec<(String, String)>,
    /// For the plugins that declared them: portMappings, ips, mac, …
    pub capabilities: Map<String, Value>,
}

/// One plugin's turn, when it is over.
#[derive(Debug)]
pub struct Turn<'a> {
    pub verb: Verb,
    /// Its place in the network, from 0.
    pub nth: usize,
    pub plugin: &'a Plugin,
    pub elapsed: Duration,
    /// What the plugin before it gave back to ADD.
    pub before: Option<&'a AddResult>,
    /// What ADD gave back: all of that, and what this plugin added.
    pub result: Option<&'a AddResult>,
    pub error: Option<&'a Error>,
}

/// Whoever watches the turns.
pub type Watch<'a> = dyn FnMut(&Turn<'_>) + 'a;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Plugin(#[from] exec::Error),
    #[error("the result of the plugin before cannot be said in the network's version")]
    Previous(#[source] result::Invalid),
    #[error(transparent)]
    Cache(#[from] cache::Error),
    #[error("the result in libcni's cache cannot be used")]
    CachedResult(#[source] result::Invalid),
    #[error("the network in libcni's cache cannot be used")]
    CachedNetwork(#[source] netconf::Invalid),
    #[error("libcni's cache names no attachment")]
    CachedOwner(#[from] owner::Invalid),
    #[error("{owner} is not attached to the network {network}: libcni's cache has no result of an ADD")]
    NotAdded { owner: Owner, network: String },
}

/// Why a verb was not sent, though nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// CHECK came with 0.4.0; GC and STATUS with 1.1.0.
    TooOld(SpecVersion),
    /// `disableCheck`, `disableGC`.
    Disabled,
}

impl Attachment {
    /// With what the cache kept of the ADD.
    pub fn of_cached(cached: &Cached) -> Result<Self, owner::Invalid> {
        Ok(Self {
            owner: Owner::new(&cached.container_id, &cached.ifname)?,
            netns: cached.netns.as_ref().map(PathBuf::from),
            args: cached.args.clone(),
            capabilities: cached.capabilities.clone(),
        })
    }

    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            (invocation::CONTAINER_ID, OsString::from(self.owner.container_id())),
            (invocation::IFNAME, self.owner.ifname().into()),
            (invocation::NETNS, self.netns.clone().unwrap_or_default().into()),
        ];
        if !self.args.is_empty() {
            variables.push((invocation::ARGS, args::join(&self.args).into()));
        }
        variables
    }
}

impl Runtime {
    /// The program that is called for a plugin.
    pub fn program(&self, plugin: &Plugin) -> Result<PathBuf, exec::Error> {
        match exec::find(&plugin.kind, &self.path) {
            // podnet need not be installed for its own plugin to run.
            Err(error) if plugin.kind == install::NAME => std::env::current_exe().map_err(|_| error),
            found => found,
        }
    }

    fn call(
        &self,
        plugin: &Plugin,
        verb: Verb,
        mut variables: Vec<(&'static str, OsString)>,
        request: Map<String, Value>,
    ) -> Result<Call, exec::Error> {
        // It cannot hold an empty or odd path: those were given one by one.
        variables.push((invocation::PATH, std::env::join_paths(&self.path).unwrap_or_default()));
        let stdin = Value::Object(request).to_string().into_bytes();
        let program = self.program(plugin)?;
        Ok(Call { program, verb, variables, stdin, deadline: self.deadline })
    }
}
