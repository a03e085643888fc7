//! What is under way and what stands, one file an attachment: `/run/podnet/attachments/CONTAINER@IFNAME`.
//!
//! A line is a whole state, written before and after each step; the last whole line counts. The file is flocked while
//! somebody works on the attachment, and stays as the record of what was made until it is deleted. It is not synced
//! to a disk: it must outlive a kill of podnet, and is of no use after one of the kernel, with which all that it
//! tells of goes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::record::Record;
use crate::ipam::Owner;

/// Where podnet keeps what ends with the machine's run.
pub const DEFAULT_RUN: &str = "/run/podnet";
/// How long to wait for another podnet that works on the same attachment; it needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Far more than the lines of any flow.
const LONGEST: u64 = 4 << 20;
const VERSION: u32 = 1;

/// How far an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Steps are being applied.
    Creating,
    /// All of them were.
    Ready,
    /// Steps are being undone.
    Undoing,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    version: u32,
    pub phase: Phase,
    /// The steps that were begun and not undone, in order; the last may have been killed half-way.
    pub begun: Vec<String>,
    pub record: Record,
}

impl State {
    pub fn new(phase: Phase, begun: Vec<String>, record: Record) -> Self {
        Self { version: VERSION, phase, begun, record }
    }
}

/// The directory of the journals.
#[derive(Clone, Debug)]
pub struct Journals {
    run: PathBuf,
}

impl Journals {
    pub fn new(run: &Path) -> Self {
        Self { run: run.to_owned() }
    }

    pub fn run(&self) -> &Path {
        &self.run
    }

    fn directory(&self) -> PathBuf {
        self.run.join("attachments")
    }

    /// Where the journal of an attachment is.
    pub fn path(&self, owner: &Owner) -> PathBuf {
        self.directory().join(format!("{}@{}", owner.container_id(), owner.ifname()))
    }

    /// The attachments that have a journal.
    pub fn owners(&self) -> Result<Vec<Owner>, Error> {
        let directory = self.directory();
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| Error::Journal { path: directory, source })?,
        };
        let owner = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let (container, ifname) = name.rsplit_once('@')?;
            Owner::new(container, ifname).ok()
        };
        let mut owners: Vec<Owner> = entries.flatten().filter_map(owner).collect();
        owners.sort();
        Ok(owners)
    }

    /// What a journal says, without a lock and without waiting; `None` where there is none.
    pub fn peek(&self, owner: &Owner) -> Result<Option<State>, Error> {
        let path = self.path(owner);
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
        match opened {
            Ok(mut file) => read(&mut file, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Journal { path, source }),
        }
    }

    /// Whether somebody works on the attachment just now. Asking holds the lock for no longer than that.
    pub fn in_flight(&self, owner: &Owner) -> Result<bool, Error> {
        let path = self.path(owner);
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
        match opened {
            Ok(file) => Ok(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::Journal { path, source }),
        }
    }

    /// Opens the journal of an attachment to work on it, making it where it is missing, and waits until nobody else
    /// works on it.
    pub fn open(&self, owner: &Owner) -> Result<Journal, Error> {
        let begin = Instant::now();
        loop {
            if let Some(journal) = self.try_open(owner)? {
                return Ok(journal);
            }
            if begin.elapsed() > PATIENCE {
                return Err(Error::Busy {
                    container: owner.container_id().to_owned(),
                    ifname: owner.ifname().to_owned(),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// As [`Journals::open`], without waiting: `None` when somebody works on it.
    pub fn try_open(&self, owner: &Owner) -> Result<Option<Journal>, Error> {
        let path = self.path(owner);
        let failed = |source| Error::Journal { path: path.clone(), source };
        loop {
            fs::create_dir_all(self.directory()).map_err(failed)?;
            let opened = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path);
            let mut file = opened.map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // Who had the lock before may have removed the file since: its lock keeps nobody out.
            if file.metadata().map_err(failed)?.nlink() > 0 {
                let state = read(&mut file, &path)?;
                return Ok(Some(Journal { path, file, state }));
            }
        }
    }
}

/// The journal of one attachment, locked until it is dropped.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    state: Option<State>,
}

impl Journal {
    /// What the last whole line says; `None` when nothing was written yet.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// Writes a state.
    pub fn write(&mut self, state: State) -> Result<(), Error> {
        let failed = |source| Error::Journal { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(&state).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        // A line that a full disk cut short must not run into this one.
        line.insert(0, b'\n');
        self.file.write_all(&line).map_err(failed)?;
        self.state = Some(state);
        Ok(())
    }

    /// Nothing of the attachment is left.
    pub fn remove(self) -> Result<(), Error> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::Journal { path: self.path, source: error })
            }
            _ => Ok(()),
        }
    }
}

/// The last line that is a state. None: nothing was done yet, as the first state is written before anything is
/// done; or the file is not podnet's work, and then what is there is found by its names.
fn read(file: &mut File, path: &Path) -> Result<Option<State>, Error> {
    let failed = |source| Error::Journal { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    let state = |line: &[u8]| serde_json::from_slice(line).ok().filter(|state: &State| state.version == VERSION);
    Ok(bytes.split(|byte| *byte == b'\n').rev().find_map(state))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::flow::wish::{Place, Wish};

    fn state(phase: Phase) -> State {
        let wish = Wish {
            owner: Owner::new("demo", "eth0").unwrap(),
            network: "podnet".into(),
            place: Place::Named("demo".into()),
            ipv4_pool: Some("default".into()),
            ipv6_pool: None,
            addresses: Vec::new(),
            mac: None,
            mtu: None,
            masquerade: true,
            store: PathBuf::from("/var/lib/podnet"),
            delegate: None,
            agent: None,
        };
        State::new(phase, vec!["netns".into()], Record::new(wish))
    }

    fn written(tail: &[u8]) -> Option<State> {
        let run = tempfile::tempdir().unwrap();
        let journals = Journals::new(run.path());
        let owner = Owner::new("demo", "eth0").unwrap();
        let mut journal = journals.open(&owner).unwrap();
        journal.write(state(Phase::Creating)).unwrap();
        journal.file.write_all(tail).unwrap();
        journals.peek(&owner).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// A line that a kill or a full disk cut short, or that is anything else, takes nothing away.
        #[test]
        fn the_last_whole_line_counts(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(written(&tail), Some(state(Phase::Creating)));
        }

        #[test]
        fn a_line_counts_only_when_it_is_whole(share in 0usize..100) {
            let line = serde_json::to_vec(&state(Phase::Ready)).unwrap();
            let cut = line.len() * share / 100;
            prop_assert_eq!(written(&line[..cut]), Some(state(Phase::Creating)));
            prop_assert_eq!(written(&line), Some(state(Phase::Ready)));
        }
    }

    #[test]
    fn who_works_on_it_keeps_others_out() {
        let run = tempfile::tempdir().unwrap();
        let (journals, owner) = (Journals::new(run.path()), Owner::new("demo", "eth0").unwrap());
        let journal = journals.open(&owner).unwrap();
        assert!(journals.try_open(&owner).unwrap().is_none() && journals.in_flight(&owner).unwrap());
        drop(journal);
        assert!(!journals.in_flight(&owner).unwrap());
        journals.try_open(&owner).unwrap().unwrap().remove().unwrap();
        assert_eq!(journals.owners().unwrap(), []);
    }
}
