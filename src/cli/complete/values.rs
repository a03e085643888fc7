//! The values that arguments can have on this node.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, Command, FromArgMatches};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};

use crate::check::RULES;
use crate::check::rule::family;
use crate::cli::{Common, block_on};
use crate::collect::cilium;
use crate::collect::options::{Depth, Options};
use crate::collect::survey::survey;
use crate::ipam::{DEFAULT_ROOT, Store, reader};
use crate::model::endpoint::Endpoint;
use crate::model::node::Node;
use crate::show::{Format, harmless};
use crate::target::{depth_of, offers};

/// How an endpoint is spelled where it could be something else.
const ENDPOINT: &str = "ep:";
/// For each source.
const DEADLINE: Duration = Duration::from_millis(250);

type Values = fn(&Options, &str) -> Vec<CompletionCandidate>;

/// The command tree, with the values that its arguments can have.
pub fn known(command: Command, options: &Arc<Options>) -> Command {
    let name = command.get_name().to_owned();
    let command = command.mut_args(|arg| match values_of(&name, &arg) {
        Some(values) => {
            let options = Arc::clone(options);
            arg.add(ArgValueCompleter::new(move |typed: &OsStr| matching(values, &options, typed)))
        }
        None => arg,
    });
    command.mut_subcommands(|command| known(command, options))
}

/// What the words so far say of where to ask, with a deadline that suits a person with a finger on the key.
pub fn options(words: &[OsString]) -> Options {
    let matches = crate::cli::command().ignore_errors(true).try_get_matches_from(words).ok();
    let common = matches.and_then(|matches| Common::from_arg_matches(&matches).ok());
    let options = common.and_then(|common| common.options().ok()).unwrap_or_default();
    Options { timeout: DEADLINE, ..options }
}

/// By the names that arguments have in every command.
fn values_of(command: &str, arg: &Arg) -> Option<Values> {
    Some(match (command, arg.get_id().as_str()) {
        ("get" | "log", "target") => endpoints,
        (_, "target" | "targets") => targets,
        (_, "namespace") => namespaces,
        (_, "output") => |_, _| described(&Format::WORDS),
        (_, "runtime") => |_, _| described(&RUNTIMES),
        (_, "pool") | ("rm", "name") => pools,
        ("explain", "code") => |_, _| codes().collect(),
        ("check", "rule" | "ignore") => |_, _| codes().chain(families()).collect(),
        ("show" | "release", "address") => |_, _| held().map(|(address, _)| address).collect(),
        ("release", "container") => |_, _| held().filter_map(|(_, container)| container).collect(),
        _ => return None,
    })
}

const RUNTIMES: [(&str, &str); 5] =
    [("docker", ""), ("containerd", ""), ("cri-o", ""), ("podman", ""), ("none", "/proc alone")];

fn matching(values: Values, options: &Options, typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let mut candidates = values(options, typed);
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

fn targets(options: &Options, typed: &str) -> Vec<CompletionCandidate> {
    if typed.starts_with(ENDPOINT) {
        return asked(options).iter().map(|endpoint| of_endpoint(endpoint, ENDPOINT)).collect();
    }
    let offered = node(options, depth_of(typed)).map(|node| offers(&node, typed)).unwrap_or_default();
    let mut candidates: Vec<_> = offered.iter().map(|offer| candidate(&offer.text, &offer.note)).collect();
    if typed.starts_with('/') {
        candidates.extend(PathCompleter::any().complete(OsStr::new(typed)));
    }
    candidates
}

/// By their ids, which are nobody else's where only endpoints are asked for, and by their pods.
fn endpoints(options: &Options, typed: &str) -> Vec<CompletionCandidate> {
    let word = if typed.starts_with(ENDPOINT) { ENDPOINT } else { "" };
    let endpoints = asked(options);
    let pods = endpoints.iter().filter_map(|endpoint| {
        let pod = endpoint.pod.as_ref()?;
        Some(candidate(&format!("{}/{}", pod.namespace, pod.name), &format!("endpoint {}", endpoint.id)))
    });
    endpoints.iter().map(|endpoint| of_endpoint(endpoint, word)).chain(pods).collect()
}

fn of_endpoint(endpoint: &Endpoint, word: &str) -> CompletionCandidate {
    let pod = endpoint.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name));
    let notes: Vec<String> = pod.into_iter().chain(endpoint.state.clone()).collect();
    candidate(&format!("{word}{}", endpoint.id), &notes.join(", "))
}

fn asked(options: &Options) -> Vec<Endpoint> {
    let asking = async { tokio::time::timeout(DEADLINE, cilium::ask_endpoints(options)).await };
    block_on(asking).ok().and_then(Result::ok).map(|told| told.endpoints).unwrap_or_default()
}

fn namespaces(options: &Options, _: &str) -> Vec<CompletionCandidate> {
    let pods = node(options, Depth::Holders).map(|node| node.workloads).unwrap_or_default();
    let names: BTreeSet<_> = pods.into_iter().filter_map(|workload| Some(workload.pod?.namespace)).collect();
    names.iter().map(|name| candidate(name, "")).collect()
}

fn node(options: &Options, depth: Depth) -> Option<Node> {
    block_on(survey(options, depth)).ok().map(|survey| survey.node)
}

fn root() -> PathBuf {
    std::env::var_os("PODNET_ROOT").map_or_else(|| DEFAULT_ROOT.into(), PathBuf::from)
}

fn pools(_: &Options, _: &str) -> Vec<CompletionCandidate> {
    let pools = Store::open(&root()).pools().unwrap_or_default();
    pools.iter().map(|pool| candidate(&pool.name, "")).collect()
}

fn codes() -> impl Iterator<Item = CompletionCandidate> {
    RULES.iter().map(|rule| candidate(rule.code, rule.sentence))
}

fn families() -> impl Iterator<Item = CompletionCandidate> {
    let families: BTreeSet<String> = RULES.iter().map(|rule| family(rule.code)).collect();
    families.into_iter().map(|family| candidate(&family, "every rule of it"))
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
