//! Running plugins that do what plugins should not.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use podnet::cni::error::Code;
use podnet::cni::exec::{self, Call, Error};
use podnet::cni::{SpecVersion, Verb};

use crate::plugins::Plugins;

fn call(program: PathBuf, verb: Verb) -> Call {
    Call { program, verb, variables: Vec::new(), stdin: b"{}".to_vec(), deadline: Duration::from_secs(20) }
}

#[test]
fn the_environment_is_that_of_the_protocol_and_nothing_leaks_in() {
    let plugins = Plugins::new();
    let program = plugins.write("a", r#"env | grep ^CNI_ | sort >>$LOG; cat >>$LOG; echo noise >&2"#);
    let mut call = call(program, Verb::Status);
    call.variables = vec![("CNI_PATH", "/p".into())];
    let ran = call.run().unwrap();
    assert_eq!(plugins.log(), ["CNI_COMMAND=STATUS", "CNI_PATH=/p", "{}"]);
    assert_eq!(ran.stderr, b"noise\n");
}

#[test]
fn an_error_object_is_read_from_standard_output() {
    let plugins = Plugins::new();
    let program =
        plugins.write("a", r#"echo '{"cniVersion":"1.0.0","code":11,"msg":"later","details":"soon"}'; exit 1"#);
    let error = call(program, Verb::Add).run().unwrap_err();
    assert_eq!(error.refusal().unwrap().code, Code::TRY_AGAIN);
    assert!(error.to_string().ends_with("/a refused ADD: later; soon (code 11, try again later)"), "{error}");
}

#[test]
fn whatever_else_it_ends_with_is_told_with_its_last_words() {
    let plugins = Plugins::new();
    for (body, words) in [
        ("echo boom >&2; exit 3", vec!["exit status: 3", "it said: boom"]),
        ("echo '{\"code\": '; exit 1", vec!["without an error of the CNI spec", "{\"code\":"]),
        ("exit 1", vec!["it said nothing"]),
        ("kill -SEGV $$", vec!["signal: 11"]),
    ] {
        let error = call(plugins.write("a", body), Verb::Del).run().unwrap_err();
        assert!(matches!(error, Error::Died { .. }), "{error:?}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{body}: {error}");
    }
    for body in ["", "echo", "echo '[]'", "echo '{\"ips\": 7}'", "echo '{\"cniVersion\": \"9.0.0\"}'"] {
        let error = call(plugins.write("a", body), Verb::Add).run_add(SpecVersion::V1_0_0).unwrap_err();
        assert!(matches!(error, Error::NotAnAnswer { .. }), "{body}: {error:?}");
    }
}

#[test]
fn a_deadline_ends_it_and_its_children() {
    let plugins = Plugins::new();
    let program = plugins.write("a", "echo waiting >&2; sleep 600 & echo $! >>$LOG; wait");
    let call = Call { deadline: Duration::from_millis(700), ..call(program, Verb::Add) };
    let begin = Instant::now();
    let error = call.run().unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }) && error.to_string().contains("waiting"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(15));
    let child = plugins.log()[0].clone();
    let gone = || {
        let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        (status.is_empty() || status.contains("State:\tZ")).then_some(())
    };
    crate::support::shell::wait_for("the plugin's child to end", Duration::from_secs(10), gone);
}

#[test]
fn a_child_that_keeps_the_output_open_is_not_waited_for() {
    let plugins = Plugins::new();
    let program = plugins.write("a", "sleep 600 & echo $! >>$LOG; echo '{}'");
    let begin = Instant::now();
    let (_, ran) = call(program, Verb::Add).run_add(SpecVersion::V1_0_0).unwrap();
    assert_eq!(ran.stdout, b"{}\n");
    assert!(begin.elapsed() < Duration::from_secs(15));
    let child = nix::unistd::Pid::from_raw(plugins.log()[0].parse().unwrap());
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn large_input_and_output_do_not_wait_for_each_other() {
    let plugins = Plugins::new();
    let program = plugins.write("a", "head -c 1000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero >&2; cat");
    let ran = Call { stdin: vec![b'y'; 1 << 20], ..call(program, Verb::Del) }.run().unwrap();
    assert_eq!((ran.stdout.len(), ran.stderr.len()), (1_000_000 + (1 << 20), 1_000_000));
    let unread = plugins.write("b", "exit 0");
    Call { stdin: vec![b'y'; 1 << 20], ..call(unread, Verb::Del) }.run().unwrap();
    let endless = plugins.write("c", "cat /dev/zero");
    assert!(matches!(call(endless, Verb::Del).run(), Err(Error::TooLong { .. })));
}

#[test]
fn a_plugin_that_is_being_written_is_waited_for() {
    let plugins = Plugins::new();
    let program = plugins.program("a");
    fs::copy("/bin/true", &program).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&program).unwrap();
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(writer);
    });
    call(program, Verb::Del).run().unwrap();
    release.join().unwrap();
}

#[test]
fn only_a_program_of_the_path_is_found() {
    let plugins = Plugins::new();
    let program = plugins.write("a", "");
    fs::create_dir(plugins.program("directory")).unwrap();
    let path = [PathBuf::new(), "/nowhere".into(), plugins.scratch.join("bin")];
    assert_eq!(exec::find("a", &path).unwrap(), program);
    for kind in ["", ".", "..", "../bin/a", "directory", "none", "/bin/sh", "a\0"] {
        assert!(matches!(exec::find(kind, &path), Err(Error::NotFound { .. })), "{kind:?}");
    }
    let not_executable = plugins.program("data");
    fs::write(&not_executable, "text").unwrap();
    assert!(matches!(call(not_executable, Verb::Del).run(), Err(Error::Start { .. })));
}

#[test]
fn versions_are_asked_of_new_and_old_plugins() {
    let plugins = Plugins::new();
    let new = plugins.write("a", r#"echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","7.0.0"]}'"#);
    let versions = exec::versions(&new, Duration::from_secs(10)).unwrap();
    assert!(versions.supports(SpecVersion::V0_4_0) && !versions.supports(SpecVersion::V1_0_0));
    let old = plugins.write("b", r#"echo '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}'; exit 1"#);
    let versions = exec::versions(&old, Duration::from_secs(10)).unwrap();
    assert_eq!(versions.supported_versions, ["0.1.0"]);
}
