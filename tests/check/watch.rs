//! `podnet check --watch`: a node is broken and mended under its eyes.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::node::{Kind, Node};
use crate::support::schema;
use crate::support::shell::wait_for;

/// Far longer than a few looks take, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(node: &Node, more: &[&str]) -> Self {
        let words = ["check", "--grace", "0", "--watch", "0.2"];
        let mut command = node.machine.command(env!("CARGO_BIN_EXE_podnet"));
        let mut child = command.args(words).args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout: ChildStdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// The podnet in the machine: nsenter goes on as its child's parent.
    fn pid(&self) -> u32 {
        let pid = self.child.id();
        let child = || {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            children.split_whitespace().next()?.parse().ok()
        };
        wait_for("podnet to run", PATIENCE, child)
    }

    /// Its status after a signal.
    fn end(mut self, signal: Signal) -> (i32, Vec<String>) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
        let status = self.child.wait().unwrap().code().unwrap();
        (status, self.lines.iter().collect())
    }
}

#[test]
fn what_breaks_appears_and_what_is_mended_goes() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    let watching = Watching::start(&node, &["-o", "json"]);
    let change = |change: &str| {
        let document: Value = serde_json::from_str(&watching.next()).unwrap();
        schema::check(&document);
        assert_eq!((&document["kind"], &document["change"]), (&"CheckChange".into(), &change.into()), "{document}");
        assert_eq!(document["finding"]["code"], "PN-ROUTE-002", "{document}");
    };
    node.run("pod ip route del default");
    change("appeared");
    node.run("restore");
    change("went");
    node.run("pod ip route del default");
    change("appeared");
    assert_eq!(watching.end(Signal::SIGINT), (6, Vec::new()), "the status of the last look, and nothing more");
}

#[test]
fn a_line_each_for_people_and_the_status_of_the_last_look() {
    let Some(node) = Node::new(Kind::Ptp) else { return };
    node.run("pod ip route del default");
    let watching = Watching::start(&node, &["--rule", "PN-ROUTE-002"]);
    let line = watching.next();
    assert!(line.contains("Z + error PN-ROUTE-002 ") && line.contains("no default route"), "{line}");
    node.run("restore");
    let line = watching.next();
    assert!(line.contains("Z - error PN-ROUTE-002 "), "{line}");
    assert_eq!(watching.end(Signal::SIGTERM), (0, Vec::new()));
}

#[test]
fn a_document_of_a_yaml_stream_each() {
    let Some(node) = Node::new(Kind::Ptp) else { return };
    node.run("pod ip route del default");
    let watching = Watching::start(&node, &["--rule", "PN-ROUTE-002", "-o", "yaml"]);
    let until = |last: &str| while watching.next() != last {};
    until("change: appeared");
    node.run("restore");
    until("---");
    until("change: went");
    assert_eq!(watching.end(Signal::SIGTERM).0, 0);
}

#[test]
fn it_ends_when_nobody_reads_any_more() {
    let Some(node) = Node::new(Kind::Routed) else { return };
    let mut command = node.machine.command(env!("CARGO_BIN_EXE_podnet"));
    let mut child =
        command.args(["check", "--watch", "0.2"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    wait_for("it to end", PATIENCE, || child.try_wait().unwrap());
}

#[test]
fn what_does_not_go_with_it_is_refused() {
    let Some(node) = Node::new(Kind::Host) else { return };
    for words in [vec!["--list"], vec!["--from", "x"]] {
        assert_eq!(node.machine.podnet(&[&["check", "--watch", "1"], &words[..]].concat()).status, 2, "{words:?}");
    }
    assert_eq!(node.machine.podnet(&["check", "--watch", "0"]).status, 2);
}
