//! Reading a directory in host-local's layout: podnet's own, or `/var/lib/cni/networks/*`.
//!
//! It changes nothing and takes no lock. What stands in a directory may be anyone's: files that a
//! killed host-local left empty, old ones with only a container ID, and whatever else people put there.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use super::error::Error;
use super::owner::Owner;

/// Far more than an ID and an interface name need.
const LONGEST_CONTENT: u64 = 4096;

/// Where host-local keeps its networks unless its `dataDir` says otherwise.
pub const HOST_LOCAL_ROOT: &str = "/var/lib/cni/networks";

/// What an address file says about who holds it. Text of unknown origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub container_id: String,
    /// Absent in files of host-local before 0.8.7.
    pub ifname: Option<String>,
}

impl Holder {
    pub fn is(&self, owner: &Owner) -> bool {
        self.container_id == owner.container_id() && self.ifname.as_deref().is_none_or(|name| name == owner.ifname())
    }
}

/// Why a file does not say who holds its address. The address counts as held all the same.
#[derive(Debug, thiserror::Error)]
pub enum Unclear {
    #[error("the file is empty (host-local leaves such a file when it is killed while writing)")]
    Empty,
    #[error("the file is no text")]
    NotText,
    #[error("the file is longer than {LONGEST_CONTENT} bytes")]
    TooLong,
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "container {}", self.container_id)?;
        self.ifname.iter().try_for_each(|name| write!(out, " interface {name}"))
    }
}

/// One address file.
#[derive(Debug)]
pub struct Reservation {
    pub address: IpAddr,
    pub holder: Result<Holder, Unclear>,
    /// When the file was written, where the filesystem tells.
    pub since: Option<SystemTime>,
}

/// One directory: a network of host-local, a pool of podnet.
#[derive(Debug, Default)]
pub struct Listing {
    /// By address, IPv4 first.
    pub reservations: Vec<Reservation>,
    /// `last_reserved_ip.N`: the number of the range set, and the address.
    pub last_reserved: Vec<(u32, IpAddr)>,
    /// Names of files that are no part of the layout.
    pub strangers: Vec<String>,
}

/// Reads a directory. One that is not there holds nothing.
pub fn read(directory: &Path) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    for name in names(directory)? {
        let path = directory.join(&name);
        if let Ok(address) = name.parse::<IpAddr>() {
            listing.reservations.extend(reservation(&path, address));
        } else if let Some(range) = name.strip_prefix("last_reserved_ip.") {
            let last = range.parse().ok().zip(last_reserved(&path));
            listing.last_reserved.extend(last);
        } else if name != "lock" {
            listing.strangers.push(name);
        }
    }
    listing.reservations.sort_by_key(|reservation| reservation.address);
    listing.last_reserved.sort_unstable();
    listing.strangers.sort_unstable();
    Ok(listing)
}

/// The names of the directories under `root`: host-local's networks. No root, no networks.
pub fn networks(root: &Path) -> Result<Vec<String>, Error> {
    let mut networks = names(root)?;
    networks.retain(|name| root.join(name).is_dir());
    networks.sort_unstable();
    Ok(networks)
}

/// The names in a directory, empty where there is none. A name that is no text is shown with `�`.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Read { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(failed)
}

/// Reads one address file; `None` when it is gone by now.
pub(super) fn reservation(path: &Path, address: IpAddr) -> Option<Reservation> {
    let (holder, since) = match open(path) {
        Ok(file) => (content(&file), file.metadata().and_then(|metadata| metadata.modified()).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => (Err(Unclear::Unreadable(error)), None),
    };
    Some(Reservation { address, holder, since })
}

/// The address that the last search ended at. A damaged file counts as none: it is only a hint.
pub(super) fn last_reserved(path: &Path) -> Option<IpAddr> {
    let bytes = bounded(&open(path).ok()?).ok()?;
    std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
}

/// A FIFO in the place of an address must not hang us, and a symlink must not lead us elsewhere.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)
}

fn bounded(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LONGEST_CONTENT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn content(file: &File) -> Result<Holder, Unclear> {
    let bytes = bounded(file).map_err(Unclear::Unreadable)?;
    if bytes.len() as u64 > LONGEST_CONTENT {
        return Err(Unclear::TooLong);
    }
    parse(&bytes)
}

/// host-local writes `ID CR LF INTERFACE`, and wrote only the ID before.
fn parse(bytes: &[u8]) -> Result<Holder, Unclear> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unclear::NotText)?;
    let mut lines = text.trim().lines().map(str::trim).filter(|line| !line.is_empty());
    let container_id = lines.next().ok_or(Unclear::Empty)?;
    if text.contains('\0') {
        return Err(Unclear::NotText);
    }
    Ok(Holder { container_id: container_id.to_owned(), ifname: lines.next().map(str::to_owned) })
}
