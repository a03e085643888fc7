//! Switches below `/proc/sys/net`, which shows those of the netns of whoever opens it.

use std::fs;
use std::io;
use std::path::Path;

use crate::flow::error::Error;

const ROOT: &str = "/proc/sys/net";

/// Sets a switch, such as `ipv4/ip_forward`, of the calling thread's netns; `false` when it stood so already.
pub fn set(name: &str, value: &str) -> Result<bool, Error> {
    let path = Path::new(ROOT).join(name);
    let failed = |source| Error::Sysctl { path: path.display().to_string(), source };
    if get(name).as_deref() == Some(value) {
        return Ok(false);
    }
    fs::write(&path, value).map_err(failed)?;
    Ok(true)
}

/// As [`set`], where the kernel has that switch.
pub fn set_if_there(name: &str, value: &str) -> Result<bool, Error> {
    match set(name, value) {
        Err(Error::Sysctl { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result,
    }
}

/// The value as text; `None` where the kernel has no such switch.
pub fn get(name: &str) -> Option<String> {
    fs::read_to_string(Path::new(ROOT).join(name)).ok().map(|text| text.trim().to_owned())
}

/// Whether the calling thread's netns knows IPv6 at all.
pub fn has_ipv6() -> bool {
    Path::new(ROOT).join("ipv6").exists()
}
