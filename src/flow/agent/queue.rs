//! The agent's deletion queue: what it is to delete when it is back. The files are those that the real plugin writes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::flow::error::Error;

/// More than that and something is wrong with the agent, not with one pod.
const MOST: usize = 256;
/// The agent holds the lock while it works the queue off, until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
const DIRECTORY: &str = "deleteQueue";

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Batch<'a> {
    container_id: &'a str,
}

/// Queues the deletion of all endpoints of a container, or of one interface's where it has `others`. Gives the file;
/// None when the agent came back while its lock was waited for, as `is_back` tells.
pub fn add(
    run: &Path,
    container_id: &str,
    ifname: &str,
    others: bool,
    is_back: impl Fn() -> bool,
) -> Result<Option<PathBuf>, Error> {
    let directory = run.join(DIRECTORY);
    let failed = |source| Error::Queue { path: directory.clone(), source };
    let content = if others {
        format!("cni-attachment-id:{container_id}:{ifname}")
    } else {
        serde_json::to_string(&Batch { container_id }).map_err(|error| failed(error.into()))?
    };
    match DirBuilder::new().mode(0o755).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let Some(_lock) = lock(&directory.join("lockfile"), is_back).map_err(failed)? else { return Ok(None) };
    let entries = fs::read_dir(&directory).map_err(failed)?;
    let queued = entries.flatten().filter(|entry| entry.path().extension().is_some_and(|kind| kind == "delete"));
    if queued.count() > MOST {
        return Err(Error::QueueFull { path: directory, most: MOST });
    }
    let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = directory.join(format!("{digest}.delete"));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&path);
    let written = file.and_then(|mut file| file.write_all(content.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(failed)?;
    Ok(Some(path))
}

/// Shared: plugins do not keep each other waiting, the agent keeps them all.
fn lock(path: &Path, is_back: impl Fn() -> bool) -> io::Result<Option<Flock<File>>> {
    let deadline = Instant::now() + PATIENCE;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path)?;
    loop {
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((back, Errno::EWOULDBLOCK)) if Instant::now() < deadline => {
                if is_back() {
                    return Ok(None);
                }
                file = back;
                std::thread::sleep(PAUSE);
            }
            Err((_, errno)) => return Err(errno.into()),
        }
    }
}
