//! Files that are held for nobody, removed one by one: of podnet's own stores and of host-local's, under the lock that
//! both take.
//!
//! Names come from reports that anybody may have written, so nothing here follows a link or leaves a network's directory:
//! it is opened once, and everything else is done in what was opened.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::lock::wait;

/// More than any holder needs; a longer file is nobody's record.
const LONGEST: u64 = 4096;

/// What makes a file the same: not one byte was written since, and no other took its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fingerprint {
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    pub size: u64,
    pub inode: u64,
    pub device: u64,
    /// Nanoseconds since 1970, as a decimal number: when it was written, and when it was last changed in any way.
    pub modified: String,
    pub changed: String,
}

/// The directory of a network of host-local, or of a pool of podnet.
#[derive(Debug)]
pub struct NetworkDirectory {
    directory: OwnedFd,
    path: PathBuf,
}

impl NetworkDirectory {
    /// Opens the directory of that name, if it is one of the store's own.
    pub fn open(store: &Path, network: &str) -> Result<Self, Error> {
        let path = store.join(network);
        if network.is_empty() || network.contains('/') || matches!(network, "." | "..") {
            return Err(Error::NotOfStore { path });
        }
        let root = File::open(store).map_err(|source| Error::Read { path: store.to_owned(), source })?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&root, network, flags, Mode::empty()) {
            Ok(directory) => Ok(Self { directory, path }),
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => Err(Error::NotOfStore { path }),
            Err(errno) => Err(Error::Read { path, source: errno.into() }),
        }
    }

    /// Locks it as host-local and podnet do.
    pub fn lock(&self) -> Result<Locked<'_>, Error> {
        let path = self.path.join("lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |source| Error::Lock { path: path.clone(), source };
        let opened = openat(&self.directory, "lock", flags, Mode::from_raw_mode(0o644));
        let file = wait(File::from(opened.map_err(|errno| failed(errno.into()))?), &path)?;
        // Locking a file that has lost its name, or is none, would keep nobody else out.
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.nlink() == 0 {
            return Err(Error::NotOfStore { path });
        }
        Ok(Locked { network: self, _lock: file })
    }

    /// Of the file of an address; `None` where there is none, or something that is no file.
    pub fn fingerprint(&self, address: IpAddr) -> Result<Option<Fingerprint>, Error> {
        let name = address.to_string();
        let failed = |source| Error::Read { path: self.path.join(&name), source };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.directory, name.as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(failed(errno.into())),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let mut content = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut content).map_err(failed)?;
        let nanoseconds =
            |seconds: i64, rest: i64| (i128::from(seconds) * 1_000_000_000 + i128::from(rest)).to_string();
        let print = Fingerprint {
            sha256: Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect(),
            size: metadata.len(),
            inode: metadata.ino(),
            device: metadata.dev(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        };
        Ok(Some(print).filter(|print| print.size <= LONGEST))
    }
}

/// Nobody else changes it meanwhile.
#[derive(Debug)]
pub struct Locked<'a> {
    network: &'a NetworkDirectory,
    _lock: File,
}

impl Locked<'_> {
    /// Removes the file of an address if it is still that one; says whether it was.
    pub fn release(&self, address: IpAddr, is: &Fingerprint) -> Result<bool, Error> {
        if self.network.fingerprint(address)?.as_ref() != Some(is) {
            return Ok(false);
        }
        let name = address.to_string();
        match unlinkat(&self.network.directory, name.as_str(), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::Write { path: self.network.path.join(name), source: io::Error::from(errno) }),
        }
    }
}
