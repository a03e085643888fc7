//! A node is broken, kept, and destroyed. What every command prints of the file stays what it was.

use std::path::Path;

use crate::node::{Kind, Node};
use crate::support::machine::Machine;
use crate::support::podnet::{Podnet, Ran};

const FORMATS: [&str; 5] = ["table", "wide", "json", "yaml", "name"];

/// What is asked of a snapshot: everything, of every target that it has.
fn questions(machine: &Machine, file: &str) -> Vec<Vec<String>> {
    let mut questions: Vec<Vec<&str>> = vec![
        vec!["list"],
        vec!["list", "--all", "--sort", "pid"],
        vec!["list", "--netns-only"],
        vec!["check", "--grace", "0"],
        vec!["check", "--grace", "0", "--severity", "error", "--rule", "route"],
        vec!["endpoint", "list"],
        vec!["ipam"],
        vec!["ipam", "list"],
        vec!["ipam", "check"],
        vec!["inspect", "pid:1"],
        vec!["inspect", "nobody-at-all"],
        vec!["snapshot", "diff", file],
    ];
    let names = machine.podnet(&["list", "--from", file, "-o", "name"]).stdout;
    for name in names.lines() {
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
    // Another place, directory, time zone and user's taste.
    let moved = kept.path().join("elsewhere.json");
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
    let questions = questions(machine, &file);
    assert!(questions.len() >= 11, "{questions:?}");
    let before = answers(&questions, |words| machine.podnet(words));
    std::fs::copy(&file, &moved).unwrap();
    renew(&moved, kind);
    drop(node);
    let questions: Vec<Vec<String>> = questions
        .into_iter()
        .map(|words| {
            words.into_iter().map(|word| if word == file { moved.to_str().unwrap().to_owned() } else { word }).collect()
        })
        .collect();
    let elsewhere = Podnet::with(&[("TZ", "Pacific/Auckland".to_owned())]);
    let after = answers(&questions, |words| {
        let mut command = elsewhere.command();
        command.current_dir(kept.path()).env_remove("COLUMNS").args(words);
        Ran::new(command.output().unwrap(), std::time::Duration::ZERO)
    });
    for ((question, before), after) in
        questions.iter().flat_map(|question| FORMATS.map(|_| question)).zip(&before).zip(&after)
    {
        assert_eq!(before, after, "{question:?}");
    }
    let answered = before.iter().filter(|(_, stdout, _)| !stdout.is_empty()).count();
    assert!(answered * 2 > before.len(), "{answered} of {}", before.len());
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
