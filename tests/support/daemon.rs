//! A daemon that the test started, and that ends with it.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::scratch::Scratch;

const READY: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);

pub struct Daemon {
    argv: Vec<String>,
    log: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts `argv` with its output in `<scratch>/<program>.log` and waits until `ready`; panics
    /// with the log if it ends before, or takes a minute.
    pub fn start(scratch: &Scratch, argv: Vec<String>, ready: impl Fn() -> bool) -> Self {
        let program = Path::new(&argv[0]).file_name().unwrap().to_str().unwrap();
        let log = scratch.join(&format!("{program}.log"));
        let child = spawn(&argv, &log);
        let mut daemon = Self { argv, log, child };
        daemon.wait_until(ready);
        daemon
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.raw_pid(), signal).unwrap();
    }

    /// SIGKILL: what it ran goes on without it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Running and not stopped, as cleaning up through it needs; starts it again if it was killed.
    pub fn revive(&mut self, ready: impl Fn() -> bool) {
        if self.has_ended() {
            self.child = spawn(&self.argv, &self.log);
        } else {
            self.signal(Signal::SIGCONT);
        }
        self.wait_until(ready);
    }

    fn wait_until(&mut self, ready: impl Fn() -> bool) {
        let begin = Instant::now();
        while !ready() {
            if self.has_ended() || begin.elapsed() > READY {
                panic!("{} is not ready\n{}", self.argv.join(" "), self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The end of what it logged.
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.argv.join(" "), self.log());
        }
        if self.has_ended() {
            return;
        }
        let _ = kill(self.raw_pid(), Signal::SIGCONT);
        let _ = kill(self.raw_pid(), Signal::SIGTERM);
        let begin = Instant::now();
        while !self.has_ended() && begin.elapsed() < STOP {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(argv: &[String], log: &Path) -> Child {
    let log: File = OpenOptions::new().create(true).append(true).open(log).unwrap();
    Command::new(&argv[0])
        .args(&argv[1..])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{argv:?}: {error}"))
}
