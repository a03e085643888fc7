//! One directory for all that a daemon keeps.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A directory with a short path (a unix socket's has at most 107 bytes). Dropping it ends the
/// processes that were started on it, unmounts what is mounted below it and removes it.
pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("podnet-").tempdir_in("/tmp").unwrap();
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// As text, for command lines.
    pub fn text(&self, name: &str) -> String {
        self.join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let file = self.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        file
    }

    /// Shims and monitors outlive their daemon; the scratch path on their command line makes them ours.
    fn end_processes(&self) {
        let ours = format!("{}/", self.path().display());
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if pid != std::process::id() as i32 && String::from_utf8_lossy(&cmdline).contains(&ours) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    fn unmount(&self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for target in mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
            let target = target.replace(r"\040", " ");
            if Path::new(&target).starts_with(self.path()) {
                let _ = umount2(target.as_str(), MntFlags::MNT_DETACH);
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.end_processes();
        self.unmount();
    }
}

/// For `Drop`: a failing clean-up fails the test, unless it fails already (a second panic would abort
/// all tests of the binary).
pub fn clean_up(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work))
        && !std::thread::panicking()
    {
        resume_unwind(panic);
    }
}
