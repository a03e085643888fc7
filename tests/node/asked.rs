//! What a daemon is asked for: each thing once, and nothing that a person's spelling could lead to.

use serde_json::Value;

use crate::support::fake_docker::{FakeDocker, container};
use crate::support::podnet::{on_docker, source};
use crate::support::scratch::Scratch;

const LIST: &str = "/containers/json?all=true&size=false";

#[test]
fn a_container_by_its_id_beside_the_list() {
    let scratch = Scratch::new();
    let web = container("web");
    let docker = FakeDocker::new(&scratch, vec![web.clone(), container("other")]);
    let id = web["Id"].as_str().unwrap();
    let document = on_docker(docker.socket()).inspect(id);
    assert_eq!(document["workload"]["startedAt"], "2026-11-01T08:00:00Z");
    assert_eq!(docker.asked(), ["/_ping", &format!("/containers/{id}/json"), LIST]);
}

#[test]
fn a_container_by_its_name_once_it_was_found() {
    let scratch = Scratch::new();
    let web = container("web");
    let docker = FakeDocker::new(&scratch, vec![web.clone()]);
    let document = on_docker(docker.socket()).inspect("web");
    assert_eq!(document["workload"]["startedAt"], "2026-11-01T08:00:00Z");
    assert_eq!(docker.asked(), ["/_ping", &format!("/containers/{}/json", web["Id"].as_str().unwrap()), LIST]);
}

#[test]
fn nothing_that_a_spelling_leads_to() {
    let scratch = Scratch::new();
    let docker = FakeDocker::new(&scratch, vec![container("web")]);
    for target in ["docker://../images", "container:a/../../info?", "docker://"] {
        let ran = on_docker(docker.socket()).run(&["inspect", target]);
        assert_eq!(ran.status, 3, "{target}: {ran:?}");
    }
    assert_eq!(docker.asked(), ["/_ping", "/_ping", "/_ping", LIST, LIST, LIST]);
}

#[test]
fn one_that_dockerd_hangs_on_costs_its_details_alone() {
    let scratch = Scratch::new();
    let web = container("web");
    let docker = FakeDocker::stuck(&scratch, vec![web.clone()]);
    let id = web["Id"].as_str().unwrap();
    let document = on_docker(docker.socket()).json(&["inspect", id, "--timeout", "0.5"]);
    assert_eq!(source(&document, "docker")["status"], "present", "{document:#}");
    assert_eq!((&document["workload"]["name"], &document["workload"]["startedAt"]), (&"web".into(), &Value::Null));
    assert_eq!(docker.asked(), ["/_ping", &format!("/containers/{id}/json"), LIST]);
}
