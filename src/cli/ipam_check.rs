//! `podnet ipam check`, and `podnet ipam release --from-report`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::SignedDuration;

use super::check::judged_ipam;
use super::{Common, Error, block_on, new_file, node};
use crate::check::{Facts, Severity};
use crate::collect::options::Options;
use crate::flow::journal::{DEFAULT_RUN, Journals};
use crate::ipam::leak::NetworkDirectory;
use crate::ipam::{DEFAULT_ROOT, evidence};
use crate::model::node::Node;
use crate::view::ipam_check::{self as view, IpamReport, Place, ReleasedAddress};

/// `is_old` counts six of these: ten minutes, longer than any runtime waits for a plugin.
const GRACE: SignedDuration = SignedDuration::from_secs(100);
/// No report of a node is longer.
const LARGEST: u64 = 64 << 20;

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
    #[arg(long, value_name = "FILE", value_parser = new_file::name, conflicts_with = "from")]
    report: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(&self, common: &Common, root: &Path) -> Result<u8, Error> {
        let node = block_on(look(&common.options()?, root))?;
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
async fn look(options: &Options, root: &Path) -> Node {
    let mut node = node::judgeable(options).await;
    if root != Path::new(DEFAULT_ROOT) {
        node.sources.retain(|source| !evidence::SOURCES.contains(&source.name.as_str()));
        node::add_stores(&mut node, root);
        node::add_ranges(&mut node);
    }
    node
}

fn report(node: &Node) -> Result<IpamReport, Error> {
    let facts = Facts::new(node, None, GRACE);
    let file = |place: &Place, address| {
        let network = NetworkDirectory::open(Path::new(&place.directory), &place.network).ok()?;
        network.fingerprint(address).ok().flatten()
    };
    Ok(view::report(&facts, judged_ipam(node), &busy()?, file))
}

/// Containers that podnet sets up or tears down just now, or broke off doing so.
pub fn busy() -> Result<BTreeSet<String>, Error> {
    let run = std::env::var_os("PODNET_RUN").filter(|run| !run.is_empty());
    let journals = Journals::new(Path::new(&run.unwrap_or_else(|| DEFAULT_RUN.into())));
    Ok(journals.owners()?.iter().map(|owner| owner.container_id().to_owned()).collect())
}

/// Frees what every report agrees on. Places in reports are compared with those of this node, and never opened.
pub fn release(common: &Common, root: &Path, files: &[PathBuf], apply: bool) -> Result<u8, Error> {
    let reports: Vec<IpamReport> = files.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let options = common.options()?;
    let now = report(&block_on(look(&options, root))?)?;
    for (path, report) in files.iter().zip(&reports) {
        let known = now.machine_id.is_some() && now.boot_id.is_some();
        if !known || report.machine_id != now.machine_id || report.boot_id != now.boot_id {
            return Err(Error::ForeignReport { path: path.clone() });
        }
    }
    let compared = view::compare(&reports, &now);
    let items =
        if apply { released(&options, root, &reports, &now)? } else { compared.into_iter().map(told).collect() };
    common.print(&view::release(apply, items))?;
    Ok(0)
}

fn told((leaked, why): (view::AbsentAddress, Option<&'static str>)) -> ReleasedAddress {
    ReleasedAddress {
        place: leaked.place,
        address: leaked.address,
        container_id: leaked.container_id,
        free: why.is_none(),
        why: why.map(str::to_owned),
    }
}

/// Locks every network that is concerned, in the order of their places, looks once more while nobody can take or give an
/// address of theirs, and removes what still nothing speaks against.
fn released(
    options: &Options,
    root: &Path,
    reports: &[IpamReport],
    before: &IpamReport,
) -> Result<Vec<ReleasedAddress>, Error> {
    let wanted: BTreeSet<Place> = view::compare(reports, before)
        .into_iter()
        .filter(|(_, why)| why.is_none())
        .map(|(leaked, _)| leaked.place)
        .collect();
    let open = |place: Place| {
        let network = NetworkDirectory::open(Path::new(&place.directory), &place.network)?;
        Ok((place, network))
    };
    let networks: BTreeMap<Place, NetworkDirectory> =
        wanted.into_iter().map(open).collect::<Result<_, crate::ipam::Error>>()?;
    let mut locked = BTreeMap::new();
    for (place, network) in &networks {
        locked.insert(place.clone(), network.lock()?);
    }
    let now = report(&block_on(look(options, root))?)?;
    let mut items = Vec::new();
    for (leaked, why) in view::compare(reports, &now) {
        let mut item = told((leaked.clone(), why));
        let held = locked.get(&leaked.place).zip(leaked.file.as_ref()).filter(|_| item.free);
        item.free = match held {
            Some((network, file)) => network.release(leaked.address, file)?,
            None => false,
        };
        if !item.free && item.why.is_none() {
            item.why = Some("its file is another one now".to_owned());
        }
        items.push(item);
    }
    Ok(items)
}

fn read(path: &Path) -> Result<IpamReport, Error> {
    let failed = |source| Error::ReadFile { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    let no_report = |why| Error::NoReport { path: path.to_owned(), why };
    let report: IpamReport = serde_json::from_slice(&bytes).map_err(|error| no_report(error.to_string()))?;
    match (report.api_version.as_str(), report.kind.as_str()) {
        ("podnet/v1", "IpamReport") => Ok(report),
        _ => Err(no_report("it is another kind of document, or of another version".to_owned())),
    }
}
