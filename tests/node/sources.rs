//! Runtimes that are dead, hung, forbidden or talk nonsense: each costs a line under «sources» and at most its
//! deadline, and the container is still found, through `/proc`.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::containerd::Containerd;
use crate::support::docker::Docker;
use crate::support::facts;
use crate::support::podman::Podman;
use crate::support::podnet::{Podnet, Ran, on_containerd, on_docker, on_podman, source};
use crate::support::prerequisite;
use crate::support::scratch::Scratch;
use crate::support::shell::wait_for;

/// The default deadline of a source, and what a busy machine may add to it: whoever waits for the source itself waits
/// for ever.
const DEADLINE: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(30);

/// That the container is found by `/proc` alone, while the source failed within its deadline.
fn assert_found_without(podnet: &Podnet, name: &str, runtime: &str, id: &str, pid: u32) {
    let ran = podnet.run(&["inspect", &id[..12], "-o", "json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.elapsed < DEADLINE + SLACK, "{:?}", ran.elapsed);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(source(&document, name)["status"], "failed", "{document:#}");
    assert!(source(&document, name)["elapsedMs"].as_f64().unwrap() < 1000.0 * (DEADLINE + SLACK).as_secs_f64());
    let workload = &document["workload"];
    assert_eq!(workload["id"], id);
    assert_eq!(workload["pid"], pid);
    assert_eq!(workload["runtime"], runtime);
    assert_eq!(document["netns"]["inode"], facts::netns(pid));
}

#[test]
fn dockerd_hung_then_killed() {
    let Some(mut docker) = Docker::start() else { return };
    let id = docker.run("survivor");
    let pid = docker.pid("survivor");
    let podnet = on_docker(docker.socket());
    docker.daemon.signal(Signal::SIGSTOP);
    assert_found_without(&podnet, "docker", "docker", &id, pid);
    // Its containerd does not make it another runtime's.
    let both = on_docker(docker.socket()).at("/run/containerd/containerd.sock", docker.containerd().socket());
    assert_found_without(&both, "docker", "docker", &id, pid);
    assert_eq!(both.inspect(&format!("docker://{id}"))["workload"]["pid"], pid);
    let of_containerd = both.json(&["list", "--runtime", "containerd"]);
    let items = of_containerd["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["workload"]["id"] != *id), "{of_containerd:#}");
    docker.daemon.kill();
    assert_found_without(&podnet, "docker", "docker", &id, pid);
}

#[test]
fn containerd_hung_then_killed() {
    let Some(mut containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_pod("default", "survivor");
    let id = cri.run_container(&pod, "app", &[]);
    let pid = cri.pid(&id);
    let podnet = on_containerd(containerd.socket());
    let found = || {
        let document = podnet.inspect(&id);
        assert_eq!(document["workload"]["pid"], pid);
        assert_eq!(document["netns"]["inode"], facts::netns(pid));
        for name in ["containerd", "cri"] {
            assert_eq!(source(&document, name)["status"], "failed", "{document:#}");
        }
    };
    containerd.daemon.signal(Signal::SIGSTOP);
    found();
    containerd.daemon.kill();
    found();
}

#[test]
fn podman_service_hung() {
    let Some(podman) = Podman::start() else { return };
    let id = podman.run("survivor");
    let service = podman.serve();
    service.signal(Signal::SIGSTOP);
    let podnet = on_podman(podman.storage(), Some(&podman.socket()));
    let ran = podnet.run(&["inspect", "survivor", "-o", "json"]);
    assert_eq!(ran.status, 0, "its state files name it still: {ran:?}");
    assert!(ran.elapsed < DEADLINE + SLACK, "{:?}", ran.elapsed);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["workload"]["id"], id);
    assert_eq!(source(&document, "podman")["status"], "failed");
    assert_eq!(source(&document, "podman storage")["status"], "present");
}

/// Killed while podnet waits for its answer, gone, and another in its place that talks nonsense.
#[test]
fn podman_service_killed_midway_then_talking_nonsense() {
    let Some(podman) = Podman::start() else { return };
    let id = podman.run("survivor");
    let pid = podman.pid("survivor");
    let mut service = podman.serve();
    let podnet = on_podman(podman.storage(), Some(&podman.socket()));
    let assert_found = |ran: Ran| {
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.elapsed < DEADLINE + SLACK, "nobody is there to be waited for: {:?}", ran.elapsed);
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        let workload = &document["workload"];
        assert_eq!((&workload["id"], &workload["pid"]), (&id.as_str().into(), &pid.into()), "{workload:#}");
        assert_eq!(source(&document, "podman")["status"], "failed", "{document:#}");
        assert_eq!(source(&document, "podman storage")["status"], "present");
    };
    // By far more than it takes: it is not the deadline that ends the waiting.
    let args = ["inspect", "survivor", "-o", "json", "--timeout", "300"];

    let socket = podman.scratch.text("podman.sock");
    // A connection that nobody has accepted has no inode yet. The signal may find the service with earlier ones half closed.
    let unaccepted = || {
        let table = fs::read_to_string("/proc/net/unix").unwrap();
        table.lines().any(|line| line.ends_with(&format!(" 0 {socket}")))
    };
    service.signal(Signal::SIGSTOP);
    let begin = Instant::now();
    let waiting = podnet.command().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("podnet to ask", SLACK, || unaccepted().then_some(()));
    service.kill();
    assert_found(Ran::new(waiting.wait_with_output().unwrap(), begin.elapsed()));

    assert_found(podnet.run(&args));

    fs::remove_file(podman.socket()).unwrap();
    answer_with(&podman.socket(), |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[{\"Id\": 7");
    });
    assert_found(podnet.run(&args));
}

#[test]
fn silent_sockets_cost_one_deadline_together() {
    if !prerequisite::root_and(&["unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    let silent = scratch.join("silent.sock");
    answer_with(&silent, |stream| {
        // Held open without a word until podnet gives up.
        let _ = std::io::copy(&mut &stream, &mut std::io::sink());
    });
    let places = [
        "/run/docker.sock",
        "/run/podman/podman.sock",
        "/run/containerd/containerd.sock",
        "/run/k3s/containerd/containerd.sock",
        "/run/crio/crio.sock",
    ];
    let copies = places.map(|place| {
        let copy = scratch.join(&format!("{}.sock", place.replace('/', "-")));
        fs::hard_link(&silent, &copy).unwrap();
        (place, copy)
    });
    let podnet = copies.into_iter().fold(Podnet::default(), |podnet, (place, copy)| podnet.at(place, copy));
    // Docker, Podman, containerd and the CRI on the same file: four, one after the other, would take 32 s.
    let ran = podnet.run(&["list", "--timeout", "8", "-o", "json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.elapsed > Duration::from_secs(8) && ran.elapsed < Duration::from_secs(24), "{:?}", ran.elapsed);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    for name in ["docker", "podman", "containerd", "cri"] {
        let source = source(&document, name);
        assert_eq!(source["status"], "failed", "{document:#}");
        assert!(source["detail"].as_str().unwrap().contains("within 8 s"), "{source}");
    }
}

#[test]
fn sockets_that_talk_nonsense() {
    if !prerequisite::root_and(&["unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    let (short, endless) = (scratch.join("short.sock"), scratch.join("endless.sock"));
    answer_with(&short, |mut stream| {
        let _ = stream.write_all(b"\x00\xff\x1b[2Jnonsense\r\n\r\n");
    });
    answer_with(&endless, |mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    for socket in [short, endless] {
        let places = ["/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"];
        let podnet = places.iter().fold(Podnet::default(), |podnet, place| podnet.at(place, socket.clone()));
        let ran = podnet.run(&["list", "-o", "json"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.elapsed < DEADLINE + SLACK, "{:?}", ran.elapsed);
        let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        for name in ["docker", "podman", "containerd", "cri"] {
            assert_eq!(source(&document, name)["status"], "failed", "{document:#}");
        }
        assert_eq!(source(&document, "proc")["status"], "present");
    }
}

#[test]
fn a_socket_that_others_may_not_open() {
    if !prerequisite::root_and(&["setpriv", "unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    let socket = scratch.join("docker.sock");
    answer_with(&socket, drop);
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).unwrap();
    let podnet = on_docker(socket).copied_to(scratch.join("podnet")).through(&[
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ]);
    let document = podnet.json(&["list"]);
    let docker = source(&document, "docker");
    assert_eq!(docker["status"], "failed");
    assert!(docker["detail"].as_str().unwrap().contains("ermission denied"), "{docker}");
}

#[test]
fn a_docker_of_another_machine_is_not_asked() {
    let podnet = Podnet::default().env("DOCKER_HOST", "tcp://192.0.2.1:2375".into());
    let document = podnet.json(&["list"]);
    let told = source(&document, "DOCKER_HOST");
    assert_eq!(told["status"], "failed");
    assert!(told["detail"].as_str().unwrap().contains("tcp://192.0.2.1:2375"), "{told}");
}

#[test]
fn without_any_runtime_the_cgroup_names_the_container() {
    let Some(podman) = Podman::start() else { return };
    let id = podman.run("bare");
    let pid = podman.pid("bare");
    // Nothing is at its usual place, Podman's storage neither.
    let podnet = Podnet::default().at("/run/nothing", podman.scratch.join("nothing"));
    let document = podnet.inspect(&id[..12]);
    let workload = &document["workload"];
    assert_eq!((&workload["id"], &workload["pid"], &workload["runtime"]), (&id.into(), &pid.into(), &"podman".into()));
    assert_eq!(workload["seenBy"], serde_json::json!(["proc"]));
    assert_eq!(document["netns"]["inode"], facts::netns(pid));
}

/// Serves each connection in a thread of its own, until the test's process ends.
fn answer_with(path: &PathBuf, answer: impl Fn(std::os::unix::net::UnixStream) + Copy + Send + 'static) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
}
