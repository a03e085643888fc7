//! `-v` and `-vv`: what podnet does, on standard error.

use serde_json::Value;

use super::{own_pid, podnet};

#[test]
fn each_source_and_each_question_to_the_kernel_is_told_where_it_is_asked_for() {
    let target = own_pid();
    let said = |flags: &[&str]| {
        let ran = podnet().run(&[&["inspect", &target, "--runtime", "none", "--no-kube"], flags].concat());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        ran.stderr
    };
    assert_eq!(said(&[]), "");
    let sources = said(&["-v"]);
    let answered = |source: &str| {
        sources.lines().any(|line| line.contains("answered") && line.contains(&format!("source=\"{source}\"")))
    };
    assert!(answered("proc") && answered("kernel") && answered("cilium agent"), "{sources}");
    assert!(!sources.contains("RTM_GETLINK"), "{sources}");
    let requests = said(&["-vv"]);
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata("/proc/self/ns/net").unwrap());
    for words in [r#"request="RTM_GETLINK" answers="#, "elapsed_ms=", &format!("in{{netns={inode}}}")] {
        assert!(requests.contains(words), "{words}: {requests}");
    }
}

#[test]
fn a_log_for_programs_is_json_and_the_answer_is_the_same() {
    let plain = podnet().run(&["ipam", "list", "-o", "json"]);
    let logged = podnet().run(&["ipam", "list", "-o", "json", "-vv", "--log-format", "json"]);
    assert_eq!(plain.stdout, logged.stdout);
    let ran = podnet().run(&["list", "--runtime", "none", "-o", "json", "-vv", "--log-format", "json"]);
    let lines: Vec<Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let proc = lines.iter().find(|line| line["source"] == "proc").unwrap();
    assert!(proc["timestamp"].is_string() && proc["elapsed_ms"].is_number(), "{proc}");
    assert_eq!((&proc["level"], &proc["message"]), (&"INFO".into(), &"answered".into()));
    assert!(lines.iter().any(|line| line["request"] == "RTM_GETLINK"), "{}", ran.stderr);
}

#[test]
fn names_of_others_drive_no_terminal_in_a_log_either() {
    let podnet = podnet().env("DOCKER_HOST", "unix:///tmp/\u{1b}[2J\u{9b}1m\u{202e}".to_owned());
    for format in ["text", "json"] {
        let stderr = podnet.run(&["list", "-vv", "--log-format", format]).stderr;
        assert!(stderr.contains("docker"), "{stderr}");
        assert!(!stderr.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{format}: {stderr:?}");
    }
}
