//! `podnet exec`: the host's own tools inside the netns of a workload.

use std::ffi::OsString;
use std::io::{IsTerminal, stderr, stdin};
use std::path::Path;

use clap::Args;

use super::terminal::say;
use super::{Common, Error, block_on, exec_many};
use crate::collect::dns;
use crate::collect::options::{Depth, Options};
use crate::collect::survey::{Survey, survey};
use crate::exec::{self, Entry, Identity, NameFiles};
use crate::model::workload::State;
use crate::netns::Handle;
use crate::show::harmless;
use crate::target::{Candidate, Reading, Target, candidate_of, resolve};

/// Run a command of this host in the network namespace of a workload
///
/// Only the network is the workload's: files, processes and users stay this host's, so its tools are there even
/// for a container that has none. podnet becomes the command: terminal, signals and exit status are its own
/// (127: not found, 126: not to be run). Without CMD a shell is started.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet exec web-0 -- ip addr\n  podnet exec 3f2a91c04d5e -- tcpdump -ni eth0\n  podnet exec web-0 --dns -- getent hosts kubernetes\n  podnet exec -t web-0 -t web-1 -- ip route     side by side, lines named\n  podnet exec -- ip addr                        asks which one"
)]
pub struct Exec {
    /// Any handle that `podnet inspect` takes; `PODNET_TARGET` where none is given
    target: Option<String>,
    /// Run in this one too, side by side
    #[arg(short, long = "target", value_name = "TARGET")]
    targets: Vec<String>,
    /// Run in every workload that has a network of its own
    #[arg(long, conflicts_with_all = ["target", "targets"])]
    all: bool,
    /// Show the command the container's resolv.conf and hosts
    #[arg(long)]
    dns: bool,
    /// Run the command as this user
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Run the command without capabilities
    #[arg(long)]
    drop_caps: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// A namespace to run in, and a process whose resolver files are the workload's.
pub(super) struct Place {
    pub name: String,
    pub handle: Handle,
    pid: Option<u32>,
}

impl Exec {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let options = common.options()?;
        if self.all || !self.targets.is_empty() {
            let places = self.places(&options)?;
            return exec_many::run(&places, &self.flags(), &self.command(), &common.output);
        }
        let named = self.target.clone().or_else(|| std::env::var("PODNET_TARGET").ok().filter(|text| !text.is_empty()));
        let place = match named {
            Some(text) => place(&text, &options)?,
            None => choose(&options)?,
        };
        Err(self.enter(&place, &options)?)
    }

    /// Returns only the error that kept podnet from becoming the command.
    fn enter(&self, place: &Place, options: &Options) -> Result<Error, Error> {
        let mut command = self.command().into_iter();
        let entry = Entry {
            netns: &place.handle,
            names: if self.dns { Some(name_files(place, options)?) } else { None },
            identity: self.user.as_deref().map(str::parse::<Identity>).transpose()?,
            drop_capabilities: self.drop_caps,
            program: command.next().unwrap_or_else(|| "/bin/sh".into()),
            arguments: command.collect(),
        };
        let error =
            exec::become_command(&entry, |problem| say(format_args!("podnet: {}", harmless(&problem.to_string()))));
        Ok(error.into())
    }

    fn command(&self) -> Vec<OsString> {
        if self.command.is_empty() {
            vec![std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())]
        } else {
            self.command.clone()
        }
    }

    /// What a podnet that is started for one of several targets needs to be told as well.
    fn flags(&self) -> Vec<OsString> {
        let dns = self.dns.then(|| OsString::from("--dns"));
        let drop = self.drop_caps.then(|| OsString::from("--drop-caps"));
        let user = self.user.iter().flat_map(|user| [OsString::from("--user"), OsString::from(user)]);
        dns.into_iter().chain(drop).chain(user).collect()
    }

    fn places(&self, options: &Options) -> Result<Vec<Place>, Error> {
        if self.all {
            let survey = block_on(survey(options, Depth::Holders))?;
            let picks = candidates(&survey);
            return Ok(picks
                .into_iter()
                .filter_map(|(index, candidate)| place_of(&survey, index, &candidate.spelling))
                .collect());
        }
        self.target.iter().chain(&self.targets).map(|text| place(text, options)).collect()
    }
}

/// A plain PID or path needs no survey: no runtime is asked and no thread started.
fn place(text: &str, options: &Options) -> Result<Place, Error> {
    let target: Target = text.parse()?;
    if let Some(path) = direct(&target, options) {
        let pid = target.readings.iter().find_map(|reading| match reading {
            Reading::Pid(pid) => Some(*pid),
            _ => None,
        });
        return Ok(Place { name: text.to_owned(), handle: Handle::open(Path::new(&path))?, pid });
    }
    let options = Options { agent: target.is_of_agent(), ..options.clone() };
    let survey = block_on(survey(&options, target.depth()))?;
    let pick = resolve(&survey.node, &target)?;
    let inode = pick.netns.ok_or_else(|| Error::Stopped { text: text.to_owned() })?;
    let handle = survey.handle(inode).and_then(|handle| handle.try_clone().ok());
    let pid = pick.workload.and_then(|index| survey.node.workloads.get(index)?.pid);
    let handle = handle.ok_or_else(|| Error::Closed { text: text.to_owned() })?;
    Ok(Place { name: text.to_owned(), handle, pid })
}

/// The path of a target that is one: a netns path, or the PID of a process that is there. The process is the
/// likelier meaning of a number here, and `ifindex:` says the other.
fn direct(target: &Target, options: &Options) -> Option<String> {
    target.readings.iter().find_map(|reading| match reading {
        Reading::Path(path) => Some(path.clone()),
        Reading::Pid(pid) => {
            let folder = options.proc_root.join(pid.to_string());
            folder.exists().then(|| folder.join("ns/net").to_string_lossy().into_owned())
        }
        _ => None,
    })
}

/// Running workloads with a netns of their own, one for each netns.
fn candidates(survey: &Survey) -> Vec<(usize, Candidate)> {
    let mut seen = std::collections::BTreeSet::new();
    let own = survey.node.workloads.iter().enumerate().filter(|(_, workload)| {
        let netns = workload.netns.filter(|inode| *inode != survey.node.host_netns);
        workload.state == State::Running && netns.is_some_and(|inode| seen.insert(inode))
    });
    own.map(|(index, workload)| (index, candidate_of(workload, "runs here"))).collect()
}

fn place_of(survey: &Survey, index: usize, name: &str) -> Option<Place> {
    let workload = survey.node.workloads.get(index)?;
    let handle = survey.handle(workload.netns?)?.try_clone().ok()?;
    Some(Place { name: name.to_owned(), handle, pid: workload.pid })
}

/// Asks on a terminal; elsewhere takes the only one there is.
fn choose(options: &Options) -> Result<Place, Error> {
    let survey = block_on(survey(options, Depth::Holders))?;
    let candidates = candidates(&survey);
    let chosen = match candidates.as_slice() {
        [only] => Some(only.0),
        several if !several.is_empty() && stdin().is_terminal() && stderr().is_terminal() => {
            let lines: Vec<String> = several
                .iter()
                .map(|(_, each)| harmless(&format!("{:<32}  {}", each.spelling, each.name)).into_owned())
                .collect();
            let picked = inquire::Select::new("Run it in", lines).raw_prompt().map_err(|_| Error::GivenUp)?;
            several.get(picked.index).map(|(index, _)| *index)
        }
        _ => None,
    };
    let place = chosen.and_then(|index| place_of(&survey, index, "the chosen workload"));
    place
        .ok_or_else(|| Error::NoTarget { candidates: candidates.into_iter().map(|(_, candidate)| candidate).collect() })
}

/// The container's own files; for a netns that is only mounted, those that `ip netns exec` would show.
fn name_files(place: &Place, options: &Options) -> Result<NameFiles, Error> {
    if let Some(pid) = place.pid {
        let file = |path: &str| dns::file(&options.proc_root, pid, Path::new(path));
        let resolv_conf = file("etc/resolv.conf").map_err(|source| Error::NameFiles { pid, source })?;
        return Ok(NameFiles { resolv_conf: Some(resolv_conf), hosts: file("etc/hosts").ok() });
    }
    let name = Path::new(&place.name).file_name().unwrap_or_default();
    let folder = Path::new("/etc/netns").join(name);
    let file = |file: &str| std::fs::read(folder.join(file)).ok();
    Ok(NameFiles { resolv_conf: file("resolv.conf"), hosts: file("hosts") })
}
