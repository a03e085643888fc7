//! `podnet check --watch`.

use std::future::{Future, poll_fn};
use std::io;
use std::task::Poll;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::check::{FOUND, SECOND_LOOK, netns_of, wanted};
use super::terminal::write_out;
use super::{Common, Error, node};
use crate::check::choice::Choice;
use crate::check::watch::{CheckChange, Watch};
use crate::check::{self, CheckReport, Facts};
use crate::collect::options::Options;
use crate::model::node::Node;
use crate::show::{Format, harmless_json};
use crate::target::Target;

/// What is looked at, and how often.
pub struct Watching<'a> {
    pub options: &'a Options,
    pub targets: &'a [Target],
    pub choice: &'a Choice,
    pub interval: Duration,
}

impl Watching<'_> {
    /// Looks until a signal comes or nobody reads any more; gives the status of the last look.
    pub async fn run(&self, common: &Common) -> Result<u8, Error> {
        let mut watch = Watch::default();
        // Until there is a last look, a signal ends podnet as it ends any program.
        let (mut last, report) = self.look(None).await?;
        tell(common, &watch.look(&report))?;
        let mut signals = signals().map_err(|source| Error::Start { source })?;
        loop {
            let look = async {
                tokio::time::sleep(self.interval).await;
                self.look(Some(&last)).await
            };
            let Some(looked) = until_signal(&mut signals, look).await else { break };
            let (node, report) = looked?;
            last = node;
            tell(common, &watch.look(&report))?;
            if nobody_reads() {
                break;
            }
        }
        Ok(if watch.has_error() { FOUND } else { 0 })
    }

    /// As `podnet check` looks; what grows is compared with the last time, not with a moment ago. A target that is
    /// gone is looked for again.
    async fn look(&self, last: Option<&Node>) -> Result<(Node, CheckReport), Error> {
        let first = node::judgeable(self.options).await;
        let wanted = match wanted(&first, self.targets, |pid| netns_of(self.options, pid)) {
            Err(_) if last.is_some() => Some(Default::default()),
            wanted => wanted?,
        };
        let judge = |node: &Node, earlier, before| {
            check::check(&Facts::new(node, earlier, self.choice.grace), wanted.as_ref(), self.choice, before)
        };
        let report = judge(&first, last, None);
        if report.findings.is_empty() {
            return Ok((first, report));
        }
        tokio::time::sleep(SECOND_LOOK).await;
        let second = node::judgeable(self.options).await;
        let report = judge(&second, Some(last.unwrap_or(&first)), Some(&report));
        Ok((second, report))
    }
}

fn tell(common: &Common, changes: &[CheckChange]) -> Result<(), Error> {
    changes.iter().try_for_each(|change| tell_one(common, change))
}

/// One by one, so that a program can tell where each ends: a line of JSON, a document of a YAML stream.
fn tell_one(common: &Common, change: &CheckChange) -> Result<(), Error> {
    let failed = |source| Error::Write { source };
    match common.output {
        Format::Json => {
            let line = serde_json::to_string(change).map_err(io::Error::other).map_err(failed)?;
            write_out(format!("{}\n", harmless_json(&line)).as_bytes()).map_err(failed)
        }
        Format::Yaml => {
            write_out(b"---\n").map_err(failed)?;
            common.print(change)
        }
        _ => common.print(change),
    }
}

fn signals() -> io::Result<Vec<Signal>> {
    [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].into_iter().map(signal).collect()
}

/// What the work gives, unless a signal comes first.
async fn until_signal<T>(signals: &mut [Signal], work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    poll_fn(|context| {
        if signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Whether standard output is a pipe that was closed at its other end: there may be nothing to write for days.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    let mut waiting = [PollFd::new(&stdout, PollFlags::empty())];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = poll(&mut waiting, Some(&now));
    polled.is_ok() && waiting.iter().any(|waiting| waiting.revents().contains(PollFlags::ERR))
}
