//! A node is broken, kept, and destroyed. What every command prints of the file stays what it was.

use std::path::Path;
use std::process::Command;

use crate::node::{Kind, Node};
use crate::support::docker::Docker;
use crate::support::podnet::{Podnet, Ran, on_docker};
use crate::support::shell::succeed;

const FORMATS: [&str; 5] = ["table", "wide", "json", "yaml", "name"];

/// What is asked of a snapshot: everything, of every target that is of concern.
fn questions(names: &[&str], file: &str) -> Vec<Vec<String>> {
    let mut questions: Vec<Vec<&str>> = vec![
        vec!["list"],
        vec!["list", "--all", "--sort", "pid"],
        vec!["list", "--netns-only"],
        vec!["check", "--grace", "0"],
        vec!["check", "--grace", "0", "--severity", "error", "--rule", "route"],
        vec!["endpoint", "list"],
        vec!["endpoint", "get", "1"],
        vec!["endpoint", "log", "pid:1"],
        vec!["ipam"],
        vec!["ipam", "list"],
        vec!["ipam", "check"],
        vec!["inspect", "pid:1"],
        vec!["inspect", "nobody-at-all"],
        vec!["snapshot", "diff", file],
    ];
    for name in names {
        questions.push(vec!["inspect", name]);
        questions.push(vec!["check", "--grace", "0", name]);
    }
    let whole = |question: Vec<&str>| {
        let from = if question[0] == "snapshot" { vec![file] } else { vec!["--from", file] };
        question.into_iter().chain(from).map(str::to_owned).collect()
    };
    questions.into_iter().map(whole).collect()
}

fn answers(questions: &[Vec<String>], podnet: impl Fn(&[&str]) -> Ran) -> Vec<(i32, String, String)> {
    let mut answers = Vec::new();
    for question in questions {
        for format in FORMATS {
            let words: Vec<&str> = question.iter().map(String::as_str).chain(["-o", format]).collect();
            let ran = podnet(&words);
            answers.push((ran.status, ran.stdout, ran.stderr));
        }
    }
    answers
}

fn prove(kind: Kind, broken: &str) {
    let Some(node) = Node::new(kind) else { return };
    node.run(broken);
    let machine = &node.machine;
    let kept = tempfile::tempdir().unwrap();
    let file = machine.scratch().text("node.json");
    let saved = machine.podnet(&["snapshot", "save", &file]);
    assert_eq!(saved.status, 0, "{}", saved.stderr);
    let same_as_live = [vec!["list"], vec!["list", "--netns-only", "-o", "wide"], vec!["ipam"], vec!["ipam", "list"]];
    for words in same_as_live {
        let live = machine.podnet(&words);
        let replayed = machine.podnet(&[words.clone(), vec!["--from", &file]].concat());
        assert_eq!(without_times(&live.stdout), without_times(&replayed.stdout), "{words:?}");
    }
    let live = machine.podnet(&["check", "--grace", "0", "-o", "name"]);
    let replayed = machine.podnet(&["check", "--grace", "0", "-o", "name", "--from", &file]);
    assert_eq!((live.status, &live.stdout), (replayed.status, &replayed.stdout));
    if !broken.is_empty() {
        assert_eq!(live.status, 6, "{}", live.stdout);
    }
    let names = machine.podnet(&["list", "--from", &file, "-o", "name"]).stdout;
    let questions = questions(&names.lines().collect::<Vec<_>>(), &file);
    let here = answers(&questions, |words| machine.podnet(words));
    // Another place, directory, time zone and user's taste.
    let moved = kept.path().join("elsewhere.json");
    std::fs::copy(&file, &moved).unwrap();
    renew(&moved, kind);
    drop(node);
    same_elsewhere(&questions, &here, &file, &moved);
}

/// The same byte for byte by a copy of the file, when the node is no more.
fn same_elsewhere(questions: &[Vec<String>], here: &[(i32, String, String)], file: &str, moved: &Path) {
    let elsewhere = Podnet::with(&[("TZ", "Pacific/Auckland".to_owned())]);
    let of_copy = |word: &String| if word == file { moved.to_str().unwrap().to_owned() } else { word.clone() };
    let copied: Vec<Vec<String>> = questions.iter().map(|words| words.iter().map(of_copy).collect()).collect();
    let there = answers(&copied, |words| {
        let mut command = elsewhere.command();
        command.current_dir(moved.parent().unwrap()).env_remove("COLUMNS").args(words);
        Ran::new(command.output().unwrap(), std::time::Duration::ZERO)
    });
    let asked = questions.iter().flat_map(|question| FORMATS.map(|_| question));
    for ((question, here), there) in asked.zip(here).zip(&there) {
        assert_eq!(here, there, "{question:?}");
    }
    let answered = here.iter().filter(|(_, stdout, _)| !stdout.is_empty()).count();
    assert!(answered * 2 > here.len(), "{answered} of {}", here.len());
}

/// The line of sources tells how long each took.
fn without_times(text: &str) -> String {
    text.lines().take_while(|line| *line != "SOURCES").map(|line| format!("{line}\n")).collect()
}

/// The snapshot that fuzz.rs begins with, and that later versions must still read.
fn renew(file: &Path, kind: Kind) {
    if std::env::var_os("PODNET_RENEW").is_some_and(|value| value == "1") && kind == Kind::Nested {
        std::fs::copy(file, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/snapshot/node.json")).unwrap();
    }
}

#[test]
fn a_bridge_without_a_default_route() {
    prove(Kind::Bridge, "pod ip route del default");
}

#[test]
fn pods_with_routes_of_their_own() {
    prove(Kind::Routed, "router ip route del \"$IP4\" dev \"$HOSTIF\"");
}

#[test]
fn a_nested_node_whose_pair_is_down() {
    prove(Kind::Nested, "router ip link set \"$HOSTIF\" down");
}

#[test]
fn a_healthy_macvlan() {
    prove(Kind::Macvlan, "");
}

#[test]
fn pairs_that_lead_to_the_host_without_a_bridge() {
    prove(Kind::Ptp, "pod ip link set eth0 mtu 1000; router ip link set \"$HOSTIF\" mtu 9000");
}

#[test]
fn processes_on_the_hosts_own_network() {
    prove(Kind::Host, "");
}

/// A real dockerd's: on a bridge and broken, on the host's network, on that of another container, and on none.
#[test]
fn containers_of_docker() {
    let Some(docker) = Docker::start() else { return };
    let web = docker.run("replay-web");
    let of_web = format!("container:{web}");
    let others = [("replay-host", "host"), ("replay-beside", of_web.as_str()), ("replay-alone", "none")];
    let ids = others.map(|(name, network)| docker.run_with(name, &["--network", network], &[]));
    let ids: Vec<&str> = std::iter::once(&web).chain(&ids).map(String::as_str).collect();
    let pid = docker.pid("replay-web").to_string();
    succeed(Command::new("nsenter").args(["-t", &pid, "-n", "ip", "route", "del", "default"]));
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("here.json").to_str().unwrap().to_owned();
    let node = on_docker(docker.socket());
    let saved = node.run(&["snapshot", "save", &file]);
    assert_eq!(saved.status, 0, "{}", saved.stderr);
    let live = node.run(&["check", &web, "--grace", "0", "-o", "name"]);
    let replayed = node.run(&["check", &web, "--grace", "0", "-o", "name", "--from", &file]);
    assert_eq!((live.status, &live.stdout), (replayed.status, &replayed.stdout), "{}", replayed.stderr);
    assert!(live.stdout.contains("PN-ROUTE-002"), "{}", live.stdout);
    for id in &ids {
        let (live, replayed) = (node.inspect(id), node.json(&["inspect", id, "--from", &file]));
        // The host's own routes are still coming (RFC 4862, duplicate address detection).
        let parts = ["workload", "netns", "rules", "routes"];
        for part in &parts[..if live["netns"]["isHost"] == true { 3 } else { 4 }] {
            assert_eq!(live[*part], replayed[*part], "{part} of {id}");
        }
    }
    let questions = questions(&ids, &file);
    let here = answers(&questions, |words| node.run(words));
    drop(docker);
    let moved = kept.path().join("elsewhere.json");
    std::fs::copy(&file, &moved).unwrap();
    same_elsewhere(&questions, &here, &file, &moved);
}
