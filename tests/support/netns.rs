//! Network namespaces of a test's own, and `ip` inside them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use podnet::model::netns::Inode;
use podnet::netns::Handle;

use super::shell;

/// A namespace that nothing holds but this value: no process lives in it, nothing is mounted.
/// It ends, with all that is in it, when dropped.
pub struct TestNetns {
    handle: Handle,
}

impl TestNetns {
    /// Made by a thread that ends in it.
    pub fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            Handle::own().unwrap()
        };
        Self { handle: std::thread::spawn(make).join().unwrap() }
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    pub fn inode(&self) -> Inode {
        self.handle.inode()
    }

    /// As `ip … netns PATH` takes it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_fd().as_raw_fd())
    }

    /// Runs `ip` inside with these words; panics with what it says when it fails.
    pub fn ip(&self, words: &str) {
        self.ip_all([words]);
    }

    /// Runs several `ip` commands inside, in one process.
    pub fn ip_all<'a>(&self, commands: impl IntoIterator<Item = &'a str>) {
        let mut batch = String::new();
        commands.into_iter().for_each(|words| writeln!(batch, "{words}").unwrap());
        let ip = || Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = self.handle.run(ip).unwrap().unwrap();
        child.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{batch}{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What `ip -j -d WORDS` prints inside.
    pub fn ip_json(&self, words: &str) -> serde_json::Value {
        let args: Vec<&str> = ["-j", "-d"].into_iter().chain(words.split_whitespace()).collect();
        self.handle.run(|| shell::json("ip", &args)).unwrap()
    }
}
