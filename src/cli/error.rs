//! How a command fails: what was tried, what happened, what to do next, and the exit status.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::terminal::{Colour, page, say};
use crate::cni::{alive, cache, chain, config_dir, install, netconf};
use crate::collect::cilium;
use crate::flow::agent::conf;
use crate::model::source::{Asked, Status};
use crate::show::{Format, answers, brief, columns, harmless, harmless_json};
use crate::target::{Candidate, Elsewhere, Unresolved, Unusable};
use crate::view::error::{Choice, ErrorReport, Failure};
use crate::{exec, flow, ipam, netns, snapshot};

const FAILED: u8 = 1;
pub const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const AMBIGUOUS: u8 = 4;
const PERMISSION: u8 = 5;

const OTHER_SOCKET: &str = "not a Cilium node? else name the agent's socket: --agent-socket, or CILIUM_SOCK";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Target(#[from] Unusable),
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    #[error(transparent)]
    Elsewhere(#[from] Elsewhere),
    #[error("no runtime is called «{name}»")]
    UnknownRuntime { name: String },
    #[error("--runtime none goes with no other --runtime")]
    NoneBesideRuntime,
    /// What clap says of the command line.
    #[error("{message}")]
    Usage { message: String },
    /// … where it is plain what was meant.
    #[error("{message}")]
    Slip { message: String, meant: String },
    #[error("cannot tell which workload to run the command in")]
    NoTarget { candidates: Vec<Candidate> },
    #[error("no workload here has a network of its own")]
    NothingRuns,
    #[error("«{text}» has no network: it does not run")]
    Stopped { text: String },
    #[error("«{text}» runs, says its runtime, but no process of it lives here")]
    Unseen { text: String },
    #[error("no workload is seen, and {hidden} processes are hidden from podnet")]
    NothingSeen { hidden: usize },
    #[error("«{text}» runs, but its processes are hidden from podnet")]
    Hidden { text: String },
    #[error("the network namespace of process {pid} may not be looked at")]
    HiddenProcess { pid: u32, source: io::Error },
    #[error("the netns of «{text}» could not be opened")]
    Closed { text: String },
    #[error(transparent)]
    Identity(#[from] exec::NoSuchUser),
    #[error(transparent)]
    Netns(#[from] netns::Error),
    #[error(transparent)]
    Exec(#[from] exec::Error),
    #[error("cannot read the resolver files of the process {pid}")]
    NameFiles { pid: u32, source: io::Error },
    #[error("cannot start podnet for one of several targets")]
    Spawn { source: io::Error },
    #[error("the choice was given up")]
    GivenUp,
    #[error("the Cilium agent did not do it")]
    Agent { source: flow::Error },
    #[error("{address} is the agent's own ({owner}): it stays")]
    AgentsOwn { address: IpAddr, owner: String },
    #[error("{address} is in use: {found}; nothing is released")]
    AddressInUse { address: IpAddr, found: String, container: Option<String> },
    #[error("cannot tell whether {address} is in use: {why}; nothing is released")]
    AddressUnclear { address: IpAddr, why: String },
    #[error("--fail-at {step}: this creation has no such step ({steps})")]
    NoSuchStep { step: String, steps: String },
    #[error(transparent)]
    RefusedConf(#[from] conf::Refused),
    /// What the endpoints are asked of does not answer.
    #[error("the Cilium agent does not tell its endpoints: {why}")]
    NoAgent { why: String, absent: bool, error: Option<cilium::Error> },
    #[error("the Cilium agent has no endpoint for «{text}»")]
    NoEndpoint { text: String },
    #[error(transparent)]
    Ipam(#[from] ipam::Error),
    #[error(transparent)]
    Flow(#[from] flow::Error),
    #[error(transparent)]
    Create(#[from] Box<flow::Failed>),
    #[error(transparent)]
    Pool(#[from] ipam::choose::NoMatch),
    #[error("cannot {what}")]
    Demo { what: &'static str, source: io::Error },
    #[error(transparent)]
    Install(#[from] install::Error),
    #[error("the network configuration {conf} is refused")]
    Conf { conf: String, source: netconf::Invalid },
    #[error("there is no network to take: {why}")]
    NoNetwork { why: String },
    #[error("«{name}» is attached: {what}, and nothing was touched")]
    Attached { name: String, what: String, delete: String },
    #[error(transparent)]
    Chain { error: Box<chain::Error> },
    #[error("cannot tell which attachments are alive, and GC removes what it is not told of")]
    Unsure(#[from] alive::Unsure),
    #[error(transparent)]
    CniCache(#[from] cache::Error),
    #[error(transparent)]
    CniDirectory(#[from] config_dir::Unreadable),
    #[error("no rule is called «{code}» (did you mean {near}?)")]
    UnknownRule { code: String, near: &'static str },
    #[error("cannot read {}", .path.display())]
    Config { path: PathBuf, source: io::Error },
    #[error("{} is not in the form of a check configuration", .path.display())]
    ConfigForm { path: PathBuf, source: Box<serde_saphyr::Error> },
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    #[error("the pools of the snapshot are not in their form")]
    SnapshotPools { source: serde_json::Error },
    #[error("{} is there already", .path.display())]
    FileExists { path: PathBuf },
    #[error("cannot write {}", .path.display())]
    WriteFile { path: PathBuf, source: io::Error },
    #[error("cannot read {}", .path.display())]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("{} is there already", .path.display())]
    ReportExists { path: PathBuf },
    #[error("{} is no report of podnet ipam check: {why}", .path.display())]
    NoReport { path: PathBuf, why: String },
    #[error("{} is of another machine, or of before its last boot: nothing is released", .path.display())]
    ForeignReport { path: PathBuf },
    #[error("cannot start the async runtime")]
    Start { source: io::Error },
    #[error("cannot write the answer")]
    Write { source: io::Error },
}

impl Error {
    /// Prints it, unless it is that nobody reads any more, and gives the status to exit with.
    pub(super) fn report(&self, output: &Format) -> ExitCode {
        if let Error::Write { source } = self
            && source.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        let hint = self.hint();
        let causes = self.causes();
        if *output == Format::Json {
            let report = ErrorReport::new(Failure {
                code: self.code().to_owned(),
                message: self.to_string(),
                causes,
                hint,
                candidates: self.candidates().iter().map(choice).collect(),
                sources: self.asked().to_vec(),
            });
            let json = serde_json::to_string(&report).unwrap_or_default();
            let _ = writeln!(io::stderr(), "{}", harmless_json(&json));
        } else {
            say(format_args!("error: {}", told(&self.to_string())));
            for cause in causes {
                say(format_args!("  caused by: {}", told(&cause)));
            }
            let mut rows = Vec::new();
            let row = |candidate: &Candidate| {
                vec![candidate.spelling.clone(), candidate.name.clone(), format!("({})", candidate.reason)]
            };
            let _ = columns(&mut rows, 2, &self.candidates().iter().map(row).collect::<Vec<_>>());
            let _ = answers(&page(Colour::Never, false), &mut rows, self.asked());
            String::from_utf8_lossy(&rows).lines().for_each(say);
            if let Some(hint) = hint {
                say(format_args!("hint: {}", told(&hint)));
            }
        }
        ExitCode::from(self.status())
    }

    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            causes.push(error.to_string());
            source = error.source();
        }
        causes
    }

    fn candidates(&self) -> &[Candidate] {
        match self {
            Error::Unresolved(Unresolved::Ambiguous { candidates, .. }) | Error::NoTarget { candidates } => candidates,
            Error::Unresolved(Unresolved::NotFound { namesakes, .. }) => namesakes,
            Error::Elsewhere(Elsewhere::Several { candidates, .. }) => candidates,
            _ => &[],
        }
    }

    /// Those that know nothing of the target: the one that would may be absent.
    fn asked(&self) -> &[Asked] {
        match self {
            Error::Unresolved(Unresolved::NotFound { asked, .. }) => asked,
            _ => &[],
        }
    }

    fn status(&self) -> u8 {
        match self {
            Error::Target(_)
            | Error::UnknownRuntime { .. }
            | Error::UnknownRule { .. }
            | Error::ConfigForm { .. }
            | Error::NoneBesideRuntime
            | Error::NoSuchStep { .. }
            | Error::RefusedConf(_)
            | Error::Usage { .. }
            | Error::Slip { .. }
            | Error::Identity(_) => USAGE,
            Error::Unresolved(Unresolved::NotFound { .. } | Unresolved::UnseenEnd { .. })
            | Error::Elsewhere(_)
            | Error::NothingRuns
            | Error::Stopped { .. }
            | Error::Unseen { .. }
            | Error::NoEndpoint { .. } => NOT_FOUND,
            Error::Unresolved(Unresolved::Ambiguous { .. }) | Error::NoTarget { .. } => AMBIGUOUS,
            Error::Exec(error) if error.exit_status().is_some() => error.exit_status().unwrap_or(FAILED),
            _ if self.is_about_permission() => PERMISSION,
            Error::Closed { .. } | Error::Hidden { .. } | Error::NothingSeen { .. } => PERMISSION,
            _ => FAILED,
        }
    }

    fn is_about_permission(&self) -> bool {
        let mut source: Option<&(dyn std::error::Error + 'static)> = match self {
            // Its words are in the message already.
            Error::NoAgent { error, .. } => error.as_ref().map(|error| error as _),
            _ => Some(self),
        };
        while let Some(error) = source {
            if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
                return true;
            }
            source = error.source();
        }
        false
    }

    /// A stable word for programs.
    fn code(&self) -> &'static str {
        match self.status() {
            USAGE => "usage",
            NOT_FOUND => "target/not-found",
            AMBIGUOUS => "target/ambiguous",
            PERMISSION => "permission",
            126 | 127 => "command",
            _ => "failed",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Unresolved(Unresolved::Ambiguous { .. }) => Some("use one of these spellings".to_owned()),
            Error::Unresolved(Unresolved::NotFound { nearest, namesakes, asked, .. }) => {
                let near = match nearest.as_slice() {
                    _ if !namesakes.is_empty() => {
                        "a process can be called anything: use one of these spellings".to_owned()
                    }
                    [] => "podnet list shows what there is".to_owned(),
                    several => format!("did you mean {}?", several.join(", ")),
                };
                let hidden = asked.iter().any(|source| source.name == "proc" && source.status == Status::Failed);
                let more = if hidden { "; as root there is more to see" } else { "" };
                Some(format!("{near}{more}"))
            }
            Error::Unresolved(Unresolved::UnseenEnd { .. }) => {
                Some("a socket alone may hold it, or processes that only root may look at".to_owned())
            }
            Error::Elsewhere(Elsewhere::OtherNode { node, .. }) => Some(format!("run podnet on {node}")),
            Error::Elsewhere(Elsewhere::Several { .. }) => {
                Some("run podnet on the node of the one you mean".to_owned())
            }
            Error::Target(_) => Some("podnet inspect --help tells how targets are spelled".to_owned()),
            Error::Slip { meant, .. } => Some(meant.clone()),
            Error::Usage { .. } => Some("podnet --help, or podnet COMMAND --help".to_owned()),
            Error::UnknownRuntime { .. } => Some("one of docker, containerd, cri-o, podman, none".to_owned()),
            Error::NoAgent { absent: true, .. } => Some(OTHER_SOCKET.to_owned()),
            Error::Create(failed) if has_no_socket(&failed.source) => Some(OTHER_SOCKET.to_owned()),
            Error::NoEndpoint { .. } => Some("podnet endpoint list shows those it has".to_owned()),
            Error::AddressInUse { container: Some(container), .. } => {
                Some(format!("podnet delete {container} takes it down and gives back what it holds"))
            }
            Error::AddressInUse { container: None, .. } => Some("podnet list shows whose network it is".to_owned()),
            Error::AddressUnclear { .. } => {
                Some("run as root on the node itself, where every namespace can be read".to_owned())
            }
            Error::NothingRuns => Some("podnet list --all shows what there is".to_owned()),
            Error::Unseen { text } => Some(format!("podnet inspect {text} tells what is still known of it")),
            Error::NoTarget { .. } => Some("name one: podnet exec TARGET -- CMD, or set PODNET_TARGET".to_owned()),
            Error::Install(install::Error::StillAttached { .. }) => {
                Some("delete those pods first, or --force".to_owned())
            }
            Error::Install(install::Error::ForeignNetwork { .. } | install::Error::NameTaken { .. }) => {
                Some("move that file away, or choose another directory with --conf-dir".to_owned())
            }
            Error::Install(_) if self.status() == PERMISSION => Some("run as root".to_owned()),
            Error::Attached { delete, .. } => Some(format!("{delete} takes that down")),
            Error::UnknownRule { .. } => Some("podnet check --list shows all codes".to_owned()),
            Error::ReportExists { .. } => Some("write it to another file: two reports say more than one".to_owned()),
            Error::NoReport { .. } | Error::ForeignReport { .. } => {
                Some("podnet ipam check --report FILE writes one".to_owned())
            }
            Error::FileExists { .. } => Some("choose another file, or --force to replace it".to_owned()),
            Error::Snapshot(snapshot::Error::Form { .. } | snapshot::Error::Kind { .. }) => {
                Some("podnet snapshot save FILE writes one".to_owned())
            }
            Error::Snapshot(_) | Error::WriteFile { .. } => None,
            Error::ConfigForm { .. } => Some("podnet check --help shows the form".to_owned()),
            _ if self.status() == PERMISSION => {
                Some("run as root, or with CAP_SYS_ADMIN and CAP_SYS_PTRACE".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether it is that the agent's socket is not where it was looked for.
fn has_no_socket(error: &flow::Error) -> bool {
    let flow::Error::Agent(cilium::Error::Connect { source, .. }) = error else { return false };
    source.kind() == io::ErrorKind::NotFound
}

/// For a person, whatever was typed.
fn told(text: &str) -> String {
    brief(&harmless(text)).into_owned()
}

fn choice(candidate: &Candidate) -> Choice {
    Choice { spelling: candidate.spelling.clone(), name: candidate.name.clone(), reason: candidate.reason.to_owned() }
}
