//! Files that are held for nobody, removed one by one: of podnet's own stores and of host-local's, under the lock that
//! both take.
//!
//! Names come from reports that anybody may have written, so nothing here follows a link or leaves a network's directory:
//! it is opened once, and everything else is done in what was opened.

use std::fs::{File, FileTimes, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat, unlinkat};
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
        Ok(self.read(address)?.map(|file| file.fingerprint))
    }

    fn read(&self, address: IpAddr) -> Result<Option<AddressFile>, Error> {
        let path = self.path.join(address.to_string());
        let failed = |source| Error::Read { path: path.clone(), source };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.directory, address.to_string(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(failed(errno.into())),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() > LONGEST {
            return Ok(None);
        }
        let mut content = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut content).map_err(failed)?;
        let fingerprint = Fingerprint::new(&content, &metadata);
        Ok(Some(AddressFile { content, metadata, fingerprint }))
    }

    /// A file of the same bytes, owner, mode and times, on the same file system and durable, that has no name: nobody takes
    /// it for an address, and it is gone with whoever holds it open.
    fn copy(&self, of: &AddressFile) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let mut copy = File::from(openat(&self.directory, ".", flags, Mode::from_raw_mode(0o600))?);
        copy.write_all(&of.content)?;
        fchown(&copy, Some(of.metadata.uid()), Some(of.metadata.gid()))?;
        copy.set_permissions(Permissions::from_mode(of.metadata.mode()))?;
        copy.set_times(FileTimes::new().set_accessed(of.metadata.accessed()?).set_modified(of.metadata.modified()?))?;
        copy.sync_all()?;
        Ok(copy)
    }
}

/// The file of an address, as it was read.
struct AddressFile {
    content: Vec<u8>,
    metadata: Metadata,
    fingerprint: Fingerprint,
}

impl Fingerprint {
    fn new(content: &[u8], metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| (i128::from(seconds) * 1_000_000_000 + i128::from(rest)).to_string();
        Self {
            sha256: Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect(),
            size: metadata.len(),
            inode: metadata.ino(),
            device: metadata.dev(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Nobody else changes it meanwhile.
#[derive(Debug)]
pub struct Locked<'a> {
    network: &'a NetworkDirectory,
    _lock: File,
}

impl Locked<'_> {
    /// Removes the file of an address if it is still that one; `None`, and nothing done, where it is not.
    pub fn release(&self, address: IpAddr, is: &Fingerprint) -> Result<Option<Removed<'_>>, Error> {
        let Some(file) = self.network.read(address)?.filter(|file| file.fingerprint == *is) else { return Ok(None) };
        let path = self.network.path.join(address.to_string());
        let copy = self.network.copy(&file).map_err(|source| Error::NoCopy { path: path.clone(), source })?;
        match unlinkat(&self.network.directory, address.to_string(), AtFlags::empty()) {
            Ok(()) => Ok(Some(Removed { network: self.network, address, copy })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::Write { path, source: errno.into() }),
        }
    }
}

/// The file of an address that was removed, while it can still be put back.
#[derive(Debug)]
#[must_use = "the address may have been taken meanwhile"]
pub struct Removed<'a> {
    network: &'a NetworkDirectory,
    address: IpAddr,
    copy: File,
}

impl Removed<'_> {
    /// Gives it its name again, whole or not at all. Where somebody else has made a file of that name, that one stays.
    pub fn put_back(self) -> Result<(), Error> {
        // linkat(2): so a file without a name gets one, without CAP_DAC_READ_SEARCH.
        let copy = format!("/proc/self/fd/{}", self.copy.as_raw_fd());
        let name = self.address.to_string();
        match linkat(CWD, copy, &self.network.directory, &name, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(errno) => Err(Error::NotPutBack { path: self.network.path.join(name), source: errno.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn network() -> (tempfile::TempDir, NetworkDirectory, IpAddr) {
        let store = tempfile::tempdir().unwrap();
        fs::create_dir(store.path().join("net")).unwrap();
        fs::write(store.path().join("net/10.0.0.7"), "pod\r\neth0").unwrap();
        let network = NetworkDirectory::open(store.path(), "net").unwrap();
        (store, network, IpAddr::from([10, 0, 0, 7]))
    }

    #[test]
    fn a_name_that_leads_out_of_the_store_is_none_of_its_networks() {
        let (store, ..) = network();
        for name in ["", ".", "..", "net/", "./net", "net/../net", "/etc"] {
            assert!(NetworkDirectory::open(store.path(), name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_was_changed_since_it_was_looked_at_stays() {
        let (store, network, address) = network();
        let file = store.path().join("net/10.0.0.7");
        let seen = network.fingerprint(address).unwrap().unwrap();
        fs::write(&file, "new\r\neth0").unwrap();
        let locked = network.lock().unwrap();
        assert!(locked.release(address, &seen).unwrap().is_none());
        assert!(file.exists());
    }

    #[test]
    fn a_link_is_no_file_of_an_address() {
        let (store, network, address) = network();
        fs::rename(store.path().join("net/10.0.0.7"), store.path().join("file")).unwrap();
        std::os::unix::fs::symlink("../file", store.path().join("net/10.0.0.7")).unwrap();
        assert_eq!(network.fingerprint(address).unwrap(), None);
    }

    #[test]
    fn what_is_put_back_is_the_same_but_for_its_inode() {
        let (_store, network, address) = network();
        let seen = network.fingerprint(address).unwrap().unwrap();
        let locked = network.lock().unwrap();
        let removed = locked.release(address, &seen).unwrap().unwrap();
        assert_eq!(network.fingerprint(address).unwrap(), None);
        removed.put_back().unwrap();
        let again = network.fingerprint(address).unwrap().unwrap();
        assert_eq!((&again.sha256, again.size, &again.modified), (&seen.sha256, seen.size, &seen.modified));
        assert_ne!(again.inode, seen.inode);
    }
}
