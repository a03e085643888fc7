//! `owners/`: which addresses were given to a container's interface, found without reading them all.
//!
//! A symlink is its own content and comes into being at once, so a record is never half-written;
//! and symlink(2) refuses a name that exists, so an attachment gets a record once, on whichever
//! pool. It is written before the address files, so it never names too few. What it names counts
//! only as far as the address files agree.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::books;
use super::error::Error;
use super::owner::Owner;
use super::pool;

/// One address that a record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pool: String,
    pub(super) address: IpAddr,
}

fn path(root: &Path, owner: &Owner) -> PathBuf {
    root.join("owners").join(format!("{}@{}", owner.container_id(), owner.ifname()))
}

/// What the owner was given, or was about to be given; `None` without a record.
pub(super) fn read(root: &Path, owner: &Owner) -> Result<Option<Vec<Entry>>, Error> {
    let path = path(root, owner);
    match fs::read_link(&path) {
        Ok(target) => Ok(Some(parse(&target.to_string_lossy()))),
        // EINVAL: not a symlink, so not podnet's.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(None),
        Err(source) => Err(Error::Read { path, source }),
    }
}

/// Writes the record; `false` when the owner has one already.
pub(super) fn write(root: &Path, owner: &Owner, entries: &[Entry]) -> Result<bool, Error> {
    let path = path(root, owner);
    let failed = |source| Error::Write { path: path.clone(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let line = |entry: &Entry| format!("{}/{}", entry.pool, entry.address);
    let target = entries.iter().map(line).collect::<Vec<_>>().join(",");
    match std::os::unix::fs::symlink(target, &path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(failed(source)),
    }
}

pub(super) fn remove(root: &Path, owner: &Owner) -> Result<(), Error> {
    books::remove(&path(root, owner))
}

/// A part that is none of podnet's is passed over.
fn parse(target: &str) -> Vec<Entry> {
    let entry = |part: &str| {
        let (name, address) = part.split_once('/')?;
        let address = address.parse().ok()?;
        pool::is_name(name).then(|| Entry { pool: name.to_owned(), address })
    };
    target.split(',').filter_map(entry).collect()
}
