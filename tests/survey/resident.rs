//! Processes that live in namespaces of their own for as long as a test looks at them.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::shell::wait_for;

/// A process that sleeps until it is dropped.
pub struct Resident {
    child: Child,
}

impl Resident {
    /// Runs a command that ends in `exec sleep infinity`, and waits until it got there.
    pub fn start(program: &str, args: &[&str]) -> Self {
        let child = Command::new(program).args(args).stdin(Stdio::null()).spawn().unwrap();
        let resident = Self { child };
        wait_for(&format!("{program} {args:?} to sleep"), Duration::from_secs(10), || {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", resident.pid())).unwrap();
            (name == "sleep\n").then_some(())
        });
        resident
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
