//! Writing one file, where nothing is led elsewhere by a link.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;

/// A name that somebody can type again.
pub fn name(name: &str) -> Result<PathBuf, String> {
    let plain = !name.trim().is_empty() && !name.contains(char::is_control);
    if plain { Ok(name.into()) } else { Err("a file's name, without control characters".to_owned()) }
}

/// For its owner alone, from the first byte on. What was begun and not finished is removed.
pub fn write(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(O_NOFOLLOW);
    let mut file: File = match replace {
        true => options.create(true).truncate(false).open(path)?,
        false => options.create_new(true).open(path)?,
    };
    let written = file
        .set_permissions(PermissionsExt::from_mode(0o600))
        .and_then(|()| file.set_len(0))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all());
    if written.is_err() && !replace {
        let _ = std::fs::remove_file(path);
    }
    written
}
