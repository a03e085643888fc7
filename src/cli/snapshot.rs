//! `podnet snapshot`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::stream::{self, StreamExt};
use jiff::SignedDuration;

use super::check::{SECOND_LOOK, exceptions, judged};
use super::ipam::own_pools;
use super::ipam_check::busy;
use super::terminal::{say, write_out};
use super::{Common, Error, block_on, new_file, node};
use crate::check::choice::Choice;
use crate::check::{self, Facts};
use crate::collect::options::Options;
use crate::collect::survey::Survey;
use crate::collect::{cilium, runtime};
use crate::model::endpoint::ToldBy;
use crate::model::snapshot::{CloserLook, History, LeftOut, Snapshot};
use crate::show::left_out;
use crate::snapshot::{self, API_VERSION, KIND};
use crate::view::snapshot as view;

const EXAMPLES: &str = "\
Examples:
  podnet snapshot save node7.json
  podnet snapshot save - | gzip | ssh me@desk 'cat >node7.json.gz'
  podnet check --from node7.json            as it was, anywhere
  zcat node7.json.gz | podnet inspect default/web-0 --from -
  podnet snapshot diff node7.json later.json

list, inspect, check, endpoint and ipam take --from. What they print of a
snapshot is the same byte for byte wherever it is read.

Left out: environments, command lines, volumes and Secrets are never read.
Labels, annotations, options and sysctls that are called like secrets, what
looks like a key, a token or a password in any text, and the machine's id are
replaced, and «leftOut» in the file says where. Names of pods, images, hosts
and processes, addresses and logs of endpoints are in it.";

/// Keep a node's network in a file, to look at later or elsewhere
///
/// Everything that list, inspect, check, endpoint and ipam show, of every pod, read once. Nothing is changed but that one
/// file.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SnapshotCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write this node's network to a file
    Save(Save),
    /// Show what appeared, went and changed from one snapshot to another
    ///
    /// Workloads, namespaces, interfaces, addresses, routes, rules, neighbours, sysctls, listeners, endpoints, held
    /// addresses, and what `podnet check` finds.
    Diff {
        /// The earlier one; `-` is standard input
        before: PathBuf,
        /// The later one
        after: PathBuf,
    },
}

#[derive(Args, Debug)]
struct Save {
    /// Where to; `-` is standard output
    #[arg(value_parser = new_file::name)]
    file: PathBuf,
    /// Replace the file where there is one
    #[arg(short, long)]
    force: bool,
}

impl SnapshotCommand {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        match &self.command {
            Command::Save(save) => save.run(common),
            Command::Diff { before, after } => {
                let (before, after) = (snapshot::read(before)?, snapshot::read(after)?);
                let judge = |snapshot: &Snapshot| judged(snapshot, &[], &Choice::default());
                let reports = (judge(&before)?, judge(&after)?);
                common.print(&view::diff((&before.node, &reports.0), (&after.node, &reports.1)))?;
                Ok(0)
            }
        }
    }
}

impl Save {
    fn run(&self, common: &Common) -> Result<u8, Error> {
        let to_stdout = self.file.as_os_str() == "-";
        if !to_stdout && !self.force && self.file.symlink_metadata().is_ok() {
            return Err(Error::FileExists { path: self.file.clone() });
        }
        let options = Options { agent: true, ..common.options_with_kube()? };
        let mut snapshot = block_on(take(&options))?;
        match exceptions() {
            Ok(ignore) => snapshot.ignore = ignore,
            Err(error) => say(format_args!("! without this node's exceptions: {error}")),
        }
        let pools = own_pools().map(|pools| pools.iter().map(serde_json::to_value).collect::<Result<_, _>>());
        match pools {
            Ok(pools) => snapshot.pools = pools.unwrap_or_default(),
            Err(error) => say(format_args!("! without podnet's own pools: {error}")),
        }
        match busy() {
            Ok(busy) => snapshot.busy = busy.into_iter().collect(),
            Err(error) => say(format_args!("! without what podnet is at work on: {error}")),
        }
        let unwritable = |source| Error::WriteFile { path: self.file.clone(), source };
        let sealed = snapshot::sealed(&snapshot).map_err(|error| unwritable(error.into()))?;
        let missing: Vec<LeftOut> =
            sealed.get("leftOut").and_then(|list| serde_json::from_value(list.clone()).ok()).unwrap_or_default();
        let bytes = snapshot::written(&sealed);
        if to_stdout {
            left_out(&missing).iter().for_each(say);
            write_out(&bytes).map_err(|source| Error::Write { source })?;
            return Ok(0);
        }
        new_file::write(&self.file, &bytes, self.force).map_err(unwritable)?;
        let name = self.file.to_string_lossy().into_owned();
        common.print(&view::saved(&snapshot, missing, name, bytes.len() as u64))?;
        Ok(0)
    }
}

/// Questions that are on their way at once.
const AT_ONCE: usize = 8;
/// How many times the deadline of one source all the questions about single things may take together.
const PATIENCE: u32 = 5;

/// Looks, and where something is wrong looks again, as `check` does; and asks about each thing what can only be asked about
/// one.
async fn take(options: &Options) -> Snapshot {
    let mut survey = node::whole(options).await;
    // Whoever judges later may have less patience with young pods.
    let choice = Choice { grace: SignedDuration::ZERO, ..Choice::default() };
    let wrong = !check::check(&Facts::new(&survey.node, None, choice.grace), None, &choice, None).findings.is_empty();
    let mut earlier = None;
    if wrong {
        tokio::time::sleep(SECOND_LOOK).await;
        let again = node::whole(options).await;
        let mut first = std::mem::replace(&mut survey, again).node;
        let sockets = first.namespaces.iter_mut().filter_map(|state| state.sockets.as_mut());
        sockets.for_each(|sockets| sockets.others.clear());
        earlier = Some(first);
    }
    let patience: Duration = options.timeout.saturating_mul(PATIENCE);
    let closer = tokio::time::timeout(patience, look_closer(&survey, options)).await.unwrap_or_default();
    let logs = logs(&mut survey, options, patience).await;
    Snapshot {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        podnet: env!("CARGO_PKG_VERSION").to_owned(),
        earlier,
        closer,
        logs,
        processes: survey.inhabitants(),
        node: survey.node,
        ..Snapshot::default()
    }
}

async fn look_closer(survey: &Survey, options: &Options) -> Vec<CloserLook> {
    let look = |(index, workload): (usize, &crate::model::workload::Workload)| {
        let mut closer = workload.clone();
        let before = workload.clone();
        async move {
            runtime::look_closer(&mut closer, options, &survey.clients).await;
            (closer != before).then_some(CloserLook { index, workload: closer })
        }
    };
    let looks = stream::iter(survey.node.workloads.iter().enumerate().map(look)).buffered(AT_ONCE);
    looks.filter_map(std::future::ready).collect().await
}

/// The agent limits how fast it answers; what it does not tell in time is said.
async fn logs(survey: &mut Survey, options: &Options, patience: Duration) -> Vec<History> {
    let of_agent = survey.node.endpoints.iter().filter(|endpoint| endpoint.told_by == ToldBy::Agent);
    let ids: Vec<u32> = of_agent.map(|endpoint| endpoint.id).collect();
    let wanted = ids.len();
    let ask = |id: u32| async move { cilium::ask_log(options, id).await.map(|log| History { endpoint: id, log }) };
    let answers = stream::iter(ids.into_iter().map(ask)).buffered(AT_ONCE).take_until(tokio::time::sleep(patience));
    let answers: Vec<Result<History, cilium::Error>> = answers.collect().await;
    let unread = answers.iter().find_map(|answer| answer.as_ref().err()).map(cilium::unread_log);
    let told: Vec<History> = answers.into_iter().flatten().collect();
    if told.len() < wanted {
        let mut unread = unread.unwrap_or_else(|| cilium::unread_logs(wanted));
        unread.detail = unread.detail.map(|why| format!("{} of {wanted}: {why}", wanted - told.len()));
        survey.node.sources.push(unread);
    }
    told
}
