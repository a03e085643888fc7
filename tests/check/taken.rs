//! An address that somebody takes, without the store's lock, while podnet releases it; and podnet killed while it does.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::node::Node;
use crate::release::{STORE, is_there, leaky, outcome, refuses, release, report};
use crate::support::podnet::Ran;
use crate::support::prerequisite;
use crate::support::shell::wait_for;

const FILE: &str = "/var/lib/cni/networks/net/10.88.0.50";

fn traceable() -> Option<Node> {
    prerequisite::root_and(&["strace", "pidof"]).then(leaky)?
}

/// podnet with its system calls tampered with.
fn start(node: &Node, report: &str, tampering: &[&str]) -> Child {
    let mut command = node.machine.command("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=unlinkat,linkat,fsync"]);
    for what in tampering {
        command.args(["-e", &format!("inject={what}")]);
    }
    command.arg(env!("CARGO_BIN_EXE_podnet"));
    command.args(["ipam", "release", "-o", "json", "--from-report", report, "--apply"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// … that stands still when it has removed the file.
fn stopped(node: &Node, report: &str, tampering: &[&str]) -> Child {
    let child = start(node, report, &[&["unlinkat:signal=STOP"], tampering].concat());
    let gone = || (!is_there(node, "10.88.0.50")).then_some(());
    wait_for("the file to be removed", Duration::from_secs(60), gone);
    child
}

fn go_on(node: &Node, signal: &str, child: Child) -> Ran {
    node.run(&format!("kill -{signal} $(pidof podnet)"));
    end(child)
}

fn end(child: Child) -> Ran {
    Ran::new(child.wait_with_output().unwrap(), Duration::ZERO)
}

/// Everything in the store but the lock: names, bytes, owners, modes and times.
fn store(node: &Node) -> Vec<String> {
    let look = "stat -c '%n %s %f %u %g %y' $file; sha256sum $file";
    let files = node.run(&format!("cd {STORE}; for file in $(ls -A | grep -v '^lock$'); do {look}; done"));
    files.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_taken_after_the_last_look_is_put_back() {
    let Some(node) = traceable() else { return };
    node.run(&format!("chmod 640 {FILE}; chown 7:8 {FILE}"));
    let before = store(&node);
    let last = report(&node, "report.json");
    for (nth, (take, leave)) in [
        ("pod ip addr add 10.88.0.50/24 dev eth0", "pod ip addr del 10.88.0.50/24 dev eth0"),
        ("netns ghost", "kill $(cat /run/pid.ghost); ip netns del ghost"),
        (
            "mkdir -p /run/podnet/attachments; touch /run/podnet/attachments/$(container_id ghost)@eth0",
            "rm -r /run/podnet",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let report = report(&node, &format!("report{nth}.json"));
        let child = stopped(&node, &report, &[]);
        node.run(take);
        let (free, left) = outcome(&go_on(&node, "CONT", child));
        assert!(free.is_empty() && left[0].contains("its file was put back"), "{take}: {free:?} {left:?}");
        assert_eq!(store(&node), before, "{take}");
        node.run(leave);
    }
    // It is not the file that the report told of: another look has to find it leaked.
    refuses(&node, &[&last], "its file is another one now");
    let again = report(&node, "again.json");
    assert_eq!(outcome(&release(&node, &[&again], true)).0, ["10.88.0.50"]);
}

#[test]
fn a_file_that_somebody_makes_meanwhile_is_theirs() {
    let Some(node) = traceable() else { return };
    let report = report(&node, "report.json");
    let child = stopped(&node, &report, &[]);
    node.run(&format!(r#"printf 'other\r\neth0' >{FILE}"#));
    let (free, left) = outcome(&go_on(&node, "CONT", child));
    assert!(free.is_empty() && left.len() == 1, "{free:?} {left:?}");
    assert_eq!(node.run(&format!("cat {FILE}")), "other\r\neth0");
}

#[test]
fn killed_anywhere_it_leaves_the_file_whole_or_gone() {
    let Some(node) = traceable() else { return };
    let before = store(&node);
    let rest: Vec<String> = before.iter().filter(|line| !line.contains("10.88.0.50")).cloned().collect();
    let first = report(&node, "report.json");
    let inode = node.run(&format!("stat -c %i {FILE}"));
    for call in ["fsync", "unlinkat"] {
        end(start(&node, &first, &[&format!("{call}:signal=KILL")]));
        assert_eq!((store(&node), node.run(&format!("stat -c %i {FILE}"))), (before.clone(), inode.clone()), "{call}");
        node.run(&format!("flock --nonblock {STORE}/lock true"));
    }
    node.run(&format!("cp -p {FILE} /run/kept"));
    go_on(&node, "KILL", stopped(&node, &first, &[]));
    assert_eq!(store(&node), rest);
    node.run(&format!("cp -p /run/kept {FILE}"));
    // Killed when it would put it back.
    let second = report(&node, "second.json");
    let child = stopped(&node, &second, &["linkat:signal=KILL"]);
    node.run("pod ip addr add 10.88.0.50/24 dev eth0");
    assert_ne!(go_on(&node, "CONT", child).status, 0);
    assert_eq!(store(&node), rest);
    node.run(&format!("flock --nonblock {STORE}/lock true"));
    let people = node.machine.podnet(&["ipam", "check"]).stdout;
    assert!(people.contains("10.88.0.50 of net unallocated"), "{people}");
}

#[test]
fn what_cannot_be_kept_is_not_removed_and_what_cannot_be_put_back_is_told() {
    let Some(node) = traceable() else { return };
    let report = report(&node, "report.json");
    let before = store(&node);
    let ran = end(start(&node, &report, &["fsync:error=ENOSPC"]));
    assert!(ran.status == 1 && ran.stderr.contains("no copy of it can be kept"), "{}", ran.stderr);
    assert_eq!(store(&node), before);
    let child = stopped(&node, &report, &["linkat:error=ENOSPC"]);
    node.run("pod ip addr add 10.88.0.50/24 dev eth0");
    let ran = go_on(&node, "CONT", child);
    assert!(ran.status == 1 && ran.stderr.contains("cannot be put back"), "{}", ran.stderr);
    assert!(ran.stdout.contains("cannot be put back") && !ran.stdout.contains("\"free\": true"), "{}", ran.stdout);
}

#[test]
fn a_lock_that_nobody_lets_go_of_keeps_everything() {
    let Some(node) = leaky() else { return };
    let report = report(&node, "report.json");
    node.machine.leave(&format!("flock {STORE}/lock sleep infinity"));
    let taken = format!("if flock --nonblock {STORE}/lock true; then echo free; fi");
    wait_for("the lock", Duration::from_secs(20), || node.run(&taken).is_empty().then_some(()));
    refuses(&node, &[&report], "is locked by another process");
}
