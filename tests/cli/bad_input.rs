//! Every command, and everything that can be wrong with how it is called: a sentence, a status that is documented,
//! and never a panic.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use super::ordinary::{every, is_target, lines, on};
use crate::support::podnet::Podnet;
use crate::support::scratch::Scratch;

/// What `podnet --help` documents, and what a command that was run by exec may end with.
const DOCUMENTED: [i32; 9] = [0, 1, 2, 3, 4, 5, 6, 126, 127];
const FEW_SOURCES: [&str; 3] = ["--runtime", "none", "--no-kube"];

/// It ended as it may, and said so as it should.
fn is_sane(what: &str, output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let status = output.status.code();
    assert!(status.is_some_and(|status| DOCUMENTED.contains(&status)), "{what}: {:?}: {stderr}", output.status);
    for word in ["panicked", "RUST_BACKTRACE", "stack backtrace", "\u{1b}"] {
        assert!(!stderr.contains(word), "{what}: {stderr:?}");
    }
    let failed = status.is_some_and(|status| status != 0);
    assert!(!failed || !stderr.is_empty() || !output.stdout.is_empty(), "{what}: fails without a word");
    assert!(stderr.len() < 2_500, "{what}: {} bytes are no sentence: {stderr}", stderr.len());
}

fn strings<'a>(words: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    words.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// Beside what it does with files, which is the scratch's.
fn command(podnet: &Podnet, scratch: &Scratch, args: &[&str]) -> Command {
    let mut command = podnet.command();
    command.current_dir(scratch.path()).args(args).stdin(Stdio::null());
    command
}

fn shortened(args: &[&str]) -> String {
    args.iter().map(|arg| arg.chars().take(20).collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_is_called_here() {
    let unknown: Vec<String> =
        every().iter().filter(|ordinary| !ordinary.is_known()).map(|ordinary| ordinary.name()).collect();
    assert!(unknown.is_empty(), "add to MORE in tests/cli/ordinary.rs how to call them harmlessly: {unknown:?}");
    assert!(every().len() > 20);
}

#[test]
fn every_wrong_flag_and_format_is_refused() {
    let scratch = Scratch::new();
    let podnet = on(&scratch);
    for ordinary in every() {
        for (wrong, words) in [
            (&["--no-such-flag"][..], "unexpected argument '--no-such-flag'"),
            (&["-o", "csv"], "invalid value 'csv'"),
            (&["-o", "jsonpath=$["], "invalid value"),
            (&["--timeout", "soon"], "not a number of seconds"),
            (&["--runtime"], "a value is required"),
        ] {
            let args = strings(&ordinary.path, wrong);
            let output = command(&podnet, &scratch, &args).output().unwrap();
            is_sane(&format!("podnet {args:?}"), &output);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(2) && stderr.contains(words), "podnet {args:?}: {stderr}");
        }
        let args = strings(&ordinary.path, &[]);
        let mut command = command(&podnet, &scratch, &args);
        let output = command.arg(OsStr::from_bytes(b"\xff\xfe")).output().unwrap();
        is_sane(&format!("podnet {args:?} with bytes that are no text"), &output);
        assert_ne!(output.status.code(), Some(0), "podnet {args:?}");
    }
}

/// Whatever stands behind a command takes none of these.
#[test]
fn every_wrong_target_is_refused() {
    let scratch = Scratch::new();
    let podnet = on(&scratch);
    let long = "x".repeat(10_000);
    let wrong = ["", "   ", long.as_str(), "a\u{1b}[2J", "a\nb"];
    let wrong_target = ["pid:x", "ip:1", "mac:0", "netns:x", "pid:99999999999"];
    let mut targets = 0;
    for ordinary in every() {
        // What follows the dashes is another program's.
        for positional in ordinary.command.get_positionals().filter(|arg| !arg.is_last_set()) {
            let more: &[&str] = if is_target(positional) { &wrong_target } else { &[] };
            targets += usize::from(is_target(positional));
            for wrong in wrong.iter().chain(more) {
                // The others as usual, so that nothing else is missing.
                let mut args = FEW_SOURCES.to_vec();
                args.extend(ordinary.path.iter().map(String::as_str));
                let place = positional.get_index().unwrap_or(1) - 1;
                let flags = ordinary.args.iter().take_while(|arg| arg.starts_with("--")).count();
                let usual = &ordinary.args;
                let at = if usual.len() > flags + place { flags + place } else { usual.len() };
                args.extend(usual[..at].iter().map(String::as_str));
                args.push(wrong);
                args.extend(usual.iter().skip(at + 1).map(String::as_str));
                let output = command(&podnet, &scratch, &args).output().unwrap();
                let what = format!("podnet {}", shortened(&args));
                is_sane(&what, &output);
                let stderr = String::from_utf8_lossy(&output.stderr);
                let refused = matches!(output.status.code(), Some(1..=3)) && stderr.contains("error: ");
                assert!(refused, "{what}: {:?} {stderr}", output.status);
            }
        }
    }
    assert!(targets >= 5, "{targets} commands take a target");
    let made: Vec<_> = ["store/pools", "run"].into_iter().filter(|name| scratch.join(name).exists()).collect();
    assert!(made.is_empty(), "{made:?} was made");
}

/// Whatever an option is given is taken, or refused in words.
#[test]
fn no_value_of_an_option_is_too_much() {
    let scratch = Scratch::new();
    let podnet = on(&scratch);
    let long = "x".repeat(10_000);
    for (nth, ordinary) in every().into_iter().enumerate() {
        let options = ordinary.command.get_arguments().filter(|arg| arg.get_action().takes_values());
        // Those of every command are read in one place.
        let options = options.filter(|arg| nth == 0 || !arg.is_global_set()).filter_map(|arg| arg.get_long());
        for option in options {
            for wrong in ["", long.as_str(), "a\u{1b}[2J", "/dev/null", "/", "-1", "99999999999999999999"] {
                let mut args = ordinary.line();
                let flag = format!("--{option}");
                if let Some(at) = args.iter().position(|arg| *arg == flag) {
                    args.drain(at..at + 2);
                }
                let at = ordinary.path.len();
                args.splice(at..at, [format!("{flag}={wrong}")]);
                let args: Vec<&str> = FEW_SOURCES.into_iter().chain(args.iter().map(String::as_str)).collect();
                let output = command(&podnet, &scratch, &args).output().unwrap();
                is_sane(&format!("podnet {}", shortened(&args)), &output);
            }
        }
    }
}

#[test]
fn a_folder_in_the_place_of_a_socket_is_told() {
    let scratch = Scratch::new();
    let folder = scratch.text("folder");
    std::fs::create_dir(&folder).unwrap();
    let podnet = on(&scratch).env("DOCKER_HOST", format!("unix://{folder}"));
    for words in lines() {
        let sources = ["--runtime-endpoint", &folder, "--agent-socket", &folder, "--no-kube"];
        let args: Vec<&str> = sources.into_iter().chain(words.iter().map(String::as_str)).collect();
        let output = command(&podnet, &scratch, &args).output().unwrap();
        is_sane(&format!("podnet {args:?}"), &output);
    }
}

/// Through a shell, which can close what a process usually has.
#[test]
fn what_a_process_usually_has_may_be_missing() {
    let scratch = Scratch::new();
    for words in lines() {
        let args = [&FEW_SOURCES[..], &strings(&words, &[])].concat();
        for (missing, redirections) in [
            ("stdin", "<&-"),
            ("stdout", ">&-"),
            ("stderr", "2>&-"),
            ("everything", "<&- >&- 2>&-"),
            ("a reader of stderr", "2>&1 >/dev/null | true"),
            ("room for stderr", "2>/dev/full"),
        ] {
            let podnet = on(&scratch).through(&["sh", "-c", &format!("exec \"$@\" {redirections}"), "sh"]);
            let output = command(&podnet, &scratch, &args).output().unwrap();
            let what = format!("podnet {words:?} without {missing}");
            let status = output.status.code();
            assert!(status.is_some_and(|status| DOCUMENTED.contains(&status)), "{what}: {:?}", output.status);
            let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
            assert!(!said.contains("panicked"), "{what}: {said}");
        }
        let mut command = command(&on(&scratch), &scratch, &args);
        command.env_remove("HOME");
        is_sane(&format!("podnet {words:?} without HOME"), &command.output().unwrap());
        // The places that a test may write to stand in the environment.
        if !words.iter().any(|word| ["ipam", "create", "bench"].contains(&word.as_str())) {
            command.env_clear();
            is_sane(&format!("podnet {words:?} without an environment"), &command.output().unwrap());
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for words in lines().iter().filter(|words| words[0] != "exec" && words[..] != ["cni"]) {
        let args = [&FEW_SOURCES[..], &strings(words, &[])].concat();
        let scratch = Scratch::new();
        let usual = command(&on(&scratch), &scratch, &args).output().unwrap();
        let scratch = Scratch::new();
        let mut child =
            command(&on(&scratch), &scratch, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let (told, stderr) = (String::from_utf8_lossy(&usual.stderr), String::from_utf8_lossy(&output.stderr));
        // What fails fails before it writes.
        let expected = usual.status.code();
        let quiet = output.status.code() == Some(0) && stderr.len() <= told.len();
        assert!(
            quiet || (expected != Some(0) && output.status.code() == expected),
            "podnet {words:?}: {:?} {stderr}",
            output.status
        );
    }
}
