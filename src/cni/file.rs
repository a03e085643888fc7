//! Files that others write and read too: nothing of them is trusted, and nobody sees half of one of ours.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::libc::O_NONBLOCK;

/// More than any configuration or result needs.
const LONGEST: u64 = 4 << 20;

/// Reads a file whole. A FIFO in its place does not hang, and a huge one is not taken in.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, LONGEST)
}

pub(super) fn read_at_most(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {longest} bytes")));
    }
    Ok(bytes)
}

/// Writes a file whole or not at all, through `staged` on the same filesystem.
pub(super) fn write(staged: &Path, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let write = || {
        remove(staged)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(staged, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(staged)))?;
    sync_directory(path)
}

/// Makes the name of a file last.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

pub(super) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Removes a file; one that is gone is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
