//! Processes that live in namespaces of their own for as long as a test looks at them.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::shell::wait_for;

/// A process that stays until it is dropped.
pub struct Resident {
    child: Child,
}

impl Resident {
    /// Runs a command that ends in `exec sleep infinity`, and waits until it got there.
    pub fn start(program: &str, args: &[&str]) -> Self {
        Self::until(program, args, |pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "sleep\n")
    }

    /// Runs a command, and waits until it is so far.
    pub fn until(program: &str, args: &[&str], is_there: impl Fn(u32) -> bool) -> Self {
        let child = Command::new(program).args(args).stdin(Stdio::null()).spawn().unwrap();
        let resident = Self { child };
        let there = || is_there(resident.pid()).then_some(());
        wait_for(&format!("{program} {args:?} to be there"), Duration::from_secs(10), there);
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
