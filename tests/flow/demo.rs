//! The README's first command, as root and as a plain user.

use std::process::Command;

use crate::host::text;
use crate::support::netns::TestNetns;
use crate::support::podnet::Podnet;
use crate::support::prerequisite::{root_and, skip};
use crate::support::scratch::Scratch;
use crate::support::shell::succeed;

/// What it must have shown.
const SHOWN: [&str; 8] = [
    "$ podnet create demo-a --yes",
    "$ podnet list",
    "confirmed",
    "$ podnet exec demo-a -- ip addr",
    "ping  demo-a",
    "a greeting came back, IPv6",
    "pool tiny is full",
    "no link, no namespace, no address, no rule and no journal more than before",
];

fn check(mut command: Command) {
    // One of the machine's own, mounted elsewhere than the demo's.
    let (machines, scratch) = (TestNetns::new(), Scratch::new());
    let place = scratch.write("elsewhere", "");
    std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    succeed(Command::new("mount").args(["--bind", &machines.path()]).arg(&place));
    let output = command.output().unwrap();
    succeed(Command::new("umount").arg(&place));
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(!said.contains(&machines.inode().to_string()), "the machine's {} in {said}", machines.inode());
    assert!(output.status.success(), "{said}\n{errors}");
    for line in SHOWN {
        assert!(said.contains(line), "«{line}» in {said}\n{errors}");
    }
}

fn interfaces() -> String {
    std::fs::read_to_string("/proc/self/net/dev").unwrap().lines().filter_map(|line| line.split(':').next()).collect()
}

#[test]
fn it_tells_its_whole_story_and_leaves_nothing() {
    if !root_and(&["ip"]) {
        return;
    }
    let before = interfaces();
    let mut command = Podnet::default().command();
    command.arg("demo");
    check(command);
    assert_eq!(interfaces(), before);
    assert!(!std::path::Path::new("/run/netns/demo-a").exists());
}

#[test]
fn a_plain_user_sees_the_same() {
    if !root_and(&["ip", "setpriv"]) {
        return;
    }
    let restricted =
        std::fs::read_to_string("/proc/sys/kernel/unprivileged_userns_clone").is_ok_and(|text| text.trim() == "0");
    if restricted && !skip("user namespaces are for root alone here") {
        return;
    }
    let folder = Scratch::new();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    let podnet = Podnet::default().copied_to(folder.join("podnet")).through(&as_nobody);
    let mut command = podnet.command();
    command.arg("demo");
    check(command);
}

#[test]
fn kept_pods_can_be_played_with() {
    if !root_and(&["ip"]) {
        return;
    }
    let mut command = Podnet::default().env("SHELL", "/bin/sh".to_owned()).command();
    let script =
        format!("{} exec demo-b -- ip -br addr show eth0 | sed 's/^/played: /'\n", env!("CARGO_BIN_EXE_podnet"));
    let input = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut &input, script.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut &input).unwrap();
    let output = command.args(["demo", "--keep"]).stdin(input).output().unwrap();
    let said = text(&output.stdout);
    assert!(said.contains("played: eth0"), "{said}{}", text(&output.stderr));
    assert!(said.contains("and no journal more than before"), "{said}");
}
