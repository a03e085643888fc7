//! Namespaces that are mounted somewhere: `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::nsfs::inode_in;
use crate::collect::contents::long_contents;
use crate::model::netns::Inode;

/// A netns bind-mounted at a path of one mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetnsMount {
    pub inode: Inode,
    pub path: PathBuf,
}

/// How the root of a netns mount begins.
const NETNS: &[u8] = b" net:[";

/// What is mounted in one mount namespace, as the kernel lists it.
#[derive(Debug, Default)]
pub struct MountTable(Vec<u8>);

impl MountTable {
    /// Of `process`: a PID, or `self`.
    pub fn read(root: &Path, process: &str) -> Self {
        Self(long_contents(root.join(process).join("mountinfo")).unwrap_or_default())
    }

    /// The netns mounts, but for those that another mount hides.
    pub fn netns(&self) -> Vec<NetnsMount> {
        if !self.0.windows(NETNS.len()).any(|part| part == NETNS) {
            return Vec::new();
        }
        let mounts: Vec<Mount> = self.lines().filter_map(parse).collect();
        let by_id: HashMap<u32, &Mount> = mounts.iter().map(|mount| (mount.id, mount)).collect();
        // A netns is a file: it covers nothing.
        let folders: Vec<&Mount> = mounts.iter().filter(|mount| mount.inode.is_none()).collect();
        let netns = |mount: &Mount| {
            let found = NetnsMount { inode: mount.inode?, path: mount.path.clone() };
            (!is_hidden(mount, &folders, &by_id)).then_some(found)
        };
        mounts.iter().filter_map(netns).collect()
    }

    /// Where a file system of that type is mounted.
    pub fn of_type(&self, kind: &str) -> Vec<PathBuf> {
        let place = |line: &[u8]| {
            let mut fields = line.split(|byte| *byte == b' ');
            let path = fields.nth(4)?;
            // Optional fields end with a hyphen; the type follows.
            let found = fields.skip_while(|field| *field != b"-").nth(1)?;
            (found == kind.as_bytes()).then(|| PathBuf::from(OsString::from_vec(unescape(path))))
        };
        self.lines().filter_map(place).collect()
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'\n')
    }
}

/// The netns mounts in the mount namespace of a process. Most have none, as its `mounts` tells already, which the kernel
/// writes in half the time; which they are is told by `mountinfo` alone.
pub fn netns_mounts(root: &Path, pid: u32) -> Vec<NetnsMount> {
    const OF_NAMESPACES: &[u8] = b" nsfs ";
    let process = pid.to_string();
    let mounts = long_contents(root.join(&process).join("mounts")).unwrap_or_default();
    let has_any = mounts.windows(OF_NAMESPACES.len()).any(|part| part == OF_NAMESPACES);
    if has_any { MountTable::read(root, &process).netns() } else { Vec::new() }
}

struct Mount {
    id: u32,
    parent: u32,
    path: PathBuf,
    /// Of a netns.
    inode: Option<Inode>,
}

/// Whether the way to a mount ends at another one before: in the mount that it, or one of those it lies in, is
/// mounted on, another is mounted further up the path.
fn is_hidden(mount: &Mount, folders: &[&Mount], by_id: &HashMap<u32, &Mount>) -> bool {
    let (mut below, mut steps) = (mount, 0);
    while let Some(above) = by_id.get(&below.parent).filter(|_| steps < by_id.len()) {
        let first = |other: &&&Mount| {
            other.parent == above.id && other.path != below.path && below.path.starts_with(&other.path)
        };
        if folders.iter().any(|other| first(&other)) {
            return true;
        }
        (below, steps) = (above, steps + 1);
    }
    false
}

/// `36 35 0:4 net:[4026532281] /run/netns/x rw shared:1 - nsfs nsfs rw`.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mut text = || fields.next().and_then(|field| std::str::from_utf8(field).ok());
    let (id, parent) = (text()?.parse().ok()?, text()?.parse().ok()?);
    let inode = fields.nth(1).and_then(|root| inode_in(std::str::from_utf8(root).ok()?, "net"));
    let path = PathBuf::from(OsString::from_vec(unescape(fields.next()?)));
    Some(Mount { id, parent, path, inode })
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

    fn found(table: &str) -> Vec<NetnsMount> {
        MountTable(table.as_bytes().to_vec()).netns()
    }

    #[test]
    fn finds_a_file_system_by_its_type() {
        let table = "31 28 0:29 / /sys/fs/bpf rw shared:9 master:1 - bpf bpf rw,mode=700\n32 28 0:30 / /bpf rw - tmpfs bpf rw\n\n1 2\n";
        assert_eq!(MountTable(table.as_bytes().to_vec()).of_type("bpf"), [PathBuf::from("/sys/fs/bpf")]);
    }

    #[test]
    fn reads_a_netns_mount_and_nothing_else() {
        let line = r"36 35 0:4 net:[4026532281] /run/netns/a\040b\134 rw shared:1 - nsfs nsfs rw";
        assert_eq!(found(line), [NetnsMount { inode: 4026532281, path: r"/run/netns/a b\".into() }]);
        for other in ["22 28 0:20 / /sys rw - sysfs sysfs rw", "36 35 0:4 mnt:[1] /x rw - nsfs nsfs rw", "", "1 2 3"] {
            assert_eq!(found(other), [], "{other}");
        }
    }

    #[test]
    fn a_mount_that_is_mounted_over_leads_nowhere() {
        let netns = "36 30 0:4 net:[7] /run/netns/x rw - nsfs nsfs rw\n";
        let below = "28 1 8:1 / / rw - ext4 vda rw\n30 28 0:30 / /run rw - tmpfs tmpfs rw\n";
        assert_eq!(found(&format!("{below}{netns}")).len(), 1);
        for cover in ["40 30 0:40 / /run rw", "40 30 0:40 / /run/netns rw", "40 28 0:40 / / rw"] {
            assert_eq!(found(&format!("{below}{netns}{cover} - tmpfs tmpfs rw")), [], "{cover}");
        }
        let again = "40 28 0:40 / /run rw - tmpfs tmpfs rw\n41 40 0:4 net:[8] /run/netns/x rw - nsfs nsfs rw\n";
        let old = "28 1 8:1 / / rw - ext4 vda rw\n31 28 8:1 /run/netns /run/netns rw - ext4 vda rw\n36 31 0:4 net:[7] /run/netns/x rw - nsfs nsfs rw\n";
        assert_eq!(found(&format!("{old}{again}")), [NetnsMount { inode: 8, path: "/run/netns/x".into() }]);
        for beside in ["40 28 0:40 / /sys rw", "40 30 0:40 / /run/lock rw", "40 30 0:40 / /run/net rw"] {
            assert_eq!(found(&format!("{below}{netns}{beside} - tmpfs tmpfs rw")).len(), 1, "{beside}");
        }
    }
}
