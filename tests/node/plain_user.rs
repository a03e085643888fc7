//! What a plain user sees: what he may, and which capability is missing for the rest.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use crate::support::docker::Docker;
use crate::support::namespace::Namespace;
use crate::support::podnet::{Podnet, on_docker, source};
use crate::support::prerequisite;
use crate::support::scratch::Scratch;

const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

fn as_nobody(podnet: Podnet, scratch: &Scratch) -> Podnet {
    set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    podnet.copied_to(scratch.join("podnet")).through(&AS_NOBODY)
}

#[test]
fn a_container_that_runs_is_not_said_to_be_gone() {
    let Some(docker) = Docker::start() else { return };
    let id = docker.run("shy");
    let scratch = Scratch::new();
    let podnet = as_nobody(on_docker(docker.socket()), &scratch);
    let ran = podnet.run(&["inspect", &id[..12]]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("running") && ran.stdout.contains("needs CAP_SYS_PTRACE"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("NETNS\n  none") && !ran.stdout.contains("no nameserver"), "{}", ran.stdout);
    let ran = podnet.run(&["exec", &id[..12], "--", "true"]);
    assert_eq!(ran.status, 5, "{ran:?}");
    assert!(ran.stderr.contains("hidden") && ran.stderr.contains("CAP_SYS_PTRACE"), "{}", ran.stderr);
}

/// A node that has run out of PIDs is one that somebody looks at.
#[test]
fn without_a_thread_more_it_takes_longer_and_no_more() {
    if !prerequisite::root_and(&["setpriv", "prlimit"]) {
        return;
    }
    let scratch = Scratch::new();
    set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    let podnet = Podnet::default().copied_to(scratch.join("podnet"));
    let podnet = podnet.through(&[&AS_NOBODY[..], &["prlimit", "--nproc=1"]].concat());
    for command in [&["list"][..], &["inspect", "netns:/proc/self/ns/net"], &["status"]] {
        let ran = podnet.run(command);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(!ran.stderr.contains("thread"), "{ran:?}");
    }
}

#[test]
fn the_capability_that_is_missing_is_named_for_what() {
    if !prerequisite::root_and(&["ip", "setpriv"]) {
        return;
    }
    let (netns, scratch) = (Namespace::new(), Scratch::new());
    let podnet = as_nobody(Podnet::default(), &scratch);
    let list = podnet.json(&["list", "--runtime", "none"]);
    let detail = |name: &str| source(&list, name)["detail"].as_str().unwrap().to_owned();
    assert!(detail("proc").contains("hidden (needs CAP_SYS_PTRACE)"), "{}", detail("proc"));
    assert!(detail("kernel").contains("could not be read (needs CAP_SYS_ADMIN)"), "{}", detail("kernel"));
    let ran = podnet.run(&["inspect", &netns.path(), "--runtime", "none"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains(&netns.inode().to_string()) && ran.stdout.contains("not read"), "{}", ran.stdout);
    // His own is whole.
    let own = podnet.json(&["inspect", "netns:/proc/self/ns/net", "--runtime", "none"]);
    assert_eq!(own["interfaces"][0]["name"], "lo", "{own:#}");
    let hint = podnet.run(&["inspect", "192.0.2.99", "--runtime", "none"]);
    assert_eq!(hint.status, 3, "{hint:?}");
    assert!(hint.stderr.contains("as root there is more to see"), "{}", hint.stderr);
    // What is there and may not be looked at is not «nothing»; what is not there is.
    for command in ["check", "inspect"] {
        let hidden = podnet.run(&[command, "pid:1", "--runtime", "none"]);
        assert_eq!(hidden.status, 5, "{hidden:?}");
        let told = hidden.stderr.contains("process 1 may not be looked at") && hidden.stderr.contains("CAP_SYS_PTRACE");
        assert!(told, "{}", hidden.stderr);
        assert_eq!(podnet.run(&[command, "pid:4194305", "--runtime", "none"]).status, 3);
    }
    for args in [&["--help"][..], &["--version"], &["completions", "bash"]] {
        assert_eq!(podnet.run(args).status, 0, "{args:?}");
    }
}
