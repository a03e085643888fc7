//! The lock of a directory, taken as host-local takes it: flock(2) on the file `lock` in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::error::Error;

/// A holder needs milliseconds. One that is stopped must not stop everyone else without a word.
const PATIENCE: Duration = Duration::from_secs(30);

/// Held until it is dropped; the kernel drops it for a process that dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file is what unlocks")] File);

impl Lock {
    /// Locks a directory, which is made where it is missing.
    pub fn take(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("lock");
        loop {
            fs::create_dir_all(directory).map_err(|source| Error::Write { path: directory.to_owned(), source })?;
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = match opened {
                Ok(file) => wait(file, &path)?,
                // The pool was removed between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(Error::Write { path, source }),
            };
            let links = file.metadata().map_err(|source| Error::Read { path: path.clone(), source })?.nlink();
            // Locking a file that has lost its name would keep nobody else out.
            if links > 0 {
                return Ok(Self(file));
            }
        }
    }
}

pub(super) fn wait(file: File, path: &Path) -> Result<File, Error> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => wait_on_thread(file, path.to_owned()),
        Err(TryLockError::Error(source)) => Err(Error::Lock { path: path.to_owned(), source }),
    }
}

/// flock(2) knows no deadline, so another thread waits; it is left behind when the time is up.
fn wait_on_thread(file: File, path: PathBuf) -> Result<File, Error> {
    let (sender, receiver) = mpsc::channel();
    let locked = move || {
        let _ = sender.send(file.lock().map(|()| file));
    };
    let failed = |source| Error::Lock { path: path.clone(), source };
    std::thread::Builder::new().name("flock".to_owned()).spawn(locked).map_err(failed)?;
    match receiver.recv_timeout(PATIENCE) {
        Ok(locked) => locked.map_err(failed),
        Err(_) => Err(Error::Locked { path, seconds: PATIENCE.as_secs() }),
    }
}
