//! Named network namespaces: a bind mount, as `ip netns` makes it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Makes a netns and mounts it at `path`, which must not exist. Its directory is shared with other mount
/// namespaces, so that an unmount reaches copies of the mount there (ip-netns(8)).
pub fn create(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        share(directory)?;
    }
    File::create_new(path)?;
    let outcome = std::thread::scope(|scope| scope.spawn(|| born_at(path)).join());
    let outcome = outcome.unwrap_or_else(|_| Err(io::Error::other("the thread that made it died")));
    if outcome.is_err() {
        let _ = fs::remove_file(path);
    }
    outcome
}

/// The calling thread ends in the new netns.
fn born_at(path: &Path) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    Ok(mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
}

/// Mounts a directory onto itself, once, so that it can be shared.
fn share(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let shared = || mount(None::<&str>, directory, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>);
    if shared().is_ok() {
        return Ok(());
    }
    mount(Some(directory), directory, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
    Ok(shared()?)
}

/// Unmounts the netns at `path` and removes the name; `false` when it was gone already.
pub fn remove(path: &Path) -> io::Result<bool> {
    match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the path is a name that was made for a mount that never came, or has gone: an empty file.
pub fn is_bare(path: &Path) -> bool {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_PATH).open(path);
    let metadata = opened.and_then(|file| file.metadata());
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}
