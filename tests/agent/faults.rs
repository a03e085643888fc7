//! An agent that is down, silent, forbidding, or answers nonsense: said in words, within the deadline.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::stand_in::{Fault, Setup, StandIn, recording};
use crate::support::listener::Listener;
use crate::support::podnet::{Podnet, Ran};
use crate::support::scratch::Scratch;

fn asking(socket: &str) -> Podnet {
    Podnet::with(&[("CILIUM_SOCK", socket.to_owned())])
}

fn list(setup: Setup, args: &[&str]) -> Ran {
    StandIn::start(setup).podnet().run(&[&["endpoint", "list"], args].concat())
}

fn fault(fault: Fault) -> Setup {
    Setup::recorded("k8s").fault("/endpoint", fault)
}

#[track_caller]
fn refused(ran: &Ran, words: &str) {
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}

#[test]
fn nobody_listens() {
    let scratch = Scratch::new();
    let missing = asking(&scratch.text("none.sock")).run(&["endpoint", "list"]);
    refused(&missing, "cannot connect to");
    assert!(missing.stderr.contains("No such file"), "{}", missing.stderr);
    drop(Listener(UnixListener::bind(scratch.join("dead.sock")).unwrap()));
    refused(&asking(&scratch.text("dead.sock")).run(&["endpoint", "list"]), "the agent is down");
    scratch.write("plain.sock", "");
    refused(&asking(&scratch.text("plain.sock")).run(&["endpoint", "list"]), "the agent is down");
    let long = scratch.text(&"x".repeat(200));
    refused(&asking(&long).run(&["endpoint", "list"]), "cannot connect to");
}

#[test]
fn a_silent_agent_costs_its_deadline_and_no_more() {
    let ran = list(fault(Fault::Silent), &["--timeout", "0.3"]);
    refused(&ran, "no answer from");
    assert!(ran.elapsed < Duration::from_secs(3), "{:?}", ran.elapsed);
}

#[test]
fn half_an_answer_is_no_answer() {
    refused(&list(fault(Fault::BrokenOff), &[]), "the answer to GET /v1/endpoint broke off");
    refused(&list(fault(Fault::CutJson), &[]), "ends in the middle of its JSON");
    refused(&list(Setup::default().answer("/endpoint", json!({"a": 1})), &[]), "is not the JSON of a Cilium agent");
}

#[test]
fn what_is_too_large_is_not_read_to_its_end() {
    let ran = list(fault(Fault::Huge(100 << 20)), &["--timeout", "60"]);
    refused(&ran, "larger than 64 MiB");
}

#[test]
fn statuses_are_told_apart() {
    let router = r#"{"code":404,"message":"path /v1/endpoint was not found"}"#;
    for (status, body, words) in [
        (404, router, "has no GET /v1/endpoint (404)"),
        (405, r#"{"code":405,"message":"method GET is not allowed"}"#, "has no GET /v1/endpoint (405)"),
        (404, "", "knows no such thing"),
        (403, "Forbidden", "enable-cilium-api-server-access"),
        (500, "\"it went wrong\"", "with 500: it went wrong"),
        (501, "\"off\"", "switched off"),
        (503, "", "the agent is starting"),
    ] {
        refused(&list(fault(Fault::Status(status, body.to_owned())), &[]), words);
    }
}

#[test]
fn a_rate_limit_is_waited_for_as_long_as_the_deadline_allows() {
    let limited = |times, wait: &str| fault(Fault::Limited { times, wait: wait.to_owned() });
    let agent = StandIn::start(limited(2, "150ms"));
    let ran = agent.podnet().run(&["endpoint", "list", "--timeout", "20"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.elapsed >= Duration::from_millis(300), "{:?}", ran.elapsed);
    assert_eq!(agent.asked().len(), 3);
    let ran = list(limited(9, "29.896056176s"), &[]);
    refused(&ran, "would have to wait 29.896056176s");
    assert!(ran.elapsed < Duration::from_secs(2), "it does not wait in vain: {:?}", ran.elapsed);
}

#[test]
fn thousands_of_endpoints_are_a_list_like_any_other() {
    let one = recording("k8s/endpoint-list")[1].clone();
    let numbered = |id: u64| {
        let mut endpoint = one.clone();
        endpoint["id"] = json!(id);
        endpoint
    };
    let many: Vec<Value> = (1..=5000).map(numbered).collect();
    let agent = StandIn::start(Setup::default().answer("/endpoint", json!(many)));
    let mut command = agent.podnet().command();
    let mut podnet = command.args(["endpoint", "list", "--timeout", "60"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = podnet.stdout.take().unwrap();
    // It has read and written all by then, and waits for somebody to take it.
    output.read_exact(&mut [0]).unwrap();
    let peak = peak_memory(podnet.id());
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(podnet.wait().unwrap().success());
    assert_eq!(text.lines().count(), 5001);
    assert_eq!(agent.asked(), ["GET /v1/endpoint"]);
    assert!(peak <= 80 << 10, "{peak} KiB at its peak");
}

/// In KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
