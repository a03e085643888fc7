//! Many network namespaces, each with a process and a pair to the host.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::facts;
use crate::support::shell::wait_for;

pub struct Crowd {
    processes: Vec<Child>,
}

impl Crowd {
    pub fn new(size: usize) -> Self {
        let crowd = Self { processes: (0..size).map(|_| sleeper()).collect() };
        let host = facts::inode("/proc/self/ns/net");
        let mut links = String::new();
        for process in &crowd.processes {
            let pid = process.id();
            wait_for("a namespace", Duration::from_secs(10), || (facts::netns(pid) != host).then_some(()));
            links += &format!("link add pnt-b{pid} type veth peer name eth0 netns {pid}\n");
        }
        batch(&["ip"], &links);
        for (number, process) in crowd.processes.iter().enumerate() {
            let pid = process.id().to_string();
            let (third, fourth) = (number / 250, number % 250 + 1);
            let lines = format!("addr add 10.214.{third}.{fourth}/32 dev eth0\nlink set eth0 up\n");
            batch(&["nsenter", "-t", &pid, "-n", "ip"], &lines);
        }
        crowd
    }

    pub fn pids(&self) -> Vec<String> {
        self.processes.iter().map(|process| process.id().to_string()).collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Dies with the benchmark, whatever happens to that; its namespace and pair go with it.
fn sleeper() -> Child {
    let words = ["--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"];
    Command::new("setpriv").args(words).spawn().unwrap()
}

fn batch(ip: &[&str], lines: &str) {
    let mut child = Command::new(ip[0]).args(&ip[1..]).args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
