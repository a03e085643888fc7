//! Every recorded answer is taken over whole: what podnet shows is what the agent said.

use podnet::collect::cilium;
use podnet::collect::options::Options;
use podnet::model::address::Family;
use podnet::model::agent::Agent;
use serde_json::{Value, json};

use crate::stand_in::{Setup, StandIn, recording};

/// The endpoint as the document must have it, made from the agent's own, field by field.
pub fn expected(raw: &Value) -> Value {
    let status = &raw["status"];
    let (identifiers, networking) = (&status["external-identifiers"], &status["networking"]);
    let (realized, wanted) = (&status["policy"]["realized"], &status["policy"]["spec"]);
    let mut addresses = Vec::new();
    let mut pools = serde_json::Map::new();
    for pair in networking["addressing"].as_array().unwrap() {
        for family in ["ipv4", "ipv6"] {
            let Some(address) = pair[family].as_str() else { continue };
            addresses.push(address);
            pools.insert(address.to_owned(), pair[format!("{family}-pool-name")].clone());
        }
    }
    let identities = |side: &str| realized[side].as_array().cloned().unwrap_or_default();
    let mut expected = json!({
        "id": raw["id"], "state": status["state"], "toldBy": "agent",
        "identity": status["identity"]["id"], "labels": status["identity"]["labels"],
        "containerId": identifiers["container-id"], "attachmentId": identifiers["cni-attachment-id"],
        "addresses": addresses, "pools": pools,
        "interface": networking["interface-name"], "ifindex": networking["interface-index"],
        "containerInterface": networking["container-interface-name"],
        "mac": networking["mac"], "hostMac": networking["host-mac"],
        "policy": {
            "enforcement": realized["policy-enabled"], "wantedEnforcement": wanted["policy-enabled"],
            "realizedRevision": realized["policy-revision"], "wantedRevision": wanted["policy-revision"],
            "proxyRevision": status["policy"]["proxy-policy-revision"],
            "allowedIngress": identities("allowed-ingress-identities"),
            "allowedEgress": identities("allowed-egress-identities"),
            "deniedIngress": identities("denied-ingress-identities"),
            "deniedEgress": identities("denied-egress-identities"),
        },
        "health": {
            "overall": status["health"]["overallHealth"], "bpf": status["health"]["bpf"],
            "policy": status["health"]["policy"], "connected": status["health"]["connected"],
        },
        "log": status["log"],
        "controllers": controllers(&status["controllers"]),
        "options": status["realized"]["options"],
    });
    if let Some((namespace, name)) = identifiers["pod-name"].as_str().and_then(|name| name.split_once('/'))
        && !name.is_empty()
    {
        expected["pod"] = json!({"namespace": namespace, "name": name});
    }
    without_nothing(expected)
}

pub fn controllers(raw: &Value) -> Vec<Value> {
    let time = |value: &Value| value.as_str().filter(|text| !text.starts_with("0001-")).map(trimmed);
    let one = |raw: &Value| {
        let status = &raw["status"];
        let count = |name: &str| status[name].as_u64().unwrap_or(0);
        without_nothing(json!({
            "name": raw["name"],
            "successes": count("success-count"), "failures": count("failure-count"),
            "consecutiveFailures": count("consecutive-failure-count"),
            "lastSuccess": time(&status["last-success-timestamp"]), "lastFailure": time(&status["last-failure-timestamp"]),
            "lastError": status["last-failure-msg"],
        }))
    };
    let mut list: Vec<Value> = raw.as_array().cloned().unwrap_or_default().iter().map(one).collect();
    list.sort_by_key(|controller| controller["name"].as_str().unwrap().to_owned());
    list
}

/// A whole second is written without its fraction.
fn trimmed(time: &str) -> String {
    let (second, fraction) = time.trim_end_matches('Z').split_once('.').unwrap_or((time, ""));
    match fraction.trim_end_matches('0') {
        "" => format!("{}Z", second.trim_end_matches('Z')),
        fraction => format!("{second}.{fraction}Z"),
    }
}

/// What the agent did not say is left out of the document.
fn without_nothing(value: Value) -> Value {
    const ALWAYS: [&str; 8] = [
        "labels",
        "addresses",
        "allowedIngress",
        "allowedEgress",
        "deniedIngress",
        "deniedEgress",
        "successes",
        "failures",
    ];
    match value {
        Value::Object(fields) => {
            let kept =
                fields.into_iter().map(|(name, value)| (name, without_nothing(value))).filter(|(name, value)| {
                    let empty = value.as_array().is_some_and(Vec::is_empty)
                        || value.as_object().is_some_and(|map| map.is_empty());
                    !value.is_null() && (!empty || ALWAYS.contains(&name.as_str()))
                });
            Value::Object(kept.collect())
        }
        other => other,
    }
}

#[test]
fn endpoints_lose_no_field_that_is_shown() {
    let one = recording("broken/ep-orphan-netns-notready");
    for (name, list) in [
        ("k8s", recording("k8s/endpoint-list")),
        ("kvstore", recording("kvstore/endpoint-list")),
        ("multipool", recording("multipool/endpoint-list")),
        ("broken", json!([one])),
    ] {
        let agent = StandIn::start(Setup::default().answer("/endpoint", list.clone()));
        let document = agent.podnet().json(&["endpoint", "list"]);
        assert_eq!(document["apiVersion"], "podnet/v1");
        assert_eq!(document["kind"], "EndpointList");
        let mut raw: Vec<Value> = list.as_array().unwrap().iter().map(expected).collect();
        raw.sort_by_key(|endpoint| endpoint["id"].as_u64());
        assert_eq!(document["items"], json!(raw), "{name}");
        assert_eq!(agent.asked(), ["GET /v1/endpoint"], "one question for all");
    }
}

#[test]
fn an_older_agents_answer_is_read_as_far_as_it_goes() {
    // 1.9 knows no attachment, no interface in the pod, no pools; a later one may know words that we don't.
    let list = json!([
        {"id": 7, "status": {"state": "ready", "external-identifiers": {"pod-name": "a/b"}, "networking": {"addressing": [{"ipv4": "10.1.0.9"}], "mac": "00:00:00:00:00:00"}}},
        {"id": 8, "status": {"state": "hibernating", "identity": {"id": 16_777_217, "labels": null}, "log": null, "controllers": null, "brand-new": {"deep": [1]}}},
        {"id": 9},
        null,
        {"id": "ten"},
    ]);
    let agent = StandIn::start(Setup::default().answer("/endpoint", list));
    let document = agent.podnet().json(&["endpoint", "list"]);
    let items = document["items"].as_array().unwrap();
    let ids: Vec<_> = items.iter().map(|item| item["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [7, 8, 9]);
    assert_eq!(items[0]["pod"], json!({"namespace": "a", "name": "b"}));
    assert_eq!(items[0].get("mac"), None, "a MAC of zeros is none");
    assert_eq!(items[1]["state"], "hibernating");
    let detail = document["sources"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("endpoint 4 of 5"), "{detail}");
}

pub fn agent_of(agent: &StandIn) -> Agent {
    let options = Options { agent_socket: Some(agent.socket.clone()), ..Options::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = runtime.block_on(cilium::ask(&options));
    assert!(told.error.is_none(), "{:?}", told.error);
    told.agent.unwrap()
}

#[test]
fn an_agent_tells_its_mode_and_its_health() {
    let stand_in = StandIn::recorded("k8s");
    let agent = agent_of(&stand_in);
    assert_eq!(agent.problems, Vec::<String>::new());
    let mut asked = stand_in.asked();
    asked.sort();
    assert_eq!(asked, ["GET /v1/config", "GET /v1/endpoint", "GET /v1/healthz"], "nothing is asked twice");
    assert_eq!(agent.version.as_deref(), Some("1.15.0-dev"));
    assert_eq!(agent.health.as_ref().map(|health| health.state.as_str()), Some("Ok"));
    assert_eq!(
        agent.kubernetes.as_ref().and_then(|kubernetes| kubernetes.message.as_deref()),
        Some("1.36 (v1.36.0-rig) [linux/amd64]")
    );
    let mode = &agent.mode;
    assert_eq!(mode.datapath.as_deref(), Some("veth"));
    assert_eq!(mode.ipam.as_deref(), Some("kubernetes"));
    assert_eq!(mode.routing.as_deref(), Some("tunnel"));
    assert_eq!(mode.host_routing.as_deref(), Some("Legacy"));
    assert_eq!(mode.endpoint_routes, Some(false));
    assert_eq!(mode.kube_proxy_replacement.as_deref(), Some("False"));
    assert_eq!(mode.chaining.as_deref(), Some("none"));
    assert_eq!(mode.devices, ["eth0"]);
    assert_eq!((agent.device_mtu, agent.route_mtu), (Some(1500), Some(1450)));
    assert_eq!(agent.offload.gro_ipv4_max_size, Some(65_536));
    let ipv4 = &agent.families[0];
    assert_eq!((ipv4.family, ipv4.enabled), (Family::Ipv4, true));
    assert_eq!(ipv4.router.unwrap().to_string(), "10.244.1.217");
    assert_eq!(ipv4.allocation_range.unwrap().to_string(), "10.244.1.0/24");
    let ipam = agent.ipam.as_ref().unwrap();
    assert_eq!((ipam.fills[0].used, ipam.fills[0].size), (5, 254));
    let owners: Vec<_> =
        ipam.allocations.iter().map(|held| (held.address.to_string(), held.owner.as_deref().unwrap())).collect();
    assert_eq!(owners[0], ("10.244.1.2".to_owned(), "demo/client"));
    assert_eq!(owners.len(), 5);
    let raw = recording("k8s/healthz");
    let controllers: Vec<Value> = agent.controllers.iter().map(|controller| json!(controller)).collect();
    assert_eq!(controllers, self::controllers(&raw["controllers"]));
}

#[test]
fn pools_and_fills_are_those_of_the_agent() {
    let multipool = agent_of(&StandIn::recorded("multipool"));
    assert_eq!(multipool.mode.ipam.as_deref(), Some("multi-pool"));
    assert_eq!(multipool.mode.routing.as_deref(), Some("native"));
    let ipam = multipool.ipam.unwrap();
    assert_eq!(ipam.fills, []);
    let held: Vec<_> = ipam.allocations.iter().map(|held| format!("{} {}", held.pool, held.address)).collect();
    assert_eq!(held, ["blue 10.20.0.11", "default 10.246.0.2", "default 10.246.0.19"]);
    let full = Setup::recorded("kvstore").answer("/healthz", recording("kvstore/ipam-exhausted-healthz"));
    let ipam = agent_of(&StandIn::start(full)).ipam.unwrap();
    assert_eq!((ipam.fills[0].used, ipam.fills[0].size, ipam.allocations.len()), (254, 254, 254));
}
