//! A container of a network that other plugins make: podnet is its runtime, and gives it a netns where it has none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::kernel::{link, mount};
use super::wish::Place;
use crate::collect::kernel::netlink::Netlink;
use crate::ipam::Owner;
use crate::netns::Handle;

#[derive(Clone, Debug)]
pub struct Guest {
    pub owner: Owner,
    pub place: Place,
    /// Where podnet keeps what ends with the machine's run.
    run: PathBuf,
}

impl Guest {
    pub fn new(owner: Owner, place: Place, run: &Path) -> Self {
        Self { owner, place, run: run.to_owned() }
    }

    /// What tells that podnet made the netns: its path is noted before it is made.
    fn note(&self) -> PathBuf {
        self.run.join("guests").join(format!("{}@{}", self.owner.container_id(), self.owner.ifname()))
    }

    /// Opens the netns, or makes it, with `lo` up as runtimes do; whether it was made.
    pub fn welcome(&self) -> Result<bool, Error> {
        let path = self.place.path();
        let made = matches!(self.place, Place::Named(_));
        if made {
            self.write_note(&path)?;
            mount::create(&path).map_err(|source| self.not_made(path.clone(), source))?;
        }
        let handle = Handle::open(&path)?;
        if Handle::own()?.inode() == handle.inode() {
            return Err(Error::HostNetns { path });
        }
        if made {
            handle.run(loopback_up)??;
        }
        Ok(made)
    }

    fn write_note(&self, path: &Path) -> Result<(), Error> {
        let note = self.note();
        let failed = |source| Error::Journal { path: note.clone(), source };
        if path.symlink_metadata().is_ok() {
            return Err(Error::NetnsExists { path: path.to_owned() });
        }
        if let Some(directory) = note.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        fs::write(&note, path.as_os_str().as_encoded_bytes()).map_err(failed)
    }

    fn not_made(&self, path: PathBuf, source: io::Error) -> Error {
        let _ = fs::remove_file(self.note());
        if source.kind() == io::ErrorKind::AlreadyExists {
            Error::NetnsExists { path }
        } else {
            Error::MakeNetns { path, source }
        }
    }

    /// Removes the netns when podnet made it; whether it did.
    pub fn farewell(&self) -> Result<bool, Error> {
        let (note, path) = (self.note(), self.place.path());
        match fs::read(&note) {
            Ok(bytes) if bytes == path.as_os_str().as_encoded_bytes() => {}
            _ => return Ok(false),
        }
        let removed = mount::remove(&path).map_err(|source| Error::RemoveNetns { path, source })?;
        fs::remove_file(&note).map_err(|source| Error::Journal { path: note, source })?;
        Ok(removed)
    }
}

fn loopback_up() -> Result<(), Error> {
    let opened = Netlink::open(netlink_sys::protocols::NETLINK_ROUTE);
    let mut netlink = opened.map_err(|source| Error::Kernel { what: "open a netlink socket".to_owned(), source })?;
    match link::find(&mut netlink, "lo")? {
        Some(loopback) => link::set_up(&mut netlink, loopback.ifindex),
        None => Ok(()),
    }
}
