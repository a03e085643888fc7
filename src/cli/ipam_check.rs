//! `podnet ipam check`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::SignedDuration;

use super::check::judged_ipam;
use super::from::From;
use super::{Common, Error, block_on, new_file, node};
use crate::check::{Facts, Severity};
use crate::collect::options::Options;
use crate::flow::journal::{DEFAULT_RUN, Journals};
use crate::ipam::leak::{Fingerprint, NetworkDirectory};
use crate::ipam::{DEFAULT_ROOT, evidence};
use crate::model::node::Node;
use crate::view::ipam_check::{self as view, IpamReport, Place};

/// `is_old` counts six of these: ten minutes, longer than any runtime waits for a plugin.
pub(super) const GRACE: SignedDuration = SignedDuration::from_secs(100);

/// Compare the address stores with what is there, both ways
///
/// What is allocated and that no namespace has, what pods have and that is allocated to nobody, and what the rules of the
/// family PN-IPAM find. An address is leaked where its container is known to no runtime and no process, no namespace has it,
/// nobody works on it, and its file is older than ten minutes; it is known only where everything could be read.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet ipam check\n  podnet ipam check --report first.json     … some minutes later: second.json\n  podnet ipam release --from-report first.json --from-report second.json\n\nExit status: 6 when an error was found"
)]
pub struct Check {
    /// Write what was found to a new file, for `podnet ipam release --from-report`
    #[arg(long, value_name = "FILE", value_parser = new_file::name)]
    pub(super) report: Option<PathBuf>,
    #[command(flatten)]
    pub(super) from: From,
}

impl Check {
    pub(super) fn run(&self, common: &Common, root: &Path) -> Result<u8, Error> {
        let options = Options { agent: true, ..common.options_with_kube()? };
        let node = block_on(look(&options, root))?;
        let report = report(&node)?;
        if let Some(path) = &self.report {
            let json = serde_json::to_vec_pretty(&report).map_err(std::io::Error::from);
            let written = json.and_then(|json| new_file::write(path, &json, false));
            written.map_err(|source| match source.kind() {
                std::io::ErrorKind::AlreadyExists => Error::ReportExists { path: path.clone() },
                _ => Error::WriteFile { path: path.clone(), source },
            })?;
        }
        print(common, &report)
    }

    /// Of a snapshot: what its files were is not in it.
    pub(super) fn of_node(&self, common: &Common, node: &Node, busy: &BTreeSet<String>) -> Result<u8, Error> {
        print(common, &view::report(&Facts::new(node, None, GRACE), judged_ipam(node), busy, |_, _| None))
    }
}

fn print(common: &Common, report: &IpamReport) -> Result<u8, Error> {
    common.print(report)?;
    let wrong = report.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if wrong { super::check::FOUND } else { 0 })
}

/// The node, with the store at `root` for podnet's own.
pub(super) async fn look(options: &Options, root: &Path) -> Node {
    let mut node = node::judgeable(options).await;
    if root != Path::new(DEFAULT_ROOT) {
        node.sources.retain(|source| !evidence::SOURCES.contains(&source.name.as_str()));
        node::add_stores(&mut node, root);
        node::add_ranges(&mut node);
    }
    node
}

pub(super) fn report(node: &Node) -> Result<IpamReport, Error> {
    report_of(node, file)
}

/// … with another notion of what the file of a leaked address is.
pub(super) fn report_of(
    node: &Node,
    file: impl Fn(&Place, IpAddr) -> Option<Fingerprint>,
) -> Result<IpamReport, Error> {
    Ok(view::report(&Facts::new(node, None, GRACE), judged_ipam(node), &busy()?, file))
}

pub(super) fn file(place: &Place, address: IpAddr) -> Option<Fingerprint> {
    let network = NetworkDirectory::open(Path::new(&place.directory), &place.network).ok()?;
    network.fingerprint(address).ok().flatten()
}

/// Containers that podnet sets up or tears down just now, or broke off doing so.
pub fn busy() -> Result<BTreeSet<String>, Error> {
    Ok(journals().owners()?.iter().map(|owner| owner.container_id().to_owned()).collect())
}

pub(super) fn journals() -> Journals {
    let run = std::env::var_os("PODNET_RUN").filter(|run| !run.is_empty());
    Journals::new(Path::new(&run.unwrap_or_else(|| DEFAULT_RUN.into())))
}
