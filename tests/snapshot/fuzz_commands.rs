//! What the commands that ask only a part of a snapshot do with a spoilt one: they answer, or say what is wrong.

use podnet::snapshot;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::fuzz::{Change, RECORDED, change, changed, places};
use crate::support::podnet::{Podnet, Ran};
use crate::support::scratch::Scratch;

/// What a recorded agent said, in the place of none.
const AGENT: &str = include_str!("../data/snapshot/agent.json");

fn recorded() -> Value {
    let mut document: Value = serde_json::from_str(RECORDED).unwrap();
    let told: Value = serde_json::from_str(AGENT).unwrap();
    document["node"]["agent"] = told["agent"].clone();
    document["node"]["endpoints"] = told["endpoints"].clone();
    document["logs"] = told["logs"].clone();
    let asked = json!({ "name": "cilium agent", "status": "present", "elapsedMs": 1.0 });
    document["node"]["sources"].as_array_mut().unwrap().push(asked);
    document
}

/// Of those that these commands look at, if not of all.
fn concerned(all: &[String], any: bool) -> Vec<String> {
    let parts = [
        "/node/agent",
        "/node/endpoints",
        "/logs",
        "/pools",
        "/node/addressStores",
        "/node/attachments",
        "/node/sources",
    ];
    let concerned = |place: &&String| any || parts.iter().any(|part| place.starts_with(part));
    all.iter().filter(concerned).cloned().collect()
}

fn questions(document: &Value) -> Vec<Vec<String>> {
    let first = &document["node"]["endpoints"][0];
    let id = first["id"].as_u64().unwrap_or(1408).to_string();
    let pod = first["pod"]["name"].as_str().filter(|name| !name.is_empty()).unwrap_or("web1").to_owned();
    let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
    vec![
        words(&["endpoint", "list"]),
        words(&["endpoint", "list", "-o", "json"]),
        words(&["endpoint", "get", &id]),
        words(&["endpoint", "get", "pid:1", "-o", "yaml"]),
        words(&["endpoint", "get", "identity:44460"]),
        // clap takes no argument with a NUL, nor does exec(2).
        words(&["endpoint", "log", "--", &pod.replace('\0', "")]),
        words(&["endpoint", "log", &id, "-o", "wide"]),
        words(&["ipam"]),
        words(&["ipam", "list", "-o", "wide"]),
        words(&["ipam", "check"]),
    ]
}

fn asked(question: &[String], file: &str) -> Ran {
    let words: Vec<&str> = question.iter().map(String::as_str).collect();
    Podnet::default().run(&[&[words[0], "--from", file], &words[1..]].concat())
}

#[test]
fn the_recorded_one_answers_every_question() {
    let scratch = Scratch::new();
    let document = recorded();
    let file = scratch.write("node.json", &document.to_string());
    let answered =
        questions(&document).into_iter().filter(|question| asked(question, file.to_str().unwrap()).status == 0);
    assert!(answered.count() >= 7);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_spoilt_snapshot_is_answered_or_refused_with_a_reason(
        changes in proptest::collection::vec(change(), 1..10), any in any::<bool>(), whole in any::<bool>()
    ) {
        let scratch = Scratch::new();
        let mut document = recorded();
        let mut all = Vec::new();
        places(&document, String::new(), &mut all);
        let targets = concerned(&all, any);
        for (at, change) in &changes {
            let (at, change): (&Index, &Change) = (at, change);
            let before = document.clone();
            changed(&mut document, &all, &targets[at.index(targets.len())], change);
            // Half of the time only what is read at all, so that more of it is reached.
            if whole && snapshot::parse("spoilt".as_ref(), document.to_string().as_bytes()).is_err() {
                document = before;
            }
        }
        let file = scratch.write("node.json", &document.to_string());
        for question in questions(&document) {
            let ran = asked(&question, file.to_str().unwrap());
            let said = format!("{question:?}: {} {}{}", ran.status, ran.stdout, ran.stderr);
            prop_assert!(matches!(ran.status, 0 | 1 | 3 | 4 | 6), "{said}");
            prop_assert_eq!(ran.stdout.is_empty(), !matches!(ran.status, 0 | 6), "{}", said);
            let reason = ["error: ", r#"{"apiVersion":"podnet/v1","kind":"Error""#];
            let told = reason.iter().any(|reason| ran.stderr.starts_with(reason));
            prop_assert_eq!(told, ran.stdout.is_empty(), "{}", said);
            let wild = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
            prop_assert!(!said.replace(&format!("{question:?}"), "").contains(wild), "{said}");
        }
    }
}
