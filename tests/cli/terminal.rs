//! What stands on a terminal: its letters, its width, its colours.

use std::process::Stdio;

use rexpect::reader::Options;
use rexpect::session::spawn_with_options;
use unicode_width::UnicodeWidthStr;

use super::ordinary::{lines, on};
use super::{own_pid, podnet};
use crate::support::scratch::Scratch;

#[test]
fn a_locale_without_utf8_gets_ascii() {
    let plain = [("LC_ALL", "C"), ("LANG", "C.UTF-8")];
    let utf8 = [("LC_ALL", ""), ("LANG", "en_US.UTF-8")];
    let latin = [("LC_ALL", ""), ("LANG", "de_DE")];
    let lines = lines().into_iter().chain([
        vec!["--help".to_owned()],
        vec!["inspect".to_owned(), "größe".to_owned()],
        vec!["größe".to_owned()],
        vec![],
    ]);
    for words in lines {
        let args: Vec<&str> =
            ["--runtime", "none", "--no-kube"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let args = if words.is_empty() { &[][..] } else { &args };
        for (locale, ascii) in [(&plain, true), (&latin, true), (&utf8, false)] {
            let scratch = Scratch::new();
            let podnet =
                locale.iter().fold(on(&scratch), |podnet, (name, value)| podnet.env(name, (*value).to_owned()));
            let output = podnet.command().args(args).current_dir(scratch.path()).stdin(Stdio::null()).output().unwrap();
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            // Programs read JSON, whatever the locale.
            let json = words.first().is_some_and(|word| word == "schema");
            assert!(!ascii || json || said.is_ascii(), "podnet {args:?} in {locale:?}: {said}");
        }
    }
    let ran = podnet().env("LC_ALL", "C".to_owned()).run(&["ipam", "-o", "json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&ran.stdout).is_ok(), "{}", ran.stdout);
}

/// Only a word that can be pasted, and so stays whole, may reach beyond the edge.
#[test]
fn every_width_is_kept_to() {
    let target = own_pid();
    for columns in [60, 80, 120, 200] {
        for args in [
            &["list", "--runtime", "none"][..],
            &["inspect", &target],
            &["status"],
            &["check", &target],
            &["check", "--list"],
            &["explain", "PN-LINK-001"],
            &["ipam"],
            &["schema"],
        ] {
            let ran = podnet().env("COLUMNS", columns.to_string()).run(&[&["--no-kube"], args].concat());
            // Whatever runs here has an address that may be long; what a list does then is tested in show/list.rs.
            let lines = ran.stdout.lines().filter(|_| args[0] != "list" || columns > 60);
            for line in lines {
                let last = line.split_whitespace().next_back().unwrap_or_default();
                let begins = line.width() - last.width();
                assert!(line.width() <= columns || begins < columns / 2, "podnet {args:?} at {columns}: {line}");
            }
        }
    }
}

/// What podnet writes on a terminal.
fn on_terminal(environment: &[(&str, &str)], args: &[&str]) -> String {
    let mut command = podnet().command();
    command.args(args).envs(environment.iter().copied());
    let mut pty = spawn_with_options(command, Options::new().timeout_ms(Some(20_000))).unwrap();
    pty.exp_eof().unwrap()
}

#[test]
fn a_terminal_gets_the_colours_that_it_wants() {
    let target = own_pid();
    for (args, environment, coloured) in [
        (&["inspect", &target, "--no-kube"][..], &[("TERM", "xterm")][..], true),
        (&["inspect", &target, "--no-kube"], &[("TERM", "dumb")], false),
        (&["inspect", &target, "--no-kube"], &[("TERM", "xterm"), ("NO_COLOR", "1")], false),
        (&["--help"], &[("TERM", "xterm")], true),
        (&["--help"], &[("TERM", "dumb")], false),
        (&["--help"], &[("TERM", "dumb"), ("CI", "true")], false),
        (&["--help"], &[("TERM", "xterm"), ("NO_COLOR", "1")], false),
        (&["bogus"], &[("TERM", "xterm")], true),
        (&["bogus"], &[("TERM", "dumb"), ("CI", "true")], false),
        (&["bogus"], &[("TERM", "xterm"), ("NO_COLOR", "1")], false),
    ] {
        let text = on_terminal(environment, args);
        assert!(!text.is_empty());
        assert_eq!(text.contains('\u{1b}'), coloured, "podnet {args:?} with {environment:?}: {text:?}");
    }
}

#[test]
fn a_dumb_terminal_is_asked_nothing() {
    let text = on_terminal(&[("TERM", "dumb")], &["exec", "--runtime", "none", "--", "true"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let scratch = Scratch::new();
    let (root, run) = (scratch.text("store"), scratch.text("run"));
    let text = on_terminal(
        &[("TERM", "dumb"), ("PODNET_ROOT", &root), ("PODNET_RUN", &run)],
        &["create", "pnt-never", "--dry-run"],
    );
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

/// A terminal is what clap would write as it stands.
#[test]
fn what_was_typed_drives_no_terminal() {
    for args in [
        &["bogus\u{1b}[2J\u{202e}"][..],
        &["list", "--sort", "\u{1b}[2J"],
        &["list", "--\u{1b}[2J"],
        &["inspect", "\u{1b}[2J"],
    ] {
        let text = on_terminal(&[("TERM", "xterm")], args);
        assert!(text.contains("error") && !text.contains("\u{1b}[2J") && !text.contains('\u{202e}'), "{text:?}");
    }
}
