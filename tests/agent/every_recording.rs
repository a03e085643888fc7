//! Every answer that a real agent gave, where the recordings are at hand: read whole, or refused in its own words.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::recordings::{agent_of, controllers, expected};
use crate::stand_in::{Fault, Setup, StandIn};
use crate::support::prerequisite;

/// One answer.
struct Recorded {
    name: String,
    status: u16,
    body: String,
}

impl Recorded {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Beside the checkout, where there are some; else the test that asks is told so, and may skip.
fn all() -> Option<Vec<Recorded>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings");
    let mut heads: Vec<PathBuf> = Vec::new();
    for folder in ["k8s", "kvstore", "multipool", "broken", "apiserver-down"] {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        heads.extend(
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|kind| kind == "head")),
        );
    }
    if heads.is_empty() {
        let _ = prerequisite::skip(&format!("no recordings in {}", root.display()));
        return None;
    }
    heads.sort();
    let read = |head: PathBuf| {
        let text = std::fs::read_to_string(&head).unwrap();
        let status = text.split_whitespace().nth(1)?.parse().ok()?;
        let body = std::fs::read_to_string(head.with_extension("json")).unwrap_or_default();
        let name = head.strip_prefix(&root).unwrap().display().to_string();
        Some(Recorded { name, status, body })
    };
    Some(heads.into_iter().filter_map(read).collect())
}

fn is_endpoint(value: &Value) -> bool {
    value["id"].is_u64() && value["status"]["external-identifiers"].is_object()
}

#[test]
fn each_endpoint_is_shown_with_all_that_was_said_of_it() {
    let Some(all) = all() else { return };
    let mut seen = BTreeSet::new();
    let mut endpoints = 0;
    for recorded in all.iter().filter(|recorded| recorded.status == 200) {
        let list = match recorded.json() {
            Value::Array(list) if !list.is_empty() && list.iter().all(is_endpoint) => list,
            one if is_endpoint(&one) => vec![one],
            _ => continue,
        };
        if !seen.insert(recorded.body.clone()) {
            continue;
        }
        endpoints += list.len();
        let agent = StandIn::start(Setup::default().answer("/endpoint", json!(list)));
        let document = agent.podnet().json(&["endpoint", "list"]);
        let mut raw: Vec<Value> = list.iter().map(expected).collect();
        raw.sort_by_key(|endpoint| endpoint["id"].as_u64());
        assert_eq!(document["items"], json!(raw), "{}", recorded.name);
    }
    assert!(endpoints > 20, "{endpoints}");
}

#[test]
fn each_health_is_read_to_its_last_controller() {
    let Some(all) = all() else { return };
    let mut read = 0;
    for recorded in all.iter().filter(|recorded| recorded.status == 200) {
        let raw = recorded.json();
        if !raw["cilium"]["state"].is_string() {
            continue;
        }
        let agent = agent_of(&StandIn::start(Setup::recorded("k8s").answer("/healthz", raw.clone())));
        let name = &recorded.name;
        assert_eq!(agent.health.map(|health| json!(health.state)), Some(raw["cilium"]["state"].clone()), "{name}");
        let kubernetes = agent.kubernetes.and_then(|kubernetes| kubernetes.message);
        assert_eq!(kubernetes.as_deref(), raw["kubernetes"]["msg"].as_str().filter(|text| !text.is_empty()), "{name}");
        let told: Vec<Value> = agent.controllers.iter().map(|controller| json!(controller)).collect();
        assert_eq!(told, controllers(&raw["controllers"]), "{name}");
        let held = agent.ipam.map_or(0, |ipam| ipam.allocations.len());
        assert_eq!(held, raw["ipam"]["allocations"].as_object().map_or(0, serde_json::Map::len), "{name}");
        read += 1;
    }
    assert!(read > 8, "{read}");
}

#[test]
fn each_refusal_is_passed_on_in_the_agents_words() {
    let Some(all) = all() else { return };
    let mut seen = BTreeSet::new();
    for recorded in all.iter().filter(|recorded| recorded.status >= 400) {
        let (status, body) = (recorded.status, recorded.body.trim());
        if !seen.insert((status, body.to_owned())) {
            continue;
        }
        let fault = Fault::Status(status, recorded.body.clone());
        let agent = StandIn::start(Setup::default().fault("/endpoint", fault));
        let ran = agent.podnet().run(&["endpoint", "list"]);
        let told = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(ran.status, 1, "{}: {told}", recorded.name);
        let words = match (status, recorded.json()) {
            (404, Value::Object(_)) | (405, _) => format!("has no GET /v1/endpoint ({status})"),
            (_, Value::String(text)) => text,
            (_, Value::Object(fields)) => fields["message"].as_str().unwrap().to_owned(),
            (404, _) => "knows no such thing".to_owned(),
            (_, _) => body.to_owned(),
        };
        let words: String = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect();
        assert!(told.contains(&words), "{}: «{words}» in {told}", recorded.name);
    }
    assert!(seen.len() > 20, "{}", seen.len());
}
