//! `podnet ipam release --from-report`: what several looks agree on is held for nobody, and what the last one still finds so.
//!
//! The node is looked at three times: to compare it with the reports, again under the locks of the stores, and once more
//! after the files were removed, as not everybody who takes an address takes the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::ipam_check::{file, look, report, report_of};
use super::{Common, Error, block_on};
use crate::collect::kernel::problem::chain;
use crate::collect::options::Options;
use crate::ipam;
use crate::ipam::leak::{Locked, NetworkDirectory, Removed};
use crate::view::ipam_check::{self as view, AbsentAddress, IpamReport, Place, ReleasedAddress};

/// No report of a node is longer.
const LARGEST: u64 = 64 << 20;

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
    let outcome = match apply {
        true => released(&options, root, &reports, &now)?,
        false => Outcome { items: compared(&reports, &now).map(|(_, item)| item).collect(), failed: None },
    };
    common.print(&view::release(apply, outcome.items))?;
    outcome.failed.map_or(Ok(0), |error| Err(error.into()))
}

/// What became of each address, and what went wrong first.
#[derive(Default)]
struct Outcome {
    items: Vec<ReleasedAddress>,
    failed: Option<ipam::Error>,
}

impl Outcome {
    fn keep(&mut self, at: usize, why: String) {
        self.items[at].free = false;
        self.items[at].why = Some(why);
    }

    fn fail(&mut self, at: usize, error: ipam::Error) {
        self.keep(at, chain(&error));
        self.failed.get_or_insert(error);
    }
}

/// A file that was removed; which item tells of it.
struct Taken<'a> {
    at: usize,
    leaked: AbsentAddress,
    file: Removed<'a>,
}

fn compared(reports: &[IpamReport], now: &IpamReport) -> impl Iterator<Item = (AbsentAddress, ReleasedAddress)> {
    view::compare(reports, now).into_iter().map(|(leaked, why)| {
        let item = ReleasedAddress {
            place: leaked.place.clone(),
            address: leaked.address,
            container_id: leaked.container_id.clone(),
            free: why.is_none(),
            why: why.map(str::to_owned),
        };
        (leaked, item)
    })
}

/// Locks every network that is concerned, in the order of their places, looks again while nobody can take or give an
/// address of theirs, removes what nothing speaks against, and puts back what the last look does not find as it was.
fn released(options: &Options, root: &Path, reports: &[IpamReport], before: &IpamReport) -> Result<Outcome, Error> {
    let wanted: BTreeSet<Place> =
        compared(reports, before).filter(|(_, item)| item.free).map(|(leaked, _)| leaked.place).collect();
    let open = |place: Place| {
        let network = NetworkDirectory::open(Path::new(&place.directory), &place.network)?;
        Ok((place, network))
    };
    let networks: BTreeMap<Place, NetworkDirectory> =
        wanted.into_iter().map(open).collect::<Result<_, ipam::Error>>()?;
    let mut locked = BTreeMap::new();
    for (place, network) in &networks {
        locked.insert(place.clone(), network.lock()?);
    }
    let now = report(&block_on(look(options, root))?)?;
    let (mut outcome, taken) = take(&locked, compared(reports, &now));
    if taken.is_empty() {
        return Ok(outcome);
    }
    let last = look_after(options, root, &taken);
    let compared = last.as_ref().map_or_else(|_| Vec::new(), |last| compared(reports, last).collect());
    for Taken { at, file, .. } in taken {
        // Where nothing could be seen, nothing is known to be free.
        let seen = compared.get(at).map(|(_, item)| item.clone());
        if seen.as_ref().is_some_and(|item| item.free) {
            continue;
        }
        let why = seen.and_then(|item| item.why).unwrap_or_else(|| "the node could not be read".to_owned());
        match file.put_back() {
            Ok(()) => outcome.keep(at, format!("{why}, and its file was put back")),
            Err(error) => outcome.fail(at, error),
        }
    }
    last.map(|_| outcome)
}

/// Removes the files of what is free, each if it is still the one that was reported.
fn take<'a>(
    locked: &'a BTreeMap<Place, Locked<'a>>,
    compared: impl Iterator<Item = (AbsentAddress, ReleasedAddress)>,
) -> (Outcome, Vec<Taken<'a>>) {
    let (mut outcome, mut taken) = (Outcome::default(), Vec::new());
    for (at, (leaked, item)) in compared.enumerate() {
        let free = item.free;
        outcome.items.push(item);
        let Some(file) = leaked.file.as_ref().filter(|_| free) else { continue };
        let released = locked.get(&leaked.place).map(|network| network.release(leaked.address, file));
        match released {
            Some(Ok(Some(file))) => taken.push(Taken { at, leaked, file }),
            Some(Ok(None)) => outcome.keep(at, "its file is another one now".to_owned()),
            Some(Err(error)) => outcome.fail(at, error),
            None => outcome.keep(at, "it was not free a moment ago".to_owned()),
        }
    }
    (outcome, taken)
}

/// Judged as if the stores still held what was removed: it must be held for nobody as it was before.
fn look_after(options: &Options, root: &Path, taken: &[Taken<'_>]) -> Result<IpamReport, Error> {
    let mut node = block_on(look(options, root))?;
    taken.iter().for_each(|taken| view::hold(&mut node, &taken.leaked));
    let removed = |place: &Place, address| {
        let taken = taken.iter().find(|taken| taken.leaked.place == *place && taken.leaked.address == address);
        taken.and_then(|taken| taken.leaked.file.clone())
    };
    report_of(&node, |place, address| file(place, address).or_else(|| removed(place, address)))
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
