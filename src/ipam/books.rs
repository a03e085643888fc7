//! The directory of one pool, opened under its lock: the only place that changes address files.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::lock::Lock;
use super::owner::Owner;
use super::pool::Pool;
use super::reader::{self, Reservation, Unclear};
use super::search::{self, Found, Standing};
use crate::model::address::Family;

/// Where the files of one pool lie.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) held: PathBuf,
    resting: PathBuf,
    staging: PathBuf,
}

impl Places {
    pub(super) fn new(root: &Path, pool: &str) -> Self {
        let under = |room: &str| root.join(room).join(pool);
        Self { held: under("networks"), resting: under("resting"), staging: under("staging") }
    }

    pub(super) fn reservation(&self, address: IpAddr) -> Option<Reservation> {
        reader::reservation(&self.held.join(address.to_string()), address)
    }

    pub(super) fn resting(&self, address: IpAddr) -> Option<Reservation> {
        reader::reservation(&self.resting.join(address.to_string()), address)
    }

    /// The addresses that rest.
    pub(super) fn all_resting(&self) -> Result<Vec<IpAddr>, Error> {
        Ok(reader::names(&self.resting)?.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

/// A pool's directory that nobody else changes meanwhile.
#[derive(Debug)]
pub(super) struct Books {
    places: Places,
    _lock: Lock,
}

impl Books {
    pub(super) fn open(root: &Path, pool: &str) -> Result<Self, Error> {
        let places = Places::new(root, pool);
        let lock = Lock::take(&places.held)?;
        Ok(Self { places, _lock: lock })
    }

    pub(super) fn reservation(&self, address: IpAddr) -> Option<Reservation> {
        self.places.reservation(address)
    }

    /// Whether an address is held by this owner. A file that cannot be read just now is an error and
    /// not a «no», which would let go of the record.
    pub(super) fn is_held_by(&self, address: IpAddr, owner: &Owner) -> Result<bool, Error> {
        match self.reservation(address).map(|found| found.holder) {
            Some(Ok(holder)) => Ok(holder.is(owner)),
            Some(Err(Unclear::Unreadable(source))) => {
                Err(Error::Read { path: self.places.held.join(address.to_string()), source })
            }
            _ => Ok(false),
        }
    }

    /// The next address of a family to give out, `None` when the pool is full.
    pub(super) fn next(&self, pool: &Pool, family: Family) -> Result<Option<Found>, Error> {
        let last = reader::last_reserved(&self.cursor(family));
        let standing = |address: IpAddr| self.standing(address);
        search::next(pool.candidates_after(family, last), pool.candidates(family), standing)
    }

    /// Asked of every candidate, up to some ten thousands in a row, so it looks at names only.
    fn standing(&self, address: IpAddr) -> Result<Standing, Error> {
        let name = address.to_string();
        if is_there(&self.places.held.join(&name))? {
            return Ok(Standing::Held);
        }
        let rests = is_there(&self.places.resting.join(&name))?;
        Ok(if rests { Standing::Resting } else { Standing::Free })
    }

    /// Lets the next search begin after `found`. When the search came round, nothing rests any more.
    pub(super) fn advance(&self, found: Found) -> Result<(), Error> {
        let family = Family::of(&found.address);
        if found.wrapped {
            for address in self.places.all_resting()?.into_iter().filter(|address| Family::of(address) == family) {
                remove(&self.places.resting.join(address.to_string()))?;
            }
        }
        let cursor = self.cursor(family);
        let staged = self.stage(&found.address.to_string())?;
        // ext4 writes a file out before it lets it replace another (`auto_da_alloc`), and everybody waits for the disk;
        // without the hint a search begins at the start.
        remove(&cursor)?;
        fs::rename(&staged, &cursor).map_err(|source| Error::Write { path: cursor, source })
    }

    /// host-local numbers its range sets; podnet's are one for each family.
    fn cursor(&self, family: Family) -> PathBuf {
        self.places.held.join(match family {
            Family::Ipv4 => "last_reserved_ip.0",
            Family::Ipv6 => "last_reserved_ip.1",
        })
    }

    /// Writes a file that has no name yet that anyone reads.
    fn stage(&self, content: &str) -> Result<PathBuf, Error> {
        let path = self.places.staging.clone();
        let failed = |source| Error::Write { path: path.clone(), source };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        // What a killed run left may have got its name already: it must be unlinked, never truncated.
        remove(&path)?;
        let mut file = fs::File::create_new(&path).map_err(failed)?;
        file.write_all(content.as_bytes()).map_err(failed)?;
        Ok(path)
    }

    /// Writes the content of an owner's address files, durable before any of them has a name.
    pub(super) fn stage_reservation(&self, owner: &Owner) -> Result<PathBuf, Error> {
        let path = self.stage(&owner.to_content())?;
        let synced = fs::File::open(&path).and_then(|file| file.sync_all());
        synced.map_err(|source| Error::Write { path: path.clone(), source })?;
        Ok(path)
    }

    /// Gives the staged file the name of an address; link(2) does that whole or not at all, and
    /// never replaces a file. `false` when the address is held by now. The name is not synced: whom a power cut takes it
    /// from is gone with it.
    pub(super) fn hold(&self, staged: &Path, address: IpAddr) -> Result<bool, Error> {
        let path = self.places.held.join(address.to_string());
        match fs::hard_link(staged, &path) {
            Ok(()) => remove(&self.places.resting.join(address.to_string())).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// Takes back an address that nobody has used yet; it need not rest.
    pub(super) fn unhold(&self, address: IpAddr) -> Result<(), Error> {
        remove(&self.places.held.join(address.to_string()))
    }

    /// Lets an address rest; on a full disk, where there is no room to remember it, it is free at
    /// once. Not synced: a power cut leaves it held, by a container that is gone for good, and the
    /// next release finds it so.
    pub(super) fn release(&self, address: IpAddr) -> Result<(), Error> {
        let name = address.to_string();
        let (held, resting) = (self.places.held.join(&name), self.places.resting.join(&name));
        match fs::create_dir_all(&self.places.resting).and_then(|()| fs::rename(&held, &resting)) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => remove(&held),
            rested => rested.map_err(|source| Error::Write { path: held, source }),
        }
    }

    /// The addresses that an owner holds, by reading every file.
    pub(super) fn search_owner(&self, owner: &Owner) -> Result<Vec<IpAddr>, Error> {
        let listing = reader::read(&self.places.held)?;
        let own = |found: &Reservation| found.holder.as_ref().is_ok_and(|holder| holder.is(owner));
        Ok(listing.reservations.iter().filter(|found| own(found)).map(|found| found.address).collect())
    }

    /// How many addresses are held.
    pub(super) fn count(&self) -> Result<usize, Error> {
        Ok(reader::names(&self.places.held)?.iter().filter(|name| name.parse::<IpAddr>().is_ok()).count())
    }

    /// Removes everything that podnet keeps for the pool.
    pub(super) fn remove(self) -> Result<(), Error> {
        for directory in [&self.places.resting, &self.places.held] {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(|source| Error::Write { path: directory.clone(), source })?,
            }
        }
        remove(&self.places.staging)
    }
}

fn is_there(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Write { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
