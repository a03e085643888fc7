//! Whose network, whose /sys, whose exit status and signals.

use std::fs;
use std::process::Command;

use crate::resident::{PODNET, Resident, podnet, text};
use crate::support::namespace::Namespace;
use crate::support::podnet::Podnet;
use crate::support::prerequisite;
use crate::support::scratch::Scratch;
use crate::support::shell::wait_for;

#[test]
fn the_network_is_the_targets_and_the_status_the_commands() {
    let Some(resident) = Resident::start() else { return };
    let shown = resident.exec(&["--", "ip", "-o", "link"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(text(&shown.stdout).contains("inside0") && !text(&shown.stdout).contains("eth0"));
    assert_eq!(resident.exec(&["--", "sh", "-c", "exit 42"]).status.code(), Some(42));
    assert_eq!(resident.exec(&["--", "no-such-command-anywhere"]).status.code(), Some(127));
    assert_eq!(resident.exec(&["--", "/etc/passwd"]).status.code(), Some(126));
}

#[test]
fn sys_shows_the_targets_devices_and_keeps_the_cgroups() {
    let Some(resident) = Resident::start() else { return };
    let shown = text(&resident.exec(&["--", "ls", "/sys/class/net"]).stdout);
    assert!(shown.lines().any(|name| name == "inside1") && !shown.lines().any(|name| name == "eth0"), "{shown}");
    let own = fs::read_dir("/sys/fs/cgroup").unwrap().count();
    let seen = text(&resident.exec(&["--", "ls", "-A", "/sys/fs/cgroup"]).stdout).lines().count();
    assert_eq!(seen, own);
}

#[test]
fn a_signal_that_ends_the_command_ends_podnet() {
    use std::os::unix::process::ExitStatusExt;
    let Some(resident) = Resident::start() else { return };
    let ran = resident.exec(&["--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(ran.status.signal(), Some(15));
}

#[test]
fn a_namespace_that_is_only_mounted_can_be_entered() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let netns = Namespace::new();
    netns.veth_from_host();
    for target in [netns.path(), format!("netns:{}", netns.inode())] {
        let ran = podnet(&["exec", &target, "--runtime", "none", "--", "readlink", "/proc/self/ns/net"]);
        assert_eq!(text(&ran.stdout), format!("net:[{}]\n", netns.inode()), "{target}: {}", text(&ran.stderr));
    }
}

/// By way of the user namespace that owns it, also after a survey, whose threads must be gone by then.
#[test]
fn a_plain_user_enters_what_is_his() {
    if !prerequisite::root_and(&["setpriv", "unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let rootless = Rootless::start(&[&as_nobody[..], &["unshare", "-Urn", "sleep", "300"]].concat());
    let user = Podnet::default().copied_to(scratch.join("podnet")).through(&as_nobody);
    let inode = rootless.inode();
    for target in [rootless.pid().to_string(), format!("netns:{inode}")] {
        let ran =
            user.run(&["exec", &target, "--runtime", "none", "--", "sh", "-c", "readlink /proc/self/ns/net; id -u"]);
        assert_eq!((ran.status, ran.stdout), (0, format!("net:[{inode}]\n0\n")), "{target}: {}", ran.stderr);
    }
    let others = user.run(&["exec", &std::process::id().to_string(), "--", "true"]);
    assert_eq!(others.status, 5, "{others:?}");
    assert!(others.stderr.contains("CAP_SYS_ADMIN"), "{}", others.stderr);
}

struct Rootless(std::process::Child);

impl Rootless {
    fn start(argv: &[&str]) -> Self {
        let child = std::process::Command::new(argv[0]).args(&argv[1..]).spawn().unwrap();
        let rootless = Self(child);
        wait_for("a rootless process to sleep", std::time::Duration::from_secs(30), || {
            let name = fs::read_to_string(format!("/proc/{}/comm", rootless.pid())).unwrap();
            (name == "sleep\n").then_some(())
        });
        rootless
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn inode(&self) -> u64 {
        crate::support::facts::netns(self.pid())
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_command_has_the_limit_of_open_files_that_podnet_was_started_with() {
    let Some(resident) = Resident::start() else { return };
    // To look for all of them podnet raises its own, and starts a podnet for each.
    for place in [resident.pid(), "--all".to_owned()] {
        let script = r#"ulimit -Sn 200 && exec "$0" exec --runtime none "$@" -- sh -c 'ulimit -Sn'"#;
        let ran = Command::new("sh").args(["-c", script, PODNET, &place]).output().unwrap();
        let lines = text(&ran.stdout);
        let kept = !lines.is_empty() && lines.lines().all(|line| line.ends_with("200"));
        assert!(kept, "{place}: {lines}{}", text(&ran.stderr));
    }
}
