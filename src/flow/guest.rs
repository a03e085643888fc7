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

    /// Whether there is an interface of that name in the netns, which then is another's; `lo` is in each.
    pub fn has_interface(&self) -> Result<bool, Error> {
        match self.place {
            Place::Path(_) if self.owner.ifname() != "lo" => self.open()?.run(|| is_there(self.owner.ifname()))?,
            _ => Ok(false),
        }
    }

    /// Opens the netns, or makes it, with `lo` up as runtimes do; whether it was made. What fails leaves none.
    pub fn welcome(&self) -> Result<bool, Error> {
        if matches!(self.place, Place::Path(_)) {
            return self.open().map(|_| false);
        }
        let path = self.place.path();
        self.write_note(&path)?;
        mount::create(&path).map_err(|source| self.not_made(path, source))?;
        let up = self.open().and_then(|handle| handle.run(loopback_up)?);
        up.inspect_err(|_| drop(self.farewell())).map(|()| true)
    }

    fn open(&self) -> Result<Handle, Error> {
        let path = self.place.path();
        let handle = Handle::open(&path)?;
        if Handle::own()?.inode() == handle.inode() {
            return Err(Error::HostNetns { path });
        }
        Ok(handle)
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

fn netlink() -> Result<Netlink, Error> {
    let opened = Netlink::open(netlink_sys::protocols::NETLINK_ROUTE);
    opened.map_err(|source| Error::Kernel { what: "open a netlink socket".to_owned(), source })
}

fn is_there(ifname: &str) -> Result<bool, Error> {
    Ok(link::find(&mut netlink()?, ifname)?.is_some())
}

fn loopback_up() -> Result<(), Error> {
    let mut netlink = netlink()?;
    match link::find(&mut netlink, "lo")? {
        Some(loopback) => link::set_up(&mut netlink, loopback.ifindex),
        None => Ok(()),
    }
}
