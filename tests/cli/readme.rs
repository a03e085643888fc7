//! README: every command line in it is one, and those that only look do what it says.

use std::process::Stdio;

use clap::error::ErrorKind;

use super::ordinary::on;
use crate::support::prerequisite;
use crate::support::scratch::Scratch;

const README: &str = include_str!("../../README.md");

/// Two namespaces by the names that the README calls pods by.
const NODE: &str = "mount -t tmpfs tmpfs /run && ip netns add web-0 && ip netns add web-1 && \"$@\"; exit $?";
const ALONE: [&str; 12] = [
    "unshare",
    "--net",
    "--mount",
    "--propagation",
    "private",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "sh",
    "-c",
    NODE,
];

/// The lines outside of fenced blocks, or the typed ones inside.
fn lines(fenced: bool) -> Vec<&'static str> {
    let blocks = README.split("\n```").enumerate().filter(|(nth, _)| (nth % 2 == 1) == fenced);
    blocks.flat_map(|(_, block)| block.lines()).collect()
}

/// What stands between backticks.
fn spans(line: &'static str) -> impl Iterator<Item = &'static str> {
    line.split('`').skip(1).step_by(2)
}

/// The commands of the table. `-n kube-system` goes on from the one before it, and `… get web-0` from the words before
/// its `get`.
fn of_table() -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let table = lines(false).into_iter().skip_while(|line| *line != "## Commands").skip(1);
    for line in table.take_while(|line| !line.starts_with('#')).filter(|line| line.starts_with('|')) {
        let (_, typed) = line.split_once(" | ").unwrap();
        for span in spans(typed) {
            let before = commands.last().cloned().unwrap_or_default();
            if span.starts_with("podnet ") {
                commands.push(span.to_owned());
            } else if span.starts_with('-') && span.len() > 1 {
                commands.push(format!("{before} {span}"));
            } else if let Some(rest) = span.strip_prefix("… ") {
                let word = rest.split(' ').next().unwrap();
                let (kept, _) = before.split_once(&format!(" {word} ")).unwrap_or_else(|| panic!("{line}"));
                commands.push(format!("{kept} {rest}"));
            }
        }
    }
    commands
}

fn typed() -> impl Iterator<Item = String> {
    lines(true)
        .into_iter()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.starts_with("podnet "))
        .map(str::to_owned)
}

fn parse(line: &str) -> Result<(), clap::Error> {
    let words = shlex::split(line).unwrap_or_else(|| panic!("{line}"));
    podnet::cli::command().try_get_matches_from(words).map(drop)
}

#[test]
fn every_command_line_is_one() {
    let table = of_table();
    assert!(table.len() > 40 && typed().count() > 5, "{table:#?}");
    for line in table.into_iter().chain(typed()) {
        parse(&line).unwrap_or_else(|refused| panic!("«{line}»: {refused}"));
    }
}

/// In a sentence the rest of a command may be left out, and a word stand for any.
#[test]
fn what_sentences_call_a_command_or_an_option_is_one() {
    let text = lines(false).join(" ");
    let spans: Vec<&'static str> = spans(text.leak()).filter(|span| span.starts_with("podnet ")).collect();
    assert!(spans.len() > 50, "{spans:#?}");
    for span in spans.into_iter().filter(|span| !span.contains("COMMAND")) {
        let line = span.split(" | ").next().unwrap();
        if let Err(refused) = parse(line) {
            let unknown = [ErrorKind::UnknownArgument, ErrorKind::InvalidSubcommand, ErrorKind::ArgumentConflict];
            assert!(!unknown.contains(&refused.kind()), "«{line}»: {refused}");
        }
    }
}

/// Whether it changes nothing, ends, and needs no agent and no pods but the two.
fn only_looks(words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    match words[..] {
        ["ipam"] | ["ipam", "list" | "check", ..] => true,
        ["exec", ..] => !words.contains(&"--all") && !words.contains(&"getent"),
        ["status" | "list" | "inspect" | "check" | "explain" | "snapshot" | "schema", ..] => {
            !words.contains(&"--watch")
        }
        _ => false,
    }
}

#[test]
fn those_that_only_look_do_so() {
    if !prerequisite::root_and(&["unshare", "ip", "id"]) {
        return;
    }
    let scratch = Scratch::new();
    let mut ran = 0;
    for line in of_table() {
        let words = shlex::split(&line).unwrap();
        if !only_looks(&words) {
            continue;
        }
        let mut command = on(&scratch).through(&[&ALONE[..], &["sh"]].concat()).command();
        command.args(&words[1..]).current_dir(scratch.path()).env("SHELL", "/bin/sh").stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // A check of an empty node may find something.
        let fine = output.status.code().is_some_and(|status| status == 0 || (words[1] == "check" && status == 6));
        assert!(fine, "«{line}»: {} {said}", output.status);
        if words.iter().any(|word| word == "save") {
            std::fs::copy(scratch.join("node7.json"), scratch.join("later.json")).unwrap();
        }
        ran += 1;
    }
    assert!(ran > 20, "{ran}");
}
