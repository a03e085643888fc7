//! How much of a snapshot is read, and how much memory and time that may take.

use std::io::Write;
use std::process::Stdio;

use crate::support::podnet::Podnet;
use crate::support::scratch::Scratch;

const MIB: u64 = 1 << 20;

#[test]
fn what_is_longer_than_any_node_is_refused() {
    let scratch = Scratch::new();
    let file = scratch.write("large.json", "");
    std::fs::File::options().write(true).open(&file).unwrap().set_len(128 * MIB + 1).unwrap();
    for command in [&["list"][..], &["inspect", "x"], &["check"], &["endpoint", "get", "1"], &["ipam", "list"]] {
        let ran = Podnet::default().run(&[command, &["--from", file.to_str().unwrap()]].concat());
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{command:?}");
        assert!(ran.stderr.contains("is longer than 128 MiB"), "{command:?}: {}", ran.stderr);
    }
    // As long as may be: read, and found to be none.
    std::fs::File::options().write(true).open(&file).unwrap().set_len(128 * MIB).unwrap();
    let ran = Podnet::default().run(&["list", "--from", file.to_str().unwrap()]);
    assert!(ran.status == 1 && ran.stderr.contains("is no snapshot"), "{}", ran.stderr);
}

#[test]
fn a_stream_without_end_is_given_up() {
    let mut command = Podnet::default().command();
    command.args(["list", "--from", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let spaces = vec![b' '; MIB as usize];
    // Until nobody reads any more.
    let written = (0..1024).take_while(|_| stdin.write_all(&spaces).is_ok()).count() as u64;
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is longer than 128 MiB"), "{output:?}");
    assert!((128..=129).contains(&written), "{written} MiB were taken");
}
