//! Which pod network is meant: one that podnet made, a container or netns that is there, or a new name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::unheard::tell_unheard;
use super::{Common, Error, block_on};
use crate::collect::survey::survey;
use crate::flow::agent::{Agent, Pod, SOCKET};
use crate::flow::journal::DEFAULT_RUN;
use crate::flow::wish::NETNS_DIRECTORY;
use crate::flow::{Engine, Place};
use crate::ipam::{self, DEFAULT_ROOT, Owner};
use crate::model::node::Node;
use crate::target::{Candidate, Pick, Target, Unresolved, is_enough_of_id, resolve_to_change};

/// Where podnet keeps what it knows.
#[derive(Args, Debug)]
pub struct State {
    /// Where the addresses are kept
    #[arg(long, value_name = "DIR", env = "PODNET_ROOT", hide_env_values = true, default_value = DEFAULT_ROOT)]
    pub root: PathBuf,
    /// Where the journals are kept, until the machine restarts
    #[arg(long, value_name = "DIR", env = "PODNET_RUN", hide_env_values = true, default_value = DEFAULT_RUN)]
    pub run: PathBuf,
}

impl State {
    pub fn engine(&self) -> Engine {
        Engine::new(&self.run)
    }
}

impl Common {
    /// This node's, waited for as long as any other source.
    pub(super) fn agent(&self, pod: Option<Pod>, pool: Option<String>) -> Agent {
        let socket = self.agent_socket.clone().unwrap_or_else(|| SOCKET.into());
        let patience_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        Agent { socket, patience_ms, pod, pool }
    }
}

/// Whom an interface is for.
#[derive(Debug)]
pub struct Subject {
    pub container_id: String,
    pub place: Place,
    /// In Kubernetes.
    pub pod: Option<Pod>,
}

impl Subject {
    /// A container, pod or netns that is there and called exactly so; else a new netns of that name.
    pub fn find(text: &str, common: &Common) -> Result<Self, Error> {
        if let Some(subject) = by_path(text) {
            return Ok(subject);
        }
        let target: Target = text.parse()?;
        let options = common.options()?;
        let survey = block_on(survey(&options, target.depth()))?;
        let found = resolve_to_change(&survey.node, &target);
        if found.is_ok() || is_new_name(text) {
            tell_unheard(&survey.node, &target);
        }
        match found {
            Ok(pick) => existing(&survey.node, pick).ok_or_else(|| Error::Stopped { text: text.to_owned() }),
            Err(Unresolved::NotFound { .. }) if is_new_name(text) => {
                Ok(Self { container_id: text.to_owned(), place: Place::Named(text.to_owned()), pod: None })
            }
            Err(unresolved) => Err(unresolved.into()),
        }
    }
}

/// A path, or the name of a netns that is mounted where `ip netns` does.
fn by_path(text: &str) -> Option<Subject> {
    let named = Path::new(NETNS_DIRECTORY).join(text);
    let path = match text {
        _ if text.starts_with('/') => PathBuf::from(text),
        _ if !["", ".", ".."].contains(&text) && !text.contains('/') && named.exists() => named,
        _ => return None,
    };
    let container_id = path.file_name()?.to_str()?.to_owned();
    // `/proc/PID/ns/net` names nobody.
    let container_id = if path.starts_with("/proc") { text.trim_matches('/').replace('/', "-") } else { container_id };
    Some(Subject { container_id, place: Place::Path(path), pod: None })
}

/// A number alone is a PID or the like that is not there: nobody wants a netns of that name.
fn is_new_name(text: &str) -> bool {
    Owner::new(text, "eth0").is_ok() && !text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The pod's sandbox is what a runtime gives a network to.
fn existing(node: &Node, pick: Pick) -> Option<Subject> {
    let workload = pick.workload.and_then(|index| node.workloads.get(index));
    let state = pick.netns.and_then(|inode| node.namespace(inode))?;
    let pid = workload.and_then(|workload| workload.pid);
    let held = || state.netns.holders.iter().find(|holder| holder.path.is_none()).and_then(|holder| holder.pid);
    let mounted = || state.netns.paths.first().map(PathBuf::from);
    let path = mounted().or_else(|| pid.or_else(held).map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net"))));
    let sandbox = workload.and_then(|workload| workload.pod.as_ref()?.sandbox_id.clone());
    let id = sandbox.or_else(|| workload.and_then(|workload| workload.id.clone()));
    let container_id = id.unwrap_or_else(|| format!("netns-{}", state.netns.inode));
    let path = if state.netns.is_host { PathBuf::from("/proc/1/ns/net") } else { path? };
    let pod = workload.and_then(|workload| workload.pod.clone());
    let pod = pod.map(|pod| Pod { namespace: pod.namespace, name: pod.name, uid: pod.uid });
    Some(Subject { container_id, place: Place::Path(path), pod })
}

/// The interfaces that podnet made for whom `text` names: by its journals, by the container ID or enough of it.
pub fn journaled(text: &str, ifname: Option<&str>, engine: &Engine) -> Result<Vec<Owner>, Error> {
    let text = text.strip_prefix("container:").unwrap_or(text);
    let owners = engine.journals().owners()?;
    let of = |fits: &dyn Fn(&str) -> bool| -> Vec<Owner> {
        let wanted =
            |owner: &&Owner| fits(owner.container_id()) && ifname.is_none_or(|ifname| owner.ifname() == ifname);
        owners.iter().filter(wanted).cloned().collect()
    };
    let exact = of(&|id| id == text);
    let found = if exact.is_empty() { of(&|id| is_enough_of_id(text, id)) } else { exact };
    let containers: BTreeSet<&str> = found.iter().map(Owner::container_id).collect();
    if containers.len() > 1 {
        let candidate = |id: &str| Candidate {
            spelling: format!("container:{id}"),
            name: String::new(),
            reason: "id starts with it",
        };
        let candidates = containers.into_iter().map(candidate).collect();
        return Err(Unresolved::Ambiguous { text: text.to_owned(), candidates }.into());
    }
    Ok(found)
}

/// The owner of an interface, as the CNI spec names it.
pub fn owner(container_id: &str, ifname: &str) -> Result<Owner, Error> {
    Owner::new(container_id, ifname).map_err(|invalid| ipam::Error::from(invalid).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_namespaces_is_none_itself() {
        for text in ["", ".", "..", "./"] {
            assert!(by_path(text).is_none(), "{text:?}");
        }
    }
}
