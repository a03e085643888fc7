//! Named network namespaces, as `ip netns` makes them.

use std::sync::atomic::{AtomicU32, Ordering};

use super::facts;
use super::shell::run;

pub struct Namespace {
    pub name: String,
}

impl Namespace {
    pub fn new() -> Self {
        let name = unique();
        run("ip", &["netns", "add", &name]);
        Self { name }
    }

    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    pub fn inode(&self) -> u64 {
        facts::inode(self.path())
    }

    /// A pair with one end here, as `eth0`; the host's name of the other.
    pub fn veth_from_host(&self) -> String {
        let name = unique();
        run("ip", &["link", "add", &name, "type", "veth", "peer", "name", "eth0", "netns", &self.name]);
        name
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// Fits in an interface's name, too: 15 bytes.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("pnt{:x}-{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
