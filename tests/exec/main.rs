//! `podnet exec` on real namespaces: whose network, whose /sys, whose exit status.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PODNET: &str = env!("CARGO_BIN_EXE_podnet");

/// A process in a netns of its own, in which a veth pair has names that no host has.
struct Resident(Child);

impl Resident {
    /// None where the kernel does not let us make one; then the test says that it was skipped.
    fn start() -> Option<Self> {
        let script = "ip link add inside0 type veth peer name inside1 && exec sleep 300";
        let child = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", script])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut resident = Self(child.unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if resident.0.try_wait().unwrap().is_some() {
                break;
            }
            if fs::read_to_string(format!("/proc/{}/comm", resident.0.id())).is_ok_and(|name| name.trim() == "sleep") {
                return Some(resident);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(std::env::var_os("PODNET_TESTS_REQUIRE_ALL").is_none(), "no netns could be made");
        eprintln!("skipped: no netns could be made (needs root)");
        None
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn exec(&self, arguments: &[&str]) -> Output {
        podnet(&[&["exec", &self.pid()], arguments].concat())
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn podnet(arguments: &[&str]) -> Output {
    Command::new(PODNET).args(arguments).env_remove("PODNET_TARGET").stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

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
fn less_privilege_is_less() {
    let Some(resident) = Resident::start() else { return };
    let shown = text(
        &resident
            .exec(&["--user", "nobody", "--drop-caps", "--", "sh", "-c", "id -u; grep CapBnd /proc/self/status"])
            .stdout,
    );
    let mut lines = shown.lines();
    assert_ne!(lines.next(), Some("0"));
    assert_eq!(lines.next(), Some("CapBnd:\t0000000000000000"));
    let unknown = resident.exec(&["--user", "no-such-user", "--", "true"]);
    assert_eq!(unknown.status.code(), Some(2));
}

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

#[test]
fn the_target_may_come_from_the_environment_and_may_be_missing() {
    let Some(resident) = Resident::start() else { return };
    let ran = Command::new(PODNET)
        .args(["exec", "--", "ip", "-o", "link"])
        .env("PODNET_TARGET", resident.pid())
        .output()
        .unwrap();
    assert!(text(&ran.stdout).contains("inside0"));
    let ran = podnet(&["exec", "no-such-target", "--", "true"]);
    assert_eq!(ran.status.code(), Some(3), "{}", text(&ran.stderr));
    let ran = podnet(&["exec", "/dev/null", "--", "true"]);
    assert_eq!(ran.status.code(), Some(1), "{}", text(&ran.stderr));
}

#[test]
fn a_signal_that_ends_the_command_ends_podnet() {
    use std::os::unix::process::ExitStatusExt;
    let Some(resident) = Resident::start() else { return };
    let ran = resident.exec(&["--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(ran.status.signal(), Some(15));
}
