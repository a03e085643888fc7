//! Where `podnet exec` runs: the namespaces that its targets name, or that the user chooses.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, stderr, stdin};
use std::path::Path;

use unicode_width::UnicodeWidthStr;

use super::unheard::tell_unheard;
use super::{Error, block_on, terminal};
use crate::collect::options::{Depth, Options};
use crate::collect::survey::{Survey, survey};
use crate::model::netns::Inode;
use crate::model::workload::State;
use crate::netns::Handle;
use crate::show::harmless;
use crate::target::{Candidate, Pick, Reading, Target, Unresolved, Unusable, candidate_of, inhabitant, resolve};

/// A namespace to run in.
pub(super) struct Place {
    /// What picks it, for programs.
    pub target: String,
    /// What a person calls it.
    pub label: String,
    pub handle: Handle,
    pub names: Names,
}

/// Whose resolver files are the workload's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    OfProcess(u32),
    /// As `ip netns` calls it.
    OfNetns(String),
}

impl Names {
    fn of(pid: Option<u32>, target: &str) -> Self {
        let name = || target.rsplit('/').next().unwrap_or(target).to_owned();
        pid.map_or_else(|| Names::OfNetns(name()), Names::OfProcess)
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Names::OfProcess(pid) => write!(formatter, "pid:{pid}"),
            Names::OfNetns(name) => write!(formatter, "netns:{name}"),
        }
    }
}

impl std::str::FromStr for Names {
    type Err = Unusable;

    fn from_str(text: &str) -> Result<Self, Unusable> {
        let malformed = || Unusable::Malformed { text: text.to_owned(), what: "pid:PID or netns:NAME" };
        match text.split_once(':').ok_or_else(malformed)? {
            ("pid", pid) => pid.parse().map(Names::OfProcess).map_err(|_| malformed()),
            ("netns", name) => Ok(Names::OfNetns(name.to_owned())),
            _ => Err(malformed()),
        }
    }
}

/// The place of one target.
pub(super) fn of_target(text: &str, options: &Options) -> Result<Place, Error> {
    let mut places = of_targets(std::iter::once(text), options)?;
    places.pop().ok_or_else(|| Error::Closed { text: text.to_owned() })
}

/// The places of several, in their order. A plain PID or path needs no survey: no runtime is asked and no thread
/// started; the others are looked for in one.
pub(super) fn of_targets<'a>(texts: impl Iterator<Item = &'a str>, options: &Options) -> Result<Vec<Place>, Error> {
    let mut surveyed: Option<Survey> = None;
    let targets = texts.map(str::parse).collect::<Result<Vec<Target>, _>>()?;
    let depth = targets.iter().map(Target::depth).max().unwrap_or(Depth::Holders);
    let asking = Options { agent: targets.iter().any(Target::is_of_agent), ..options.clone() };
    let mut each = |target: &Target| {
        if let Some((path, pid)) = direct(target, options) {
            let handle =
                if pid.is_some() { Handle::open_link(Path::new(&path)) } else { Handle::open(Path::new(&path)) }?;
            return Ok(place(&target.text, target.text.clone(), handle, pid));
        }
        let mut survey = match surveyed.take() {
            Some(survey) => survey,
            None => block_on(survey(&asking, depth))?,
        };
        let mut picked = resolve(&survey.node, target);
        if matches!(picked, Err(Unresolved::NotFound { .. })) && survey.find_by_threads(&options.proc_root, depth) {
            picked = resolve(&survey.node, target);
        }
        let found = open(&survey, target, picked?);
        surveyed = Some(survey);
        found
    };
    targets.iter().map(&mut each).collect()
}

fn open(survey: &Survey, target: &Target, pick: Pick) -> Result<Place, Error> {
    tell_unheard(&survey.node, target);
    let text = target.text.clone();
    let workload = pick.workload.and_then(|index| survey.node.workloads.get(index));
    let inode = pick.netns.ok_or_else(|| match workload {
        Some(workload) if workload.is_alive() && survey.hidden() > 0 => Error::Hidden { text: text.clone() },
        Some(workload) if workload.is_alive() => Error::Unseen { text: text.clone() },
        _ => Error::Stopped { text: text.clone() },
    })?;
    let handle = survey.handle(inode).and_then(|handle| handle.try_clone().ok());
    let handle = handle.ok_or_else(|| Error::Closed { text: text.clone() })?;
    Ok(place(&target.text, text, handle, workload.and_then(|workload| workload.pid).map(|pid| survey.way_into(pid))))
}

/// The path of a target that is one, or that of a PID whose process is there, and whose number leads somewhere (a zombie's
/// does not). The process is the likelier meaning of a number here, and `ifindex:` says the other.
fn direct(target: &Target, options: &Options) -> Option<(String, Option<u32>)> {
    target.readings.iter().find_map(|reading| match reading {
        Reading::Path(path) => Some((path.clone(), None)),
        Reading::Pid(pid) => {
            let path = options.proc_root.join(pid.to_string()).join("ns/net");
            let leads = std::fs::metadata(&path).map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |_| true);
            leads.then(|| (path.to_string_lossy().into_owned(), Some(*pid)))
        }
        _ => None,
    })
}

/// Every netns but the host's that a workload runs in, by the names that people know them by.
pub(super) fn of_all(options: &Options) -> Result<Vec<Place>, Error> {
    let survey = block_on(survey(options, Depth::Holders))?;
    let candidates = candidates(&survey);
    if candidates.is_empty() {
        return Err(nothing(&survey));
    }
    let named = |name: &str| candidates.iter().filter(|(_, candidate)| candidate.name == name).count();
    let label = |candidate: &Candidate| match named(&candidate.name) {
        1 => candidate.name.clone(),
        _ => candidate.spelling.clone(),
    };
    Ok(candidates.iter().filter_map(|(inode, each)| place_of(&survey, *inode, &each.spelling, label(each))).collect())
}

/// Asks on a terminal; elsewhere takes the only one there is.
pub(super) fn choose(options: &Options) -> Result<Place, Error> {
    let survey = block_on(survey(options, Depth::Holders))?;
    let candidates = candidates(&survey);
    let chosen = match candidates.as_slice() {
        [] => return Err(nothing(&survey)),
        [only] => Some(only),
        several if stdin().is_terminal() && terminal::draws(&stderr()) => {
            let width = several.iter().map(|(_, each)| harmless(&each.name).width()).max().unwrap_or(0);
            let line = |each: &Candidate| {
                let name = harmless(&each.name);
                format!("{name}{:gap$}  {}", "", harmless(&each.spelling), gap = width.saturating_sub(name.width()))
            };
            let lines: Vec<String> = several.iter().map(|(_, each)| line(each)).collect();
            let picked = inquire::Select::new("Run it in", lines).raw_prompt().map_err(|_| Error::GivenUp)?;
            several.get(picked.index)
        }
        _ => None,
    };
    let place = chosen.and_then(|(inode, each)| place_of(&survey, *inode, &each.spelling, each.name.clone()));
    place.ok_or_else(|| Error::NoTarget { candidates: candidates.into_iter().map(|(_, each)| each).collect() })
}

/// Why there is none.
fn nothing(survey: &Survey) -> Error {
    match survey.hidden() {
        0 => Error::NothingRuns,
        hidden => Error::NothingSeen { hidden },
    }
}

/// One for each netns but the host's that a workload runs in, by name.
fn candidates(survey: &Survey) -> Vec<(Inode, Candidate)> {
    let node = &survey.node;
    let running = node.workloads.iter().filter(|workload| workload.state == State::Running);
    let inodes: BTreeSet<Inode> = running.filter_map(|workload| workload.netns).collect();
    let own = inodes.into_iter().filter(|inode| *inode != node.host_netns);
    let candidate = |inode| {
        let workload = node.workloads.get(inhabitant(node, inode)?)?;
        Some((inode, candidate_of(workload, "runs here")))
    };
    let mut found: Vec<(Inode, Candidate)> = own.filter_map(candidate).collect();
    found.sort_by(|(_, one), (_, other)| (&one.name, &one.spelling).cmp(&(&other.name, &other.spelling)));
    found
}

fn place_of(survey: &Survey, inode: Inode, target: &str, label: String) -> Option<Place> {
    let pid = inhabitant(&survey.node, inode).and_then(|index| survey.node.workloads.get(index)?.pid);
    let handle = survey.handle(inode)?.try_clone().ok()?;
    Some(place(target, label, handle, pid))
}

fn place(target: &str, label: String, handle: Handle, pid: Option<u32>) -> Place {
    Place { target: target.to_owned(), label, handle, names: Names::of(pid, target) }
}
