//! Help: it fits, it has examples, and the examples work.

use clap::Command;

use super::commands::commands;
use super::podnet;

fn after(command: &Command) -> String {
    command.get_after_help().map(ToString::to_string).unwrap_or_default()
}

/// The command lines among the examples; what stands two spaces behind one is a remark.
fn examples(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with("podnet ")).map(|line| {
        let end = ["  ", " | ", " >", " <", " &&"].into_iter().filter_map(|mark| line.find(mark)).min();
        line[..end.unwrap_or(line.len())].trim()
    })
}

#[test]
fn help_fits_a_terminal_and_goes_to_stdout() {
    let mut broken = Vec::new();
    for (path, command) in commands() {
        for flag in ["-h", "--help"] {
            let args: Vec<&str> = path.iter().map(String::as_str).chain([flag]).collect();
            for columns in ["60", "80", "200"] {
                let ran = podnet().env("COLUMNS", columns.to_owned()).run(&args);
                assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "podnet {args:?}");
                let widest = ran.stdout.lines().map(|line| line.chars().count()).max().unwrap();
                assert!(widest <= 80, "podnet {args:?} at {columns}: {widest} columns\n{}", ran.stdout);
                if columns == "80" {
                    for line in after(&command).lines() {
                        broken.extend((!ran.stdout.contains(line)).then(|| format!("{args:?}: {line}")));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "lines that are too long for 80 columns:\n{}", broken.join("\n"));
}

#[test]
fn every_command_has_an_example_and_every_example_is_a_command() {
    let all = commands();
    let mut without = Vec::new();
    for (path, command) in &all {
        let own = format!("podnet {}", path.join(" "));
        let mut above = all.iter().filter(|(above, _)| path.starts_with(above));
        let leaf = command.get_subcommands().next().is_none();
        let shown = above.any(|(_, command)| after(command).contains(own.trim()));
        without.extend((leaf && !shown).then_some(own.clone()));
        for line in examples(&after(command)) {
            let words = shlex::split(line).unwrap_or_else(|| panic!("{line}"));
            let parsed = podnet::cli::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{own}: «{line}»: {}", parsed.unwrap_err());
        }
    }
    assert!(without.is_empty(), "commands without an example: {without:?}");
}

#[test]
fn who_takes_a_snapshot_says_so_and_who_refuses_one_does_not() {
    let names_it = |path: &[&str]| podnet().run(&[path, &["--help"]].concat()).stdout.contains(" --from <FILE>");
    for path in [&["ipam"][..], &["ipam", "list"], &["ipam", "check"], &["endpoint", "get"]] {
        assert!(names_it(path), "{path:?}");
    }
    for path in [&["ipam", "pool"][..], &["ipam", "pool", "list"], &["ipam", "show"], &["ipam", "release"]] {
        assert!(!names_it(path), "{path:?}");
    }
}

#[test]
fn every_command_stands_in_one_group_of_the_help() {
    let help = podnet().run(&["--help"]).stdout;
    for (path, command) in commands().iter().filter(|(path, command)| path.len() == 1 && !command.is_hide_set()) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().filter(|line| line.trim_start().starts_with(&format!("{} ", path[0])));
        assert_eq!(lines.filter(|line| line.ends_with(&about)).count(), 1, "{}: {help}", path[0]);
    }
    assert!(help.contains("\nLook:\n") && help.contains("\nStart here:\n"), "{help}");
}

#[test]
fn podnet_alone_says_where_to_start() {
    let ran = podnet().run(&[]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    for words in ["Start here:\n  podnet ", "  podnet list ", "podnet --help"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert!(ran.stderr.lines().count() < 20, "{}", ran.stderr);
}

#[test]
fn a_slip_of_the_finger_is_understood() {
    for (args, meant) in [
        (&["lisst"][..], "'list'"),
        (&["inspekt", "web"], "'inspect'"),
        (&["list", "--al"], "'--all'"),
        (&["list", "--color", "alway"], "'always'"),
        (&["list", "-o", "yml"], "did you mean yaml?"),
    ] {
        let ran = podnet().run(args);
        assert!(ran.status == 2 && ran.stderr.contains(meant), "podnet {args:?}: {}", ran.stderr);
    }
}

#[test]
fn kubectl_knows_it_as_a_plugin() {
    let scratch = crate::support::scratch::Scratch::new();
    let ran = podnet().called(scratch.join("kubectl-podnet")).run(&["inspect"]);
    assert!(ran.stderr.contains("Usage: kubectl podnet inspect"), "{}", ran.stderr);
}
