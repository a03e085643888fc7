//! The container's resolv.conf and hosts, and that nothing is left of them.

use std::fs;
use std::process::Command;

use crate::resident::{Resident, podnet, text};
use crate::support::namespace::Namespace;
use crate::support::podnet::Podnet;
use crate::support::prerequisite;

#[test]
fn nothing_is_left_behind() {
    let Some(resident) = Resident::start() else { return };
    let before =
        fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|line| line.contains(" /sys")).count();
    assert!(resident.exec(&["--dns", "--", "true"]).status.success());
    let after =
        fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|line| line.contains(" /sys")).count();
    assert_eq!(before, after);
    assert!(fs::read_to_string("/proc/self/mountinfo").unwrap().lines().all(|line| !line.contains(" podnet ")));
}

#[test]
fn dns_shows_the_containers_files() {
    let Some(resident) = Resident::start() else { return };
    // The resident has a mount namespace of its own: give it another resolv.conf there.
    let script = "printf 'nameserver 192.0.2.53\\n' > /dev/shm/podnet-resolv && mount --bind /dev/shm/podnet-resolv /etc/resolv.conf";
    let private = format!("mount --make-rprivate / && mount -t tmpfs tmpfs /dev/shm && {script}");
    let mut mounting = Command::new("nsenter");
    mounting.args(["--mount", "--target", &resident.pid(), "sh", "-c", &private]);
    assert!(mounting.status().unwrap().success());
    let theirs = text(&resident.exec(&["--dns", "--", "cat", "/etc/resolv.conf"]).stdout);
    assert_eq!(theirs, "nameserver 192.0.2.53\n");
    let ours = text(&resident.exec(&["--", "cat", "/etc/resolv.conf"]).stdout);
    assert_eq!(ours, fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
}

#[test]
fn each_of_several_sees_its_own() {
    let (Some(one), Some(other)) = (Resident::start(), Resident::start()) else { return };
    for (resident, name) in [(&one, "one"), (&other, "other")] {
        let script = format!(
            "mount -t tmpfs tmpfs /mnt && echo 'search {name}.test' >/mnt/resolv.conf && \
             mount --bind /mnt/resolv.conf /etc/resolv.conf"
        );
        let mut mounting = Command::new("nsenter");
        mounting.args(["--mount", "--target", &resident.pid(), "sh", "-c", &script]);
        assert!(mounting.status().unwrap().success());
    }
    let (one, other) = (one.pid(), other.pid());
    let ran = podnet(&["exec", "--dns", "-t", &one, "-t", &other, "--", "cat", "/etc/resolv.conf"]);
    let shown = text(&ran.stdout);
    let mut lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    lines.sort_by_key(|words| words.last().copied());
    assert_eq!(lines, [[&one, "search", "one.test"], [&other, "search", "other.test"]], "{}", text(&ran.stderr));
}

/// As `ip netns exec` does it.
#[test]
fn a_namespace_that_is_only_mounted_has_those_of_its_name() {
    if !prerequisite::root_and(&["ip", "unshare"]) {
        return;
    }
    let netns = Namespace::new();
    let folder = format!("mount -t tmpfs tmpfs /etc/netns && mkdir /etc/netns/{}", netns.name);
    let file = format!("echo 'nameserver 192.0.2.77' >/etc/netns/{}/resolv.conf", netns.name);
    let made = fs::create_dir("/etc/netns");
    let script = format!("{folder} && {file} && \"$@\"");
    let podnet = Podnet::default().through(&["unshare", "--mount", "sh", "-c", &script, "sh"]);
    for targets in [&[netns.path()][..], &["-t".to_owned(), netns.path()]] {
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let ran = podnet.run(&[&["exec", "--dns"], &targets[..], &["--", "cat", "/etc/resolv.conf"]].concat());
        assert!(ran.stdout.ends_with("nameserver 192.0.2.77\n"), "{targets:?} {ran:?}");
    }
    if made.is_ok() {
        let _ = fs::remove_dir("/etc/netns");
    }
}
