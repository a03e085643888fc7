//! A process to run beside, in a netns of its own.

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::prerequisite;
use crate::support::shell::wait_for;

pub const PODNET: &str = env!("CARGO_BIN_EXE_podnet");

/// A process in a netns of its own, in which a veth pair has names that no host has.
pub struct Resident(Child);

impl Resident {
    /// None, having said why, where it cannot be made.
    pub fn start() -> Option<Self> {
        if !prerequisite::root_and(&["unshare", "ip"]) {
            return None;
        }
        let script = "ip link add inside0 type veth peer name inside1 && exec sleep 300";
        let unshare = ["--net", "--mount", "sh", "-c", script];
        let resident = Self(Command::new("unshare").args(unshare).stdin(Stdio::null()).spawn().unwrap());
        wait_for("a process to sleep in its netns", Duration::from_secs(30), || {
            let name = fs::read_to_string(format!("/proc/{}/comm", resident.pid())).unwrap();
            (name == "sleep\n").then_some(())
        });
        Some(resident)
    }

    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }

    pub fn exec(&self, arguments: &[&str]) -> Output {
        podnet(&[&["exec", &self.pid()], arguments].concat())
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn podnet(arguments: &[&str]) -> Output {
    Command::new(PODNET).args(arguments).env_remove("PODNET_TARGET").stdin(Stdio::null()).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
