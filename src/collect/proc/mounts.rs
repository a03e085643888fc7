//! Namespaces that are mounted somewhere: `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::process::inode_in;
use crate::model::netns::Inode;

/// A netns bind-mounted at a path of one mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetnsMount {
    pub inode: Inode,
    pub path: PathBuf,
}

/// The netns mounts in the mount namespace of `process` (a PID, or `self`).
pub fn mounted_netns(root: &Path, process: &str) -> Vec<NetnsMount> {
    let table = fs::read(root.join(process).join("mountinfo")).unwrap_or_default();
    table.split(|byte| *byte == b'\n').filter_map(parse).collect()
}

/// `36 35 0:4 net:[4026532281] /run/netns/x rw shared:1 - nsfs nsfs rw`.
fn parse(line: &[u8]) -> Option<NetnsMount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = std::str::from_utf8(fields.nth(3)?).ok()?;
    let inode = inode_in(root, "net")?;
    let path = PathBuf::from(OsString::from_vec(unescape(fields.next()?)));
    Some(NetnsMount { inode, path })
}

/// Space, tab, newline and backslash stand as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..3).filter(|_| first == b'\\').and_then(octal);
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_netns_mount_and_nothing_else() {
        let line = br"36 35 0:4 net:[4026532281] /run/netns/a\040b\134 rw shared:1 - nsfs nsfs rw";
        assert_eq!(parse(line), Some(NetnsMount { inode: 4026532281, path: r"/run/netns/a b\".into() }));
        for other in ["22 28 0:20 / /sys rw - sysfs sysfs rw", "36 35 0:4 mnt:[1] /x rw - nsfs nsfs rw", "", "1 2 3"] {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
    }
}
