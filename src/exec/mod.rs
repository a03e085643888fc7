//! Running the host's own command in a netns: everything between «which netns» and `execvp`.
//!
//! The process itself goes in and becomes the command, so that terminal, signals and exit status are
//! the command's own. What it needs changed around it (`/sys`, resolv.conf) is changed in a mount
//! namespace of its own, which ends with it: nothing is left behind.

mod mounts;
mod privilege;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

pub use mounts::NameFiles;
pub use privilege::{Identity, NoSuchUser};

use crate::{descriptors, netns};

/// What to run, and as whom.
#[derive(Debug)]
pub struct Entry<'a> {
    pub netns: &'a netns::Handle,
    /// resolv.conf and hosts to show instead of the host's.
    pub names: Option<NameFiles>,
    pub identity: Option<Identity>,
    pub drop_capabilities: bool,
    /// Whether it is told to end (SIGTERM) when who started podnet ends.
    pub ends_with_parent: bool,
    pub program: OsString,
    pub arguments: Vec<OsString>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Netns(#[from] netns::Error),
    #[error("cannot give the command a mount namespace of its own")]
    MountNamespace { source: io::Error },
    #[error("cannot show the command {what}")]
    Show { what: &'static str, source: io::Error },
    #[error("cannot give up privileges")]
    Privilege { source: io::Error },
    #[error("cannot run «{}»", .program.to_string_lossy())]
    Run { program: OsString, source: io::Error },
}

impl Error {
    /// The status that a shell would give: 127 not found, 126 found but not to be run.
    pub fn exit_status(&self) -> Option<u8> {
        match self {
            Error::Run { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(127),
            Error::Run { .. } => Some(126),
            _ => None,
        }
    }
}

/// Becomes the command. Returns only when that failed; the process is then somewhere between the
/// two namespaces and good for nothing but telling why. `warn` is told what could not be shown.
///
/// The process must have no other thread: a user namespace can only be entered alone (`setns(2)`).
pub fn become_command(entry: &Entry<'_>, warn: impl FnMut(&Error)) -> Error {
    match prepare(entry, warn) {
        Ok(()) => {
            if entry.ends_with_parent {
                // As late as can be: it is forgotten with a change of identity (`commit_creds`).
                let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM);
            }
            descriptors::restore_limit();
            let source = Command::new(&entry.program).args(&entry.arguments).exec();
            Error::Run { program: entry.program.clone(), source }
        }
        Err(error) => error,
    }
}

fn prepare(entry: &Entry<'_>, mut warn: impl FnMut(&Error)) -> Result<(), Error> {
    entry.netns.enter_with_owner()?;
    mounts::separate()?;
    // A rootless netns may not be allowed a sysfs; the command can still be of use.
    if let Err(error) = mounts::show_devices() {
        warn(&error);
    }
    if let Some(names) = &entry.names {
        mounts::show_names(names)?;
    }
    if entry.drop_capabilities {
        privilege::drop_capabilities()?;
    }
    entry.identity.as_ref().map_or(Ok(()), privilege::take)
}
