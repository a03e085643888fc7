//! Where the target comes from when the command line names none.

use std::process::Command;

use crate::node::alone;
use crate::resident::{PODNET, Resident, podnet, text};
use crate::support::fake_docker::{FakeDocker, container};
use crate::support::namespace::Namespace;
use crate::support::podnet::Podnet;
use crate::support::prerequisite;
use crate::support::scratch::Scratch;

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
fn the_only_candidate_is_taken_and_of_several_none() {
    if !prerequisite::root_and(&["ip", "unshare"]) {
        return;
    }
    let run = |names: &[&str]| alone(names).run(&["exec", "--runtime", "none", "--", "ip", "-br", "link"]);
    let only = run(&["alpha"]);
    assert_eq!(only.status, 0, "{only:?}");
    assert!(only.stdout.contains("alpha"), "{only:?}");
    let several = run(&["beta", "alpha"]);
    assert_eq!((several.status, several.stdout.as_str()), (4, ""), "{several:?}");
    let (alpha, beta) = (several.stderr.find("alpha").unwrap(), several.stderr.find("beta").unwrap());
    assert!(alpha < beta, "by name: {}", several.stderr);
    let none = run(&[]);
    assert_eq!(none.status, 3, "{none:?}");
}

/// As a zombie that nobody buries: root, who sees all, is told of no permission that is missing.
#[test]
fn a_container_without_a_living_process_is_not_called_hidden() {
    if !prerequisite::root_and(&[]) {
        return;
    }
    let scratch = Scratch::new();
    let docker = FakeDocker::new(&scratch, vec![container("web")]);
    let ran = Podnet::with(&[("DOCKER_HOST", docker.host())]).run(&["exec", "web", "--", "true"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (3, ""), "{ran:?}");
    assert!(ran.stderr.contains("no process of it lives here"), "{}", ran.stderr);
}

/// The one that docker may have is perhaps the one that is meant.
#[test]
fn a_name_that_a_silent_runtime_may_have_too_is_told() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (scratch, netns) = (Scratch::new(), Namespace::new());
    let docker = FakeDocker::hung(&scratch);
    let run = |target: &str, environment: &[(&'static str, String)]| {
        let ran = Podnet::with(environment).run(&["exec", target, "--timeout", "0.2", "--", "true"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{ran:?}");
        ran.stderr
    };
    let hung = [("DOCKER_HOST", docker.host())];
    let told = run(&netns.name, &hung);
    assert!(told.starts_with("podnet: docker may have a") && told.contains(&netns.name), "{told}");
    assert_eq!(run(&format!("netns:{}", netns.name), &hung), "", "no container is called so");
    assert_eq!(run(&netns.name, &[]), "");
}
