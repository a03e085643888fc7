//! What an agent said, kept in a file: the same when it says nothing any more.

use serde_json::{Value, json};

use crate::stand_in::{Setup, StandIn, recording};
use crate::support::podnet::Podnet;
use crate::support::scratch::Scratch;

/// The moment of a look and how long it took are its own.
fn without_times(text: &str) -> Value {
    let mut document: Value = serde_json::from_str(text).unwrap();
    document.as_object_mut().unwrap().remove("collectedAt");
    let agents = |source: &&Value| source["name"] == "cilium agent";
    let agent = document["sources"].as_array().unwrap().iter().find(agents).cloned();
    document["sources"] = agent.map(|agent| agent["status"].clone()).into();
    document
}

#[test]
fn endpoints_are_told_as_the_agent_told_them() {
    let scratch = Scratch::new();
    let file = scratch.text("node.json");
    let setup = Setup::recorded("k8s").answer("/endpoint/1408/log", recording("k8s/endpoint-log"));
    let agent = StandIn::start(setup);
    let saved = agent.podnet().run(&["snapshot", "save", &file, "--runtime", "none"]);
    assert_eq!(saved.status, 0, "{}", saved.stderr);
    assert!(agent.asked().iter().all(|line| line.starts_with("GET ")), "{:?}", agent.asked());
    let questions = [
        vec!["endpoint", "list"],
        vec!["endpoint", "get", "1408"],
        vec!["endpoint", "get", "10.244.1.249"],
        vec!["endpoint", "log", "cep:demo/web1"],
        vec!["endpoint", "get", "9"],
    ];
    let live: Vec<Value> = questions
        .iter()
        .map(|question| without_times(&agent.podnet().run(&[&question[..], &["-o", "json"]].concat()).stdout))
        .collect();
    let several = agent.podnet().run(&["endpoint", "get", "identity:44460"]).stderr;
    drop(agent);
    renew(&file);
    let silent = Podnet::with(&[("CILIUM_SOCK", "/nonexistent/socket".to_owned())]);
    for (question, live) in questions.iter().zip(live) {
        let replayed = silent.json(&[&question[..], &["--from", &file]].concat());
        assert_eq!(without_times(&replayed.to_string()), live, "{question:?}");
    }
    let replayed = silent.run(&["endpoint", "get", "identity:44460", "--from", &file]);
    assert_eq!((replayed.status, replayed.stderr), (4, several));
    let log = silent.json(&["endpoint", "log", "1408", "--from", &file]);
    assert_eq!(log["items"], recording("k8s/endpoint-log"), "the whole log, and not its newest line");
}

#[test]
fn logs_that_were_not_told_are_said_to_be_missing() {
    let scratch = Scratch::new();
    let file = scratch.text("node.json");
    let agent = StandIn::recorded("k8s");
    assert_eq!(agent.podnet().run(&["snapshot", "save", &file, "--runtime", "none"]).status, 0);
    let list = agent.podnet().json(&["endpoint", "list", "--from", &file]);
    let sources = list["sources"].as_array().unwrap();
    let log = sources.iter().find(|source| source["name"] == "endpoint log").unwrap();
    assert_eq!(log["status"], "failed");
    let count = list["items"].as_array().unwrap().len();
    assert!(log["detail"].as_str().unwrap().starts_with(&format!("{count} of {count}: ")), "{log}");
}

/// What an agent said is a part of what tests/snapshot spoils.
fn renew(file: &str) {
    if std::env::var_os("PODNET_RENEW").is_none_or(|value| value != "1") {
        return;
    }
    let snapshot: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let node = &snapshot["node"];
    let told = json!({ "agent": node["agent"], "endpoints": node["endpoints"], "logs": snapshot["logs"] });
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/snapshot/agent.json");
    std::fs::write(place, told.to_string() + "\n").unwrap();
}
