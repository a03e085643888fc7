//! How fast podnet is, beside the commands that it replaces, in one run: `cargo bench` as root.
//!
//! Each row runs both sides in turn, thirty times unless `PODNET_BENCH_RUNS` says otherwise, and compares the
//! medians. Docker, the namespaces and their interfaces are made for it and removed after.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod attach;
mod crowd;
mod endpoints;
mod installed;
mod judge;
mod measure;

use std::time::Duration;

use crowd::Crowd;
use installed::podnet;
use measure::{Argv, argv, peak_memory, side_by_side};
use support::docker::Docker;
use support::fake_docker::{FakeDocker, container};
use support::prerequisite;
use support::scratch::Scratch;

const SIZES: [usize; 3] = [10, 100, 500];

/// The facts of one container by hand: `$1` is its id.
const DOCKER_BY_HAND: &str = r#"
pid=$(docker inspect --format '{{.State.Pid}}' "$1")
nsenter -t "$pid" -n ip addr
ip link
nsenter -t "$pid" -n ip route
"#;

/// The facts of many processes' namespaces by hand: the arguments are their PIDs.
const LIST_BY_HAND: &str = r#"
for pid; do
  readlink "/proc/$pid/ns/net"
  nsenter -t "$pid" -n ip -o addr show dev eth0
  peer=$(nsenter -t "$pid" -n ip -o link show dev eth0 | sed 's/.*@if\([0-9]*\):.*/\1/')
  ip -o link | grep "^$peer:"
done
"#;

fn main() {
    if measure::is_probe() {
        return;
    }
    if !prerequisite::root_and(&["docker", "dockerd", "ip", "lsns", "nsenter", "unshare"]) {
        return;
    }
    let _installed = installed::install();
    println!("{:<34} {:>11}  {:<29} {:>11}  {:>9}  to reach", "podnet", "median", "against", "median", "ratio");
    start_up();
    endpoints::rows();
    one_container();
    one_key();
    for existing in [1, 100] {
        attach::beside_ptp(existing);
    }
    attach::at_once();
    judge::rows();
    for size in SIZES {
        many(size);
    }
}

fn start_up() {
    for option in ["--version", "--help"] {
        let (podnet, other) = side_by_side(&argv(&[podnet(), option]), &argv(&["ip", "-V"]));
        let more = podnet.as_secs_f64() - other.as_secs_f64();
        row(option, podnet, "ip -V", other, &format!("{:+.1} ms", more * 1000.0), "within +3 ms");
    }
}

fn one_container() {
    let Some(docker) = Docker::start() else { return };
    let id = docker.run("bench");
    let pid = docker.pid("bench").to_string();
    let host = format!("DOCKER_HOST={}", docker.host());

    let exec = argv(&[podnet(), "exec", &pid, "--", "true"]);
    compare("exec PID -- true", &exec, "nsenter -t PID -n true", &argv(&["nsenter", "-t", &pid, "-n", "true"]), 1.1);
    let inspect = argv(&[&host, podnet(), "inspect", &id]);
    let by_hand = argv(&[&host, "sh", "-c", DOCKER_BY_HAND, "sh", &id]);
    compare("inspect ID", &inspect, "docker inspect, nsenter, ip", &by_hand, 0.2);
    let inspect = argv(&[podnet(), "inspect", &pid, "--runtime", "none"]);
    // Into the host's by the shell's own PID: process 1 lets nobody in on some machines.
    let script = format!("nsenter -t {pid} -n ip -j addr; nsenter -t $$ -n ip -j addr");
    compare("inspect PID --runtime none", &inspect, "2 × nsenter ip -j addr", &argv(&["sh", "-c", &script]), 0.5);
}

/// As a shell asks at every TAB.
fn tab() -> [&'static str; 6] {
    ["PODNET_COMPLETE=fish", podnet(), "--", "podnet", "inspect", ""]
}

fn one_key() {
    let scratch = Scratch::new();
    let docker = FakeDocker::new(&scratch, (0..100).map(|number| container(&format!("web-{number}"))).collect());
    let tab = argv(&[&[format!("DOCKER_HOST={}", docker.host()).as_str()], &tab()[..]].concat());
    let (tab, other) = side_by_side(&tab, &argv(&["ip", "-V"]));
    row("TAB, 100 containers", tab, "ip -V", other, "", "≤ 50 ms");
}

fn many(size: usize) {
    let crowd = Crowd::new(size);
    let name = format!("list, {size} namespaces");
    let list = argv(&[podnet(), "list", "--runtime", "none"]);
    let by_hand = [argv(&["sh", "-c", LIST_BY_HAND, "sh"]), crowd.pids()].concat();
    compare(&name, &list, "loop of nsenter and ip", &by_hand, 0.05);
    compare(&name, &list, "lsns -t net", &argv(&["lsns", "-t", "net"]), 1.0);
    let tab = argv(&tab());
    let (tab, other) = side_by_side(&tab, &argv(&["ip", "-V"]));
    row(&format!("TAB, {size} namespaces"), tab, "ip -V", other, "", "≤ 50 ms at 100");
    if Some(&size) == SIZES.last() {
        let mebibytes = peak_memory(&list) as f64 / 1024.0;
        println!("{name:<34} {mebibytes:>7.1} MiB  peak memory {:>30}  {:>9}  ≤ 40 MiB", "", "");
    }
}

fn compare(name: &str, podnet: &Argv, against: &str, other: &Argv, reach: f64) {
    let (podnet, other) = side_by_side(podnet, other);
    let ratio = podnet.as_secs_f64() / other.as_secs_f64();
    row(name, podnet, against, other, &format!("{ratio:.3} ×"), &format!("≤ {reach} ×"));
}

fn row(name: &str, podnet: Duration, against: &str, other: Duration, ratio: &str, reach: &str) {
    let milliseconds = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    let (podnet, other) = (milliseconds(podnet), milliseconds(other));
    println!("{name:<34} {podnet:>11}  {against:<29} {other:>11}  {ratio:>9}  {reach}");
}
