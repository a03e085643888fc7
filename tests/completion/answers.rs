//! The answers, in the form that fish takes them: a word, a tab, what it is.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use podnet::cli;

use crate::support::fake_docker::{FakeDocker, container, container_of_pod};
use crate::support::podnet::{Podnet, Ran};
use crate::support::scratch::Scratch;

/// Asks for what the last word can become.
fn asked(podnet: Podnet, words: &[&str]) -> Ran {
    podnet.env("PODNET_COMPLETE", "fish".to_owned()).run(&[&["--", "podnet"], words].concat())
}

fn words(ran: &Ran) -> Vec<&str> {
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    ran.stdout.lines().map(|line| line.split('\t').next().unwrap()).collect()
}

fn on(docker: &FakeDocker) -> Podnet {
    Podnet::default().env("DOCKER_HOST", docker.host())
}

#[test]
fn every_command_and_every_flag_is_offered() {
    fn look(command: &clap::Command, path: &[&str]) {
        let ran = asked(Podnet::default(), &[path, &["--"]].concat());
        let offered = words(&ran);
        for flag in command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long()) {
            assert!(offered.contains(&format!("--{flag}").as_str()), "podnet {path:?} --{flag}: {offered:?}");
        }
        let ran = asked(Podnet::default(), &[path, &[""]].concat());
        for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = subcommand.get_name();
            assert!(words(&ran).contains(&name), "podnet {path:?} {name}: {}", ran.stdout);
            if name != "help" {
                look(subcommand, &[path, &[name]].concat());
            }
        }
    }
    let mut command = cli::command();
    command.build();
    look(&command, &[]);
}

#[test]
fn targets_come_with_what_they_are() {
    let scratch = Scratch::new();
    let containers =
        vec![container("pnt-db"), container_of_pod("pnt-web-0", "app"), container_of_pod("pnt-web-0", "envoy")];
    let docker = FakeDocker::new(&scratch, containers);
    let ran = asked(on(&docker), &["inspect", ""]);
    for line in ["pnt-db\tdocker, registry.example/db:1", "default/pnt-web-0\tpod of app, envoy", "lo\tloopback"] {
        assert!(ran.stdout.lines().any(|offered| offered == line), "{line}: {}", ran.stdout);
    }
    for (typed, offered) in [
        (&["inspect", "pnt-d"][..], &["pnt-db"][..]),
        (&["inspect", "pod:default/pnt-w"], &["pod:default/pnt-web-0"]),
        (&["inspect", "default/pnt-web-0/"], &["default/pnt-web-0/app", "default/pnt-web-0/envoy"]),
        (&["exec", "-t", "pnt-d"], &["pnt-db"]),
        (&["exec", "--target=pnt-d"], &["--target=pnt-db"]),
        (&["list", "-n", "def"], &["default"]),
        (&["inspect", "pnt-nothing"], &[]),
    ] {
        assert_eq!(words(&asked(on(&docker), typed)), offered, "{typed:?}");
    }
}

const LINKS: [&str; 9] = [
    "PN-LINK-001",
    "PN-LINK-002",
    "PN-LINK-003",
    "PN-LINK-004",
    "PN-LINK-005",
    "PN-LINK-006",
    "PN-LINK-007",
    "PN-LINK-008",
    "PN-LINK-009",
];

#[test]
fn words_that_are_known_beforehand() {
    for (typed, offered) in [
        (&["list", "-o", "js"][..], &["json", "jsonpath="][..]),
        (&["list", "--output=ya"], &["--output=yaml"]),
        (&["list", "-oya"], &["-oyaml"]),
        (&["--color", "a"], &["auto", "always"]),
        (&["list", "--sort", ""], &["name", "pid", "netns", "address"]),
        (&["list", "--runtime", "co"], &["containerd"]),
        (&["completions", "z"], &["zsh"]),
        (&["ipam", "pool", "r"], &["rm"]),
        (&["explain", "PN-LINK-00"], &LINKS),
        (&["check", "--rule", "PN-LINK-00"], &LINKS),
        (&["check", "--ignore", "rou"], &["route"]),
        (&["bogus", "x"], &[]),
    ] {
        assert_eq!(words(&asked(Podnet::default(), typed)), offered, "{typed:?}");
    }
}

#[test]
fn pools_and_addresses_are_those_of_the_store() {
    let scratch = Scratch::new();
    let root = scratch.text("store");
    let podnet = || Podnet::default().env("PODNET_ROOT", root.clone());
    let ran = podnet().run(&["ipam", "pool", "add", "pnt-blue", "10.7.0.0/24"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    scratch.write("store/networks/pnt-blue/10.7.0.9", "3f2a91c04d5e\r\neth0");
    for (typed, offered) in [
        (&["ipam", "list", "--pool", "pnt"][..], &["pnt-blue"][..]),
        (&["ipam", "pool", "rm", "pnt"], &["pnt-blue"]),
        (&["ipam", "show", "10.7"], &["10.7.0.9"]),
        (&["ipam", "release", "10.7"], &["10.7.0.9"]),
        (&["ipam", "release", "--container", "3"], &["3f2a91c04d5e"]),
    ] {
        assert_eq!(words(&asked(podnet(), typed)), offered, "{typed:?}");
    }
}

#[test]
fn behind_the_dashes_stands_another_program() {
    let scratch = Scratch::new();
    scratch.write("bin/pnt-no-program", "");
    let tool = scratch.write("bin/pnt-tool", "#!/bin/sh\n");
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let podnet = || Podnet::default().env("PATH", format!("{}:/usr/bin:/bin", scratch.text("bin")));
    for (typed, offered) in [
        (&["exec", "web", "--", "pnt-"][..], &["pnt-tool"][..]),
        (&["exec", "--all", "--", "pnt-"], &["pnt-tool"]),
        (&["exec", "--", "pnt-"], &["pnt-tool"]),
        (&["exec", "web", "--", "pnt-tool", "--"], &[]),
    ] {
        assert_eq!(words(&asked(podnet(), typed)), offered, "{typed:?}");
    }
}

#[test]
fn a_name_that_a_shell_would_run_is_not_offered() {
    let scratch = Scratch::new();
    let docker = FakeDocker::new(
        &scratch,
        vec![container("pnt-a"), container("pnt-$(id)"), container("pnt-;id"), container("pnt-\u{1b}[2J")],
    );
    assert_eq!(words(&asked(on(&docker), &["inspect", "pnt-"])), ["pnt-a"]);
}

#[test]
fn a_hundred_containers_are_offered_in_no_time() {
    let scratch = Scratch::new();
    let docker = FakeDocker::new(&scratch, (0..100).map(|number| container(&format!("pnt-{number:03}"))).collect());
    // What is packed, where `tests/run` built it; unoptimised it takes several times as long.
    let packed = std::env::var_os("PODNET_TESTS_STATIC").map(PathBuf::from);
    let packed = packed.filter(|file| file.to_string_lossy().contains("/release/"));
    let optimised = packed.is_some() || !cfg!(debug_assertions);
    let limit = Duration::from_millis(if optimised { 50 } else { 150 });
    let podnet = || match &packed {
        Some(file) => on(&docker).in_place(file.clone()),
        None => on(&docker),
    };
    // Once is enough: the machine may have other things to do, and for long.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut fastest = Duration::MAX;
    while fastest > limit && Instant::now() < deadline {
        let ran = asked(podnet(), &["inspect", "pnt-"]);
        assert_eq!(words(&ran).len(), 100);
        fastest = fastest.min(ran.elapsed);
    }
    assert!(fastest <= limit, "{fastest:?}");
}

#[test]
fn a_runtime_that_hangs_costs_its_deadline_and_no_word() {
    let scratch = Scratch::new();
    let docker = FakeDocker::hung(&scratch);
    let begin = Instant::now();
    let ran = asked(on(&docker), &["inspect", "l"]);
    assert!(words(&ran).contains(&"lo"), "{}", ran.stdout);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn what_goes_wrong_is_answered_with_nothing() {
    let scratch = Scratch::new();
    let folder = scratch.text("folder");
    std::fs::create_dir(&folder).unwrap();
    let podnet = || {
        Podnet::default()
            .env("DOCKER_HOST", format!("unix://{folder}"))
            .env("PODNET_ROOT", "/dev/null".to_owned())
            .env("PATH", String::new())
    };
    for typed in [&["inspect", "pnt-"][..], &["ipam", "show", "1"], &["exec", "x", "--", "i"], &["inspect", "\u{1b}"]] {
        assert_eq!(words(&asked(podnet(), typed)), [""; 0], "{typed:?}");
    }
    let ran = Podnet::default().env("PODNET_COMPLETE", "tcsh".to_owned()).run(&["completions", "bash"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "a variable that no shell of ours sets means nothing");
}
