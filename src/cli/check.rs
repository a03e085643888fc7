//! `podnet check` and `podnet explain`.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use super::from::From;
use super::watch::Watching;
use super::{Common, Error, block_on, node};
use crate::check::choice::{Choice, Config, Ignore, Pattern};
use crate::check::{self, CheckReport, Facts, Severity};
use crate::collect::options::Options;
use crate::model::netns::Inode;
use crate::model::node::Node;
use crate::model::snapshot::{Exception, Snapshot};
use crate::target::{Target, Unresolved, resolve};

/// Where faults that one has reasons for are written down.
const CONFIG: &str = "/etc/podnet/check.yaml";
/// Between the first look and the one that confirms it: what is just being made or removed is done by then.
pub const SECOND_LOOK: Duration = Duration::from_millis(300);
/// The exit status when an error was found.
pub const FOUND: u8 = 6;

/// Find what is wrong with the network of pods
///
/// Reads the node once and judges it by more than a hundred rules (`--list`), each with a code that `podnet explain` tells
/// more about. Without TARGET every pod is judged, and the node; at a TARGET it looks twice, as counters may grow. What could
/// not be read is said, and never counted as right. Nothing is changed, and no packet is sent.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet check                       everything on this node\n  podnet check default/web-0         one pod, and what of the node concerns it\n  podnet check --rule route --severity error\n  podnet check --ignore PN-LINK-012 -o json\n  podnet check --from node7.json     the node of a snapshot, as it was\n  podnet check --watch 5             what appears and goes from now on\n  podnet check --list                the rules\n\nExit status: 6 when an error was found; of --watch, when the last look found one\n\nFaults that you know and have reasons for, in /etc/podnet/check.yaml:\n  ignore:\n    - rule: PN-LINK-008\n      target: kube-system/*\n      reason: the uplink's switch fragments"
)]
pub struct Check {
    /// Whose networks; any handle that `podnet inspect` takes
    targets: Vec<String>,
    /// Every pod, as without TARGET
    #[arg(short, long, conflicts_with = "targets")]
    all: bool,
    /// List the rules instead of running them
    #[arg(short, long, conflicts_with = "targets")]
    list: bool,
    /// Only findings as severe as this: error, warning or info
    #[arg(long, value_name = "SEVERITY", default_value = "info", hide_possible_values = true)]
    severity: Severity,
    /// Only rules of this code or family (`PN-ROUTE-002`, `route`, `PN-*-001`)
    #[arg(long, value_name = "RULE")]
    rule: Vec<Pattern>,
    /// Leave findings of this code or family out
    #[arg(long, value_name = "RULE")]
    ignore: Vec<Pattern>,
    /// A file of findings to leave out, with reasons; the usual one is read where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do not judge pods younger than this many seconds: they are still being made
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    grace: u32,
    /// Look again every so many seconds, and tell what appeared and what went, a line each; Ctrl-C ends it
    #[arg(short, long, value_name = "SECONDS", value_parser = super::seconds, conflicts_with_all = ["list", "from"])]
    watch: Option<Duration>,
    #[command(flatten)]
    from: From,
}

impl Check {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let from = self.from.read()?;
        let choice = self.choice(from.as_ref())?;
        if self.list {
            let wanted =
                check::RULES.iter().copied().filter(|rule| choice.wants(rule) && rule.severity <= choice.severity);
            common.print(&check::rule::list(wanted))?;
            return Ok(0);
        }
        let options = Options { agent: true, ..common.options_with_kube()? };
        let targets = self.targets.iter().map(|text| text.parse()).collect::<Result<Vec<Target>, _>>()?;
        if let Some(interval) = self.watch {
            let watching = Watching { options: &options, targets: &targets, choice: &choice, interval };
            return block_on(watching.run(common))?;
        }
        let report = match &from {
            Some(snapshot) => judged(snapshot, &targets, &choice)?,
            None => block_on(judge(&options, &targets, &choice))??,
        };
        common.print(&report)?;
        Ok(if report.summary.errors > 0 { FOUND } else { 0 })
    }

    /// A snapshot brings what its own node's file says; this machine's is about this machine.
    fn choice(&self, from: Option<&Snapshot>) -> Result<Choice, Error> {
        let of_file = match (from, &self.config) {
            (Some(snapshot), None) => snapshot.ignore.iter().map(ignore).collect(),
            _ => config(self.config.as_deref())?.ignore,
        };
        let by_flag =
            self.ignore.iter().map(|rule| Ignore { rule: rule.clone(), target: None, reason: "--ignore".to_owned() });
        Ok(Choice {
            rules: self.rule.clone(),
            severity: self.severity,
            ignore: by_flag.chain(of_file).collect(),
            grace: SignedDuration::from_secs(i64::from(self.grace)),
        })
    }
}

fn ignore(exception: &Exception) -> Ignore {
    Ignore {
        rule: Pattern::of_text(exception.rule.clone()),
        target: exception.target.clone().map(Pattern::of_text),
        reason: exception.reason.clone(),
    }
}

/// What the usual file says, for a snapshot.
pub fn exceptions() -> Result<Vec<Exception>, Error> {
    let exception = |ignore: Ignore| Exception {
        rule: ignore.rule.to_string(),
        target: ignore.target.map(|target| target.to_string()),
        reason: ignore.reason,
    };
    Ok(config(None)?.ignore.into_iter().map(exception).collect())
}

/// The file that was named, or the usual one if it is there.
fn config(named: Option<&Path>) -> Result<Config, Error> {
    let path = named.unwrap_or(Path::new(CONFIG));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(Config::default()),
        Err(source) => return Err(Error::Config { path: path.to_owned(), source }),
    };
    let wrong = |source| Error::ConfigForm { path: path.to_owned(), source: Box::new(source) };
    let config: Option<Config> = serde_saphyr::from_str(&text).map_err(wrong)?;
    Ok(config.unwrap_or_default())
}

/// Judges by the one look or the two that the snapshot holds.
pub fn judged(snapshot: &Snapshot, targets: &[Target], choice: &Choice) -> Result<CheckReport, Error> {
    let wanted = wanted(&snapshot.node, targets, |pid| Ok(snapshot.netns_of(pid)))?;
    let judge =
        |node, earlier, before| check::check(&Facts::new(node, earlier, choice.grace), wanted.as_ref(), choice, before);
    Ok(match &snapshot.earlier {
        None => judge(&snapshot.node, None, None),
        Some(earlier) => judge(&snapshot.node, Some(earlier), Some(&judge(earlier, None, None))),
    })
}

/// What the rules of addresses alone find.
pub fn judged_ipam(node: &Node) -> CheckReport {
    let choice = Choice { rules: vec![Pattern::of_text("PN-IPAM-*".to_owned())], ..Choice::default() };
    check::check(&Facts::new(node, None, choice.grace), None, &choice, None)
}

/// Looks, and where something is wrong looks again: what only one look showed was being made, or removed. At what is
/// named it looks twice in any case, since no one look shows that counters grow.
async fn judge(options: &Options, targets: &[Target], choice: &Choice) -> Result<CheckReport, Error> {
    let first = node::judgeable(options).await;
    let wanted = wanted(&first, targets, |pid| netns_of(options, pid))?;
    let report = check::check(&Facts::new(&first, None, choice.grace), wanted.as_ref(), choice, None);
    if report.findings.is_empty() && wanted.is_none() {
        return Ok(report);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    let second = node::judgeable(options).await;
    Ok(check::check(&Facts::new(&second, Some(&first), choice.grace), wanted.as_ref(), choice, Some(&report)))
}

/// The namespaces of the targets; none where all are meant. `netns_of` tells that of a process that is no workload.
pub fn wanted(
    node: &Node,
    targets: &[Target],
    netns_of: impl Fn(u32) -> Result<Option<Inode>, Error>,
) -> Result<Option<BTreeSet<Inode>>, Error> {
    if targets.is_empty() {
        return Ok(None);
    }
    let netns = |target: &Target| {
        let unresolved = match resolve(node, target) {
            Ok(pick) => return pick.netns.ok_or_else(|| Error::Stopped { text: target.text.clone() }),
            Err(unresolved) => unresolved,
        };
        let process = target.pid().filter(|_| matches!(unresolved, Unresolved::NotFound { .. }));
        let inode = process.map(&netns_of).transpose()?.flatten();
        inode.filter(|inode| node.namespace(*inode).is_some()).ok_or_else(|| unresolved.into())
    };
    targets.iter().map(netns).collect::<Result<_, Error>>().map(Some)
}

/// By `/proc`; none where there is no such process. One that may not be looked at is there, and is not «nothing».
pub fn netns_of(options: &Options, pid: u32) -> Result<Option<Inode>, Error> {
    match std::fs::metadata(options.proc_root.join(pid.to_string()).join("ns/net")) {
        Ok(netns) => Ok(Some(netns.ino())),
        Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Error::HiddenProcess { pid, source })
        }
        Err(_) => Ok(None),
    }
}

/// Tell what a finding means, how it comes about and what mends it
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  podnet explain PN-ROUTE-002\n  podnet check --list     all codes")]
pub struct Explain {
    /// `PN-ROUTE-002`, as `podnet check` prints it
    code: String,
}

impl Explain {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let unknown = || {
            let alike = |rule: &&&check::Rule| {
                (strsim::jaro_winkler(rule.code, &self.code.to_ascii_uppercase()) * 1000.0) as u32
            };
            let near = check::RULES.iter().max_by_key(alike).map(|rule| rule.code).unwrap_or_default();
            Error::UnknownRule { code: self.code.clone(), near }
        };
        let rule = check::rule_of(&self.code).ok_or_else(unknown)?;
        common.print(&rule.explanation())?;
        Ok(0)
    }
}
