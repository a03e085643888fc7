//! Files that the kernel writes.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::path::Arg;

/// Text whose writer promises no encoding: what is no UTF-8 shows as U+FFFD. Nearly all of it is, which the standard
/// library finds out faster when it is not to mend anything.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// A file that the kernel writes in one piece (`single_open`, sysctls): a read that leaves room has it whole. Half the
/// calls of `fs::read`, which asks for a size first and for the end last.
pub fn contents(folder: impl AsFd, name: impl Arg) -> io::Result<Vec<u8>> {
    let file = openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = vec![0; 1024];
    let mut length = 0;
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        length += rustix::io::read(&file, room)?;
        if length < bytes.len() {
            break;
        }
        bytes.resize(2 * length, 0);
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// As [`contents`], for what is read and not kept: there are two such files for each process of a node.
pub fn read_contents<T>(
    folder: impl AsFd + Copy,
    name: impl Arg + Copy,
    take: impl FnOnce(&[u8]) -> T,
) -> io::Result<T> {
    let file = openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut room = [0; 2048];
    let length = rustix::io::read(&file, &mut room)?;
    match room.get(..length).filter(|_| length < room.len()) {
        Some(whole) => Ok(take(whole)),
        None => contents(folder, name).map(|bytes| take(&bytes)),
    }
}

/// A file that the kernel writes piece by piece, as mount tables: with room from the start, where `fs::read` begins with
/// 32 bytes, as such a file has no size.
pub fn long_contents(path: impl Arg) -> io::Result<Vec<u8>> {
    const ROOM: usize = 32 * 1024;
    /// A read brings no more than a page, but for a line that is longer (`seq_read_iter`, fs/seq_file.c).
    const PIECE: usize = 4096;
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::new();
    loop {
        if bytes.capacity() - bytes.len() < PIECE {
            bytes.reserve(ROOM);
        }
        // What is not written to is not touched, either.
        if rustix::io::read(&file, spare_capacity(&mut bytes))? == 0 {
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_several_reads_comes_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for length in [0, 1, 4096, 32 * 1024, 100_003] {
            let written: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            std::fs::write(file.path(), &written).unwrap();
            assert!(long_contents(file.path()).unwrap() == written, "{length}");
        }
    }
}
