//! The values that arguments can have on this node.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};

use crate::cli::block_on;
use crate::collect::options::{Depth, Options};
use crate::collect::survey::survey;
use crate::ipam::{DEFAULT_ROOT, Store, reader};
use crate::model::node::Node;
use crate::show::{Format, harmless};
use crate::target::{depth_of, offers};

/// A person waits for it with a finger on the key.
const DEADLINE: Duration = Duration::from_millis(250);

type Values = fn(&str) -> Vec<CompletionCandidate>;

/// The command tree, with the values that its arguments can have.
pub fn known(command: Command) -> Command {
    let name = command.get_name().to_owned();
    let command = command.mut_args(|arg| match values_of(&name, &arg) {
        Some(values) => arg.add(ArgValueCompleter::new(move |typed: &OsStr| matching(values, typed))),
        None => arg,
    });
    command.mut_subcommands(known)
}

/// By the names that arguments have in every command.
fn values_of(command: &str, arg: &Arg) -> Option<Values> {
    Some(match (command, arg.get_id().as_str()) {
        (_, "target" | "targets") => targets,
        (_, "namespace") => namespaces,
        (_, "output") => |_| described(&Format::WORDS),
        (_, "runtime") => |_| described(&RUNTIMES),
        (_, "pool") | ("rm", "name") => pools,
        ("show" | "release", "address") => |_| held().map(|(address, _)| address).collect(),
        ("release", "container") => |_| held().filter_map(|(_, container)| container).collect(),
        _ => return None,
    })
}

const RUNTIMES: [(&str, &str); 5] =
    [("docker", ""), ("containerd", ""), ("cri-o", ""), ("podman", ""), ("none", "/proc alone")];

fn matching(values: Values, typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let mut candidates = values(typed);
    candidates.retain(|candidate| candidate.get_value().to_string_lossy().starts_with(typed));
    candidates
}

fn candidate(text: &str, note: &str) -> CompletionCandidate {
    let note = (!note.is_empty()).then(|| harmless(note).into_owned().into());
    CompletionCandidate::new(text).help(note)
}

fn described(words: &[(&str, &str)]) -> Vec<CompletionCandidate> {
    words.iter().map(|(word, note)| candidate(word, note)).collect()
}

fn targets(typed: &str) -> Vec<CompletionCandidate> {
    let offered = node(depth_of(typed)).map(|node| offers(&node, typed)).unwrap_or_default();
    let mut candidates: Vec<_> = offered.iter().map(|offer| candidate(&offer.text, &offer.note)).collect();
    if typed.starts_with('/') {
        candidates.extend(PathCompleter::any().complete(OsStr::new(typed)));
    }
    candidates
}

fn namespaces(_: &str) -> Vec<CompletionCandidate> {
    let pods = node(Depth::Holders).map(|node| node.workloads).unwrap_or_default();
    let names: BTreeSet<_> = pods.into_iter().filter_map(|workload| Some(workload.pod?.namespace)).collect();
    names.iter().map(|name| candidate(name, "")).collect()
}

fn node(depth: Depth) -> Option<Node> {
    let options = Options { timeout: DEADLINE, ..Options::default() };
    block_on(survey(&options, depth)).ok().map(|survey| survey.node)
}

fn root() -> PathBuf {
    std::env::var_os("PODNET_ROOT").map_or_else(|| DEFAULT_ROOT.into(), PathBuf::from)
}

fn pools(_: &str) -> Vec<CompletionCandidate> {
    let pools = Store::open(&root()).pools().unwrap_or_default();
    pools.iter().map(|pool| candidate(&pool.name, "")).collect()
}

/// The addresses that are held, and by whom.
fn held() -> impl Iterator<Item = (CompletionCandidate, Option<CompletionCandidate>)> {
    let networks = root().join("networks");
    let pools = reader::networks(&networks).unwrap_or_default();
    let listings = pools.into_iter().filter_map(move |pool| reader::read(&networks.join(pool)).ok());
    listings.flat_map(|listing| listing.reservations).map(|held| {
        let address = held.address.to_string();
        let owner = held.holder.map(|holder| holder.container_id).unwrap_or_default();
        (candidate(&address, &owner), (!owner.is_empty()).then(|| candidate(&owner, &address)))
    })
}

/// The host's commands by that beginning.
pub fn programs(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(text) = typed.to_str() else { return Vec::new() };
    if text.contains('/') {
        return PathCompleter::any().complete(typed);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter_map(|folder| std::fs::read_dir(folder).ok());
    let names: BTreeSet<String> = folders
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| {
            entry.file_name().into_string().ok().filter(|name| name.starts_with(text)).map(|name| (entry, name))
        })
        .filter(|(entry, _)| {
            std::fs::metadata(entry.path()).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        })
        .map(|(_, name)| name)
        .collect();
    names.iter().map(|name| candidate(name, "")).collect()
}
