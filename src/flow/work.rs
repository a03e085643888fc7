//! The work on one attachment: its record, and what is open for it.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use super::agent::{Agent, Told};
use super::error::Error;
use super::record::Record;
use crate::collect::kernel::netlink::Netlink;
use crate::ipam::Store;
use crate::netns::Handle;

/// Opened as the steps need it, and open until the end. «The host» is the netns that podnet itself is in.
pub struct Work {
    pub record: Record,
    /// Where podnet keeps what ends with the machine's run.
    pub run: PathBuf,
    netns: Option<Handle>,
    host: Option<Netlink>,
    pod: Option<Netlink>,
    /// What the operator should know, though nothing failed.
    pub notes: Vec<String>,
}

impl Work {
    pub fn new(record: Record, run: &Path) -> Self {
        Self { record, run: run.to_owned(), netns: None, host: None, pod: None, notes: Vec::new() }
    }

    pub fn store(&self) -> Store {
        Store::open(&self.record.wish.store)
    }

    /// The agent that the wish names.
    pub fn agent(&self) -> Result<&Agent, Error> {
        self.record.wish.agent.as_ref().ok_or(Error::NoAgent)
    }

    /// What it said.
    pub fn told(&mut self) -> Result<&mut Told, Error> {
        self.record.agent.as_mut().ok_or(Error::NoAgent)
    }

    /// The pod's netns: the one that the record knows by its inode, if it knows one.
    pub fn netns(&mut self) -> Result<&Handle, Error> {
        let handle = match self.netns.take() {
            Some(handle) => handle,
            None => self.open_netns()?,
        };
        Ok(self.netns.insert(handle))
    }

    fn open_netns(&self) -> Result<Handle, Error> {
        let path = self.record.netns_path();
        let handle = Handle::open(&path)?;
        match self.record.netns {
            Some(then) if then != handle.inode() => Err(Error::NetnsChanged { path, then, now: handle.inode() }),
            _ => Ok(handle),
        }
    }

    /// The open netns as the kernel is told of it in messages; good as long as this is not closed.
    pub fn netns_fd(&mut self) -> Result<RawFd, Error> {
        Ok(self.netns()?.as_fd().as_raw_fd())
    }

    /// Lets go of the netns, before it is unmounted.
    pub fn close_netns(&mut self) {
        self.netns = None;
        self.pod = None;
    }

    /// Whether the pod's netns can be entered. On an undo it may be gone, and with it all that was in it.
    pub fn has_netns(&mut self) -> bool {
        self.netns().is_ok()
    }

    /// rtnetlink of the host.
    pub fn host(&mut self) -> Result<&mut Netlink, Error> {
        let netlink = match self.host.take() {
            Some(netlink) => netlink,
            None => open()?,
        };
        Ok(self.host.insert(netlink))
    }

    /// rtnetlink of the pod's netns.
    pub fn pod(&mut self) -> Result<&mut Netlink, Error> {
        let netlink = match self.pod.take() {
            Some(netlink) => netlink,
            None => self.netns()?.run(open)??,
        };
        Ok(self.pod.insert(netlink))
    }

    /// `ip -n` takes the name of a netns that is mounted in the usual place, else `nsenter` its path.
    pub fn command_prefix(record: &Record) -> String {
        let path = record.netns_path();
        let usual = Path::new(super::wish::NETNS_DIRECTORY);
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if parent == usual || parent == Path::new("/var/run/netns") => {
                format!("ip -n {}", name.to_string_lossy())
            }
            _ => format!("nsenter --net={} ip", path.display()),
        }
    }
}

fn open() -> Result<Netlink, Error> {
    Netlink::open(netlink_sys::protocols::NETLINK_ROUTE)
        .map_err(|source| Error::Kernel { what: "open a netlink socket".to_owned(), source })
}
