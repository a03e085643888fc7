//! On a terminal: asking which workload is meant, and a shell whose keys and status are its own.

use std::process::Command;

use nix::sys::wait::WaitStatus;
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::node::alone;
use crate::resident::{PODNET, Resident};
use crate::support::prerequisite;

/// `podnet exec -- COMMAND` beside two processes.
fn beside_two(words: &[&str]) -> PtySession {
    let mut command = alone(&["alpha", "beta"]).command();
    command.args(["exec", "--runtime", "none", "--"]).args(words);
    on_terminal(command)
}

fn on_terminal(mut command: Command) -> PtySession {
    command.env("TERM", "xterm").env("SHELL", "/bin/sh").env("PS1", "ready> ").env("LC_ALL", "C.UTF-8");
    let options = Options::new().timeout_ms(Some(30_000)).strip_ansi_escape_codes(true);
    let mut pty = spawn_with_options(command, options).unwrap();
    pty.process_mut().set_kill_timeout(Some(100));
    pty
}

fn status(pty: &PtySession) -> i32 {
    match pty.process().wait().unwrap() {
        WaitStatus::Exited(_, status) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn letters_find_one_of_several() {
    if !prerequisite::root_and(&["ip", "unshare"]) {
        return;
    }
    let mut pty = beside_two(&["ls", "-1", "/sys/class/net"]);
    pty.exp_string("Run it in").unwrap();
    pty.exp_string("beta").unwrap();
    pty.send("bet\r").unwrap();
    pty.flush().unwrap();
    let shown = pty.exp_eof().unwrap();
    let names: Vec<&str> = shown.lines().map(str::trim).collect();
    assert!(names.contains(&"beta") && !names.contains(&"alpha"), "{shown}");
    assert_eq!(status(&pty), 0);
}

#[test]
fn giving_up_runs_nothing() {
    if !prerequisite::root_and(&["ip", "unshare"]) {
        return;
    }
    let mut pty = beside_two(&["echo", "it", "ran"]);
    pty.exp_string("beta").unwrap();
    pty.send_control('c').unwrap();
    let shown = pty.exp_eof().unwrap();
    assert!(shown.contains("given up") && !shown.contains("it ran"), "{shown}");
    assert_eq!(status(&pty), 1);
}

#[test]
fn without_a_command_a_shell_is_started_and_keys_are_its_own() {
    let Some(resident) = Resident::start() else { return };
    let mut podnet = Command::new(PODNET);
    podnet.args(["exec", &resident.pid()]);
    let mut pty = on_terminal(podnet);
    pty.exp_string("ready> ").unwrap();
    pty.send_line("echo now''; sleep 100").unwrap();
    pty.exp_string("now").unwrap();
    // It may not be asleep yet; the shell would take the key then, and show its prompt as well.
    pty.send_control('c').unwrap();
    pty.exp_string("ready> ").unwrap();
    pty.send_line("ls /sys/class/net; exit 7").unwrap();
    let shown = pty.exp_eof().unwrap();
    assert!(shown.contains("inside0"), "{shown}");
    assert_eq!(status(&pty), 7, "{shown}");
}
