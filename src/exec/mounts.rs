//! The command's own view of `/sys` and of the resolver's files.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use super::Error;

/// The texts to show at `/etc/resolv.conf` and `/etc/hosts`.
#[derive(Clone, Debug, Default)]
pub struct NameFiles {
    pub resolv_conf: Option<Vec<u8>>,
    pub hosts: Option<Vec<u8>>,
}

const SYS: &str = "/sys";
const QUIET: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// A mount namespace whose changes nobody else sees (`MS_SLAVE`: the host's still arrive here).
pub fn separate() -> Result<(), Error> {
    let failed = |errno: nix::Error| Error::MountNamespace { source: errno.into() };
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
    mount_on(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_SLAVE).map_err(failed)
}

/// A sysfs shows the devices of the netns that mounted it. What is mounted below the old one (cgroups,
/// bpffs, debugfs) is put back in its place; `ip netns exec` loses it.
pub fn show_devices() -> Result<(), Error> {
    let failed = |source| Error::Show { what: "the devices of the netns under /sys", source };
    let below: Vec<(PathBuf, File)> = mounts_below(Path::new(SYS)).into_iter().filter_map(opened).collect();
    mount_on(Some(Path::new("sysfs")), Path::new(SYS), Some("sysfs"), QUIET).map_err(|errno| failed(errno.into()))?;
    for (place, old) in below {
        let old = descriptor(&old);
        // A directory that the new sysfs does not have (debugfs, in a user namespace) stays away.
        let _ = mount_on(Some(&old), &place, None, MsFlags::MS_BIND | MsFlags::MS_REC);
    }
    Ok(())
}

/// Puts the texts over the host's files. They live on a tmpfs that is stacked on `/mnt` just long
/// enough to take them from it, so no file is ever made on the node.
pub fn show_names(names: &NameFiles) -> Result<(), Error> {
    let what = "the container's resolv.conf and hosts";
    let failed = |source| Error::Show { what, source };
    let stage = Path::new("/mnt");
    mount_on(Some(Path::new("podnet")), stage, Some("tmpfs"), QUIET).map_err(|errno| failed(errno.into()))?;
    let files = [("resolv.conf", &names.resolv_conf), ("hosts", &names.hosts)];
    for (name, text) in files {
        let Some(text) = text else { continue };
        let staged = stage.join(name);
        fs::write(&staged, text).map_err(failed)?;
        mount_on(Some(&staged), &Path::new("/etc").join(name), None, MsFlags::MS_BIND)
            .map_err(|errno| failed(errno.into()))?;
    }
    nix::mount::umount2(stage, nix::mount::MntFlags::MNT_DETACH).map_err(|errno| failed(errno.into()))
}

fn mount_on(source: Option<&Path>, place: &Path, kind: Option<&str>, flags: MsFlags) -> nix::Result<()> {
    mount(source, place, kind, flags, None::<&str>)
}

fn opened(place: PathBuf) -> Option<(PathBuf, File)> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let fd = nix::fcntl::open(&place, flags, Mode::empty()).ok()?;
    Some((place, File::from(fd)))
}

fn descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Mount points directly below `root`, without those that lie below another of them: a recursive
/// bind brings these along.
fn mounts_below(root: &Path) -> Vec<PathBuf> {
    // With room from the start: the kernel writes a page at each call, and little into a little room.
    let mut table = String::with_capacity(64 * 1024);
    let _ = File::open("/proc/self/mountinfo").and_then(|mut file| file.read_to_string(&mut table));
    topmost(table.lines().filter_map(|line| line.split(' ').nth(4)), root)
}

fn topmost<'a>(points: impl Iterator<Item = &'a str>, root: &Path) -> Vec<PathBuf> {
    let mut below: Vec<PathBuf> = points.map(PathBuf::from).filter(|p| p.starts_with(root) && p != root).collect();
    below.sort();
    below.dedup();
    let all = below.clone();
    below.retain(|point| !all.iter().any(|other| other != point && point.starts_with(other)));
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_topmost_mounts_only() {
        let points = ["/", "/sys", "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/bpf", "/system"];
        let found = topmost(points.into_iter(), Path::new("/sys"));
        assert_eq!(found, [PathBuf::from("/sys/fs/bpf"), "/sys/fs/cgroup".into()]);
    }
}
