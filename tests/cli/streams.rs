//! Who reads: a terminal, a pipe, nobody any more, a full disk.

use std::io::Read;
use std::process::Stdio;

use super::{own_pid, podnet};
use crate::support::podnet::Podnet;

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let target = own_pid();
    for args in [&["list", "-o", "json"][..], &["inspect", &target, "-o", "json"], &["inspect", &target]] {
        let mut child = podnet()
            .command()
            .args(args)
            .args(["--runtime", "none"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "podnet {args:?}");
    }
}

#[test]
fn a_full_disk_is_one() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = podnet().command().args(["list", "--runtime", "none"]).stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write the answer\n  caused by: No space left"), "{stderr}");
}

#[test]
fn colour_is_for_those_who_want_it() {
    let target = own_pid();
    let coloured = |environment: &[(&'static str, String)], when: &str| {
        let ran = Podnet::with(environment).run(&["inspect", &target, "--runtime", "none", "--color", when]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        ran.stdout.contains('\u{1b}')
    };
    let refused = [("NO_COLOR", "1".to_owned())];
    assert!(coloured(&[], "always"));
    assert!(!coloured(&[], "never"));
    assert!(!coloured(&[], "auto"), "a pipe takes no colour");
    assert!(!coloured(&refused, "auto"));
    assert!(coloured(&refused, "always"), "the nearer word wins");
}

#[test]
fn colour_leaves_the_columns_where_they_were() {
    let heading = |when: &str| {
        let ran = podnet().run(&["list", "--netns-only", "--runtime", "none", "--color", when]);
        ran.stderr.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "").find("NETNS")
    };
    assert_eq!(heading("always"), heading("never"));
}
