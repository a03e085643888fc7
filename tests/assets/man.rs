//! `man/`: the pages, from the texts that `--help` shows and from what podnet is made of.

mod checks;
mod command;
mod page;
mod plugin;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::prerequisite;
use crate::{kept, sources};

/// Every page by its file's name.
fn pages() -> BTreeMap<String, String> {
    let mut pages = command::pages();
    pages.insert("podnet-checks.7".to_owned(), checks::page());
    pages.insert("podnet-json.7".to_owned(), schema::page());
    pages.insert("podnet-cni.8".to_owned(), plugin::page());
    pages
}

#[test]
fn the_pages_say_what_podnet_does_now() {
    kept::folder("man", &pages());
}

/// What a formatter finds wrong with a page.
fn complaints(program: &str, args: &[&str], page: &str) -> String {
    let mut command = Command::new(program);
    let child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut input = child.stdin.take().unwrap();
    let page = page.to_owned();
    let writing = std::thread::spawn(move || input.write_all(page.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    let said = if args.contains(&"-Tlint") { output.stdout } else { output.stderr };
    String::from_utf8(said).unwrap()
}

#[test]
fn formatters_have_nothing_to_complain_of() {
    if !prerequisite::has(&["mandoc", "man"]) {
        return;
    }
    for (name, page) in pages() {
        assert_eq!(complaints("mandoc", &["-Tlint", "-Wstyle"], &page), "", "{name}");
        assert_eq!(complaints("man", &["--warnings", "-E", "UTF-8", "-l", "-"], &page), "", "{name}");
    }
}

/// What is the same for all stands in podnet(1), and every other page of a command leads there.
#[test]
fn every_page_has_what_one_looks_for() {
    for (name, page) in pages() {
        let has = |heading: &str| page.lines().any(|line| line.replace('"', "") == format!(".SH {heading}"));
        let wanted: &[&str] = match name.as_str() {
            "podnet.1" => &["ENVIRONMENT", "FILES", "CAPABILITIES", "EXIT STATUS", "SEE ALSO"],
            name if name.ends_with(".1") => &["SYNOPSIS", "DESCRIPTION", "EXAMPLES", "COMMON", "SEE ALSO"],
            _ => &["NAME", "DESCRIPTION", "SEE ALSO"],
        };
        // A command with one example has one.
        let missing = wanted.iter().filter(|heading| !has(heading) && !has(heading.trim_end_matches('S')));
        assert_eq!(missing.collect::<Vec<_>>(), [&""; 0], "{name}");
    }
}

/// A variable that is read somewhere stands in the manual.
#[test]
fn every_variable_is_told_of() {
    const OF_THE_SYSTEM: [&str; 3] = ["HOME", "PATH", "SHELL"];
    let mut read = BTreeSet::new();
    for text in sources::below("src") {
        for mark in ["var(\"", "var_os(\"", " env = \""] {
            read.extend(text.split(mark).skip(1).map(|rest| rest[..rest.find('"').unwrap()].to_owned()));
        }
    }
    let internal = |name: &str| name.starts_with("PODNET_COMPLETE") || name.starts_with("PODNET_TESTS");
    let told = pages().values().cloned().collect::<String>();
    let untold: Vec<_> = read
        .iter()
        .filter(|name| !internal(name) && !OF_THE_SYSTEM.contains(&name.as_str()))
        .filter(|name| !told.contains(name.as_str()))
        .collect();
    assert!(read.contains("NO_COLOR"), "{read:?}");
    assert!(untold.is_empty(), "add to ENVIRONMENT in src/cli/help.rs, or to the help of the command: {untold:?}");
}
