//! How `podnet status` sees the API server.

use serde_json::{Value, json};

use crate::answers::on_node;
use crate::apiserver::{ApiServer, Instead};
use crate::support::podnet::Podnet;
use crate::support::scratch::Scratch;

fn part(podnet: &Podnet, name: &str) -> Value {
    let document = podnet.json(&["status", "--runtime", "none", "--timeout", "1"]);
    let parts = document["parts"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name} in {parts:#?}")).clone()
}

#[test]
fn a_server_is_ok_degraded_or_absent() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let podnet = on_node(server.kubeconfig(&scratch));
    let told = part(&podnet, "kubernetes");
    assert_eq!(told["state"], "ok", "{told:#}");
    let facts: Vec<&str> =
        told["facts"].as_array().unwrap().iter().map(|fact| fact["value"].as_str().unwrap()).collect();
    assert_eq!(facts, ["v1.33.2", &server.url(), "vm", "8", &scratch.text("kubeconfig")]);

    server.change("/api/v1/nodes", |nodes| nodes[0]["status"]["conditions"][0]["status"] = json!("Unknown"));
    assert_eq!(part(&podnet, "kubernetes")["state"], "degraded");
    server.instead("/", Instead::Silence);
    let told = part(&podnet, "kubernetes");
    assert_eq!((&told["state"], &told["facts"]), (&"degraded".into(), &json!([])));
    assert_eq!(
        part(&Podnet::default().env("KUBECONFIG", String::new()).env("HOME", scratch.text("")), "kubernetes")["state"],
        "absent"
    );
}

#[test]
fn what_the_operator_could_not_give_is_told() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let recorded = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kube/ciliumnode-multipool.json");
    let node: Value = serde_json::from_str(&std::fs::read_to_string(recorded).unwrap()).unwrap();
    server.change("/apis/cilium.io/v2/ciliumnodes", |nodes| *nodes = vec![node.clone()]);
    let told = part(&on_node(server.kubeconfig(&scratch)), "ipam");
    assert_eq!(told["state"], "degraded");
    assert!(
        told["why"][1].as_str().unwrap().contains("cannot allocate from non-existing pool: nosuchpool"),
        "{told:#}"
    );
}
