//! One command in several namespaces, side by side.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::node::alone;
use crate::resident::{Resident, podnet, text};
use crate::support::prerequisite;
use crate::support::shell::wait_for;

#[test]
fn several_targets_are_named_and_the_worst_status_wins() {
    let (Some(one), Some(other)) = (Resident::start(), Resident::start()) else { return };
    let script = format!(
        "echo here; readlink /proc/self/ns/net >&2; [ \"$(readlink /proc/self/ns/net)\" = \"$(readlink /proc/{}/ns/net)\" ] || exit 9",
        one.pid()
    );
    let ran = podnet(&["exec", "-o", "json", "-t", &one.pid(), "-t", &other.pid(), "--", "sh", "-c", &script]);
    assert_eq!(ran.status.code(), Some(9));
    let stdout = text(&ran.stdout);
    let lines: Vec<serde_json::Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut targets: Vec<&str> = lines.iter().map(|line| line["target"].as_str().unwrap()).collect();
    targets.sort_unstable();
    let mut pids = [one.pid(), other.pid()];
    pids.sort_unstable();
    assert_eq!(targets, pids);
    assert!(lines.iter().all(|line| line["line"] == "here" && line["stream"] == "stdout"));
}

/// Whoever lists targets gets the same from one as from two.
#[test]
fn a_single_one_is_told_as_several_are_and_has_no_input_either() {
    let Some(resident) = Resident::start() else { return };
    let pid = resident.pid();
    let run = |arguments: &[&str]| {
        let mut podnet = Command::new(env!("CARGO_BIN_EXE_podnet"));
        podnet.arg("exec").args(arguments).args(["--", "sh", "-c", "cat; echo end"]);
        let mut podnet = podnet.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Nobody may read it.
        let _ = podnet.stdin.take().unwrap().write_all(b"typed\n");
        text(&podnet.wait_with_output().unwrap().stdout)
    };
    assert_eq!(run(&["-t", &pid]), format!("{pid}  end\n"));
    assert_eq!(run(&[&pid]), "typed\nend\n");
}

#[test]
fn all_are_those_that_have_a_network_of_their_own() {
    if !prerequisite::root_and(&["ip", "unshare"]) {
        return;
    }
    let podnet = alone(&["alpha", "beta"]);
    let arguments = ["exec", "--all", "--runtime", "none", "--", "sh", "-c", "ls /sys/class/net | grep a$"];
    let ran = podnet.run(&arguments);
    let mut lines: Vec<&str> = ran.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!((ran.status, lines), (0, vec!["alpha  alpha", "beta   beta"]), "{}", ran.stderr);
    let ran = podnet.run(&[&arguments[..2], &["-o", "json"], &arguments[2..]].concat());
    for line in ran.stdout.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["target"].as_str().unwrap().starts_with("pid:"), "{line}");
    }
    let nobody = alone(&[]).run(&["exec", "--all", "--runtime", "none", "--", "true"]);
    assert_eq!(nobody.status, 3, "{nobody:?}");
}

#[test]
fn the_signal_that_ended_one_counts_as_shells_count_it() {
    let (Some(one), Some(other)) = (Resident::start(), Resident::start()) else { return };
    let script =
        format!("[ \"$(readlink /proc/self/ns/net)\" = \"$(readlink /proc/{}/ns/net)\" ] || kill -TERM $$", one.pid());
    let ran = podnet(&["exec", "-t", &one.pid(), "-t", &other.pid(), "--", "sh", "-c", &script]);
    assert_eq!(ran.status.code(), Some(128 + 15), "{}", text(&ran.stderr));
}

#[test]
fn the_commands_end_with_podnet() {
    let (Some(one), Some(other)) = (Resident::start(), Resident::start()) else { return };
    let mut podnet = Command::new(env!("CARGO_BIN_EXE_podnet"))
        .args(["exec", "-t", &one.pid(), "-t", &other.pid(), "--", "sh", "-c", "echo $$; exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(podnet.stdout.take().unwrap()).lines();
    let pids: Vec<String> =
        (0..2).map(|_| lines.next().unwrap().unwrap().split_whitespace().last().unwrap().to_owned()).collect();
    kill(Pid::from_raw(podnet.id().cast_signed()), Signal::SIGTERM).unwrap();
    podnet.wait().unwrap();
    let sleeps =
        |pid: &String| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
    wait_for("the commands to end", Duration::from_secs(10), || (!pids.iter().any(sleeps)).then_some(()));
}
