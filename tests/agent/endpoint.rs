//! `podnet endpoint` beside an agent.

use serde_json::json;

use crate::stand_in::{Setup, StandIn, recording};

#[test]
fn a_list_has_a_line_an_endpoint_and_what_ails_it() {
    let broken = json!([recording("broken/ep-orphan-netns-notready")]);
    let agent = StandIn::start(Setup::default().answer("/endpoint", broken));
    let text = agent.podnet().env("COLUMNS", "80".into()).run(&["endpoint", "list"]).stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("9   not-ready  14992     demo/orphan-netns  10.244.1.156  lxcb27ac4f9e99a"), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("! Error regenerating endpoint: getting interface lxcb27ac4f9e99a by name: Link not found"),
        "{text}"
    );
    assert!(
        words.contains(
            "! controller endpoint-9-regeneration-recovery failed 16 times running: regeneration recovery failed"
        ),
        "{text}"
    );
}

#[test]
fn one_is_found_by_every_handle_and_has_its_whole_log() {
    let setup = Setup::recorded("k8s").answer("/endpoint/1408/log", recording("k8s/endpoint-log"));
    let agent = StandIn::start(setup);
    for target in [
        "1408",
        "ep:1408",
        "cilium-local:1408",
        "cep:demo/web1",
        "demo/web1",
        "10.244.1.249",
        "lxcbafbf983d433",
        "52:1e:f9:cb:16:47",
        "6625e56aa4e3",
    ] {
        let document = agent.podnet().json(&["endpoint", "get", target]);
        assert_eq!(document["endpoint"]["id"], 1408, "{target}");
        assert_eq!(document["endpoint"]["log"], recording("k8s/endpoint-log"), "{target}");
    }
    let log = agent.podnet().json(&["endpoint", "log", "1408"]);
    assert_eq!(log["kind"], "EndpointLog");
    assert_eq!(log["items"], recording("k8s/endpoint-log"));
    assert!(agent.asked().iter().all(|line| line.starts_with("GET ")), "{:?}", agent.asked());
}

#[test]
fn what_is_not_there_or_more_than_one_is_told() {
    let agent = StandIn::recorded("k8s");
    let none = agent.podnet().run(&["endpoint", "get", "demo/web7"]);
    assert_eq!((none.status, none.stdout.as_str()), (3, ""));
    let several = agent.podnet().run(&["endpoint", "get", "identity:44460"]);
    assert_eq!(several.status, 4);
    assert!(several.stderr.contains("ep:9 ") && several.stderr.contains("ep:1408 "), "{}", several.stderr);
    assert_eq!(agent.podnet().run(&["endpoint", "get", "cep:x"]).status, 2);
    let names = agent.podnet().run(&["endpoint", "list", "-o", "name"]);
    assert_eq!(names.stdout, "ep:9\nep:49\nep:782\nep:1408\nep:2508\n");
}

#[test]
fn a_shell_is_offered_the_endpoints() {
    let agent = StandIn::recorded("k8s");
    let offered = |words: &[&str]| {
        let podnet = agent.podnet().env("PODNET_COMPLETE", "fish".into());
        podnet.run(&[&["--", "podnet"], words].concat()).stdout
    };
    assert_eq!(offered(&["endpoint", "get", "140"]), "1408\tdemo/web1, ready\n");
    assert_eq!(offered(&["inspect", "ep:140"]), "ep:1408\tdemo/web1, ready\n");
    assert_eq!(offered(&["endpoint", "log", "demo/web1"]), "demo/web1\tendpoint 1408\n");
}
