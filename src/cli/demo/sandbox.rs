//! The demo's own world: its own network, mounts and processes, and its own users where it is not root.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use crate::cli::Error;
use crate::collect::kernel::netlink::Netlink;
use crate::collect::proc::MountTable;
use crate::flow::journal::{DEFAULT_RUN, Journals};
use crate::flow::kernel::{link, masquerade};
use crate::ipam::Store;

/// Below the sandbox's own /run, which ends with it.
const STORE: &str = "/run/podnet-store";

/// Puts this process and its children into namespaces of their own; whether it is root, and needed none for users.
/// The process must have no other thread.
pub fn separate() -> Result<bool, Error> {
    let failed = |what: &'static str| move |source: io::Error| Error::Demo { what, source };
    let (user, group) = (geteuid(), getegid());
    if !user.is_root() {
        unshare(CloneFlags::CLONE_NEWUSER)
            .map_err(|errno| failed("make a user namespace (or run it as root)")(errno.into()))?;
        // A plain user may map himself alone, and only after giving up setgroups (user_namespaces(7)).
        let map = |file: &str, text: String| fs::write(format!("/proc/self/{file}"), text);
        map("setgroups", "deny".to_owned())
            .and_then(|()| map("uid_map", format!("0 {user} 1")))
            .and_then(|()| map("gid_map", format!("0 {group} 1")))
            .map_err(failed("become root in a user namespace"))?;
    }
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)
        .map_err(|errno| failed("make namespaces of its own")(errno.into()))?;
    Ok(user.is_root())
}

pub struct Sandbox {
    store: PathBuf,
}

impl Sandbox {
    /// Furnishes the namespaces that this process was started in.
    pub fn prepare() -> Result<Self, Error> {
        let failed = |what: &'static str| move |errno: nix::Error| Error::Demo { what, source: errno.into() };
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
            .map_err(failed("keep its mounts to itself"))?;
        mount_tmpfs(Path::new("/run")).map_err(failed("mount a /run of its own"))?;
        hide_others();
        // Where it is refused (a container that hides parts of /proc) the machine's own is shown, and does as well.
        let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), nothing);
        let mut netlink = netlink()?;
        if let Some(loopback) = link::find(&mut netlink, "lo")? {
            link::set_up(&mut netlink, loopback.ifindex)?;
        }
        Ok(Self { store: STORE.into() })
    }

    /// What leads the commands to the sandbox's own state.
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [("PODNET_ROOT", &self.store), ("PODNET_RUN", Path::new(DEFAULT_RUN))]
    }

    /// Of a pod, by its journal.
    pub fn addresses(&self, pod: &str) -> Result<Vec<IpAddr>, Error> {
        let owner = crate::cli::attachment::owner(pod, "eth0")?;
        let state = Journals::new(Path::new(DEFAULT_RUN)).peek(&owner)?;
        let leased = state.map(|state| state.record.addresses).unwrap_or_default();
        Ok(leased.into_iter().map(|leased| leased.address.addr()).collect())
    }

    /// What is there that was not at the start.
    pub fn leftovers(&self) -> Result<Vec<String>, Error> {
        let mut left = Vec::new();
        let entries = fs::read_dir("/proc/self/net").is_ok();
        let devices = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
        let names = devices.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim);
        left.extend(
            names.filter(|name| entries && *name != "lo" && !is_fallback(name)).map(|name| format!("link {name}")),
        );
        let named = fs::read_dir("/run/netns").into_iter().flatten().flatten();
        left.extend(named.map(|entry| format!("netns {}", entry.file_name().to_string_lossy())));
        let held = Store::open(&self.store).held()?;
        left.extend(held.iter().map(|held| format!("address {}", held.reservation.address)));
        left.extend(masquerade::list()?.iter().map(|element| format!("element {}", element.address)));
        let owners = Journals::new(Path::new(DEFAULT_RUN)).owners()?;
        left.extend(owners.iter().map(|owner| format!("journal of {owner}")));
        Ok(left)
    }
}

/// The machine's own namespaces that are mounted elsewhere than in /run are no part of the story. A plain user may not
/// unmount them (mount_namespaces(7), locked mounts), but cover the folder that they lie in.
fn hide_others() {
    for mount in MountTable::read(Path::new("/proc"), "self").netns() {
        if umount2(&mount.path, MntFlags::MNT_DETACH).is_err()
            && let Some(folder) = mount.path.parent().filter(|folder| folder.parent().is_some())
        {
            let _ = mount_tmpfs(folder); // then its line is seen in the list, and does no harm
        }
    }
}

fn mount_tmpfs(folder: &Path) -> nix::Result<()> {
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), None::<&str>)
}

/// Devices that the kernel puts into every new netns (`fb_tunnels_only_for_init_net`).
fn is_fallback(name: &str) -> bool {
    matches!(name, "tunl0" | "gre0" | "gretap0" | "erspan0" | "ip_vti0" | "ip6_vti0" | "sit0" | "ip6tnl0" | "ip6gre0")
}

fn netlink() -> Result<Netlink, Error> {
    Netlink::open(netlink_sys::protocols::NETLINK_ROUTE)
        .map_err(|source| crate::flow::Error::Kernel { what: "open a netlink socket".to_owned(), source }.into())
}
