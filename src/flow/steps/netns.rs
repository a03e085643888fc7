//! The netns of the pod: opened, and made where it is to be a new one.

use std::path::{Path, PathBuf};

use crate::flow::error::Error;
use crate::flow::kernel::mount;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::wish::Place;
use crate::flow::work::Work;
use crate::netns::Handle;

pub struct Netns;

impl Step for Netns {
    fn name(&self) -> &'static str {
        "netns"
    }

    fn purpose(&self) -> &'static str {
        "open the network namespace of the pod"
    }

    fn in_cilium(&self) -> &'static str {
        "ns.GetNS"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        match &record.wish.place {
            Place::Named(name) => vec![format!("ip netns add {name}")],
            Place::Path(path) => vec![format!("exec 3<{}", path.display())],
        }
    }

    fn undo_preview(&self, record: &Record) -> Vec<String> {
        match &record.wish.place {
            Place::Named(name) => vec![format!("ip netns del {name}")],
            Place::Path(_) => Vec::new(),
        }
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let place = work.record.wish.place.clone();
        let path = place.path();
        let mut changes = Vec::new();
        if let Place::Named(_) = place {
            create(&path)?;
            changes.push(Change::added(format!("netns {}", path.display())));
        }
        let inode = work.netns()?.inode();
        if Handle::own()?.inode() == inode {
            return Err(Error::HostNetns { path });
        }
        work.record.netns = Some(inode);
        Ok(changes)
    }

    /// Only one that podnet made. Whether it did is known from the record, which was written before.
    fn undo(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        work.close_netns();
        let Place::Named(_) = work.record.wish.place else { return Ok(Vec::new()) };
        let path = work.record.netns_path();
        if is_anothers(&path, work.record.netns) {
            return Ok(Vec::new());
        }
        let removed = mount::remove(&path).map_err(|source| Error::RemoveNetns { path: path.clone(), source })?;
        Ok(if removed { vec![Change::removed(format!("netns {}", path.display()))] } else { Vec::new() })
    }
}

fn create(path: &Path) -> Result<(), Error> {
    mount::create(path).map_err(|source| {
        let path = PathBuf::from(path);
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            Error::NetnsExists { path }
        } else {
            Error::MakeNetns { path, source }
        }
    })
}

/// Whether somebody has put another netns at the place since, or had one there before the record's was made.
fn is_anothers(path: &Path, recorded: Option<u64>) -> bool {
    match (Handle::open(path), recorded) {
        (Ok(there), Some(recorded)) => there.inode() != recorded,
        _ => false,
    }
}
