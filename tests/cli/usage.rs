//! Bad input: the status, and words that say what to do.

use serde_json::Value;

use super::podnet;
use crate::support::podnet::source;
use crate::support::schema;
use crate::support::scratch::Scratch;

#[test]
fn every_wrong_word_has_its_status() {
    let long = "x".repeat(10_000);
    let cases: &[(&[&str], i32, &str)] = &[
        (&[], 2, "Start here"),
        (&["bogus"], 2, "unrecognized subcommand"),
        (&[&long], 2, "xxx…"),
        (&["list", &long], 2, "xxx…"),
        (&["inspect"], 2, "<TARGET>"),
        (&["inspect", ""], 2, "the target is empty"),
        (&["inspect", &long], 2, "longer than"),
        (&["inspect", "a\u{1b}[2J"], 2, "control characters"),
        (&["inspect", "pid:x"], 2, "«x» is no PID"),
        (&["inspect", "ip:1"], 2, "«1» is no IP address"),
        (&["inspect", "pid:99999999999"], 2, "is no PID"),
        (&["inspect", "no-such-thing", "--runtime", "none"], 3, "nothing on this node is called «no-such-thing»"),
        (&["inspect", "192.0.2.77", "--runtime", "none"], 3, "proc, kernel"),
        (&["inspect", "192.0.2.77/24", "--runtime", "none"], 3, "nothing on this node is called «192.0.2.77/24»"),
        (&["inspect", "ip:192.0.2.77/33"], 2, "«192.0.2.77/33» is no IP address"),
        (&["exec", "web-0", "ip", "addr"], 2, "podnet exec web-0 -- ip addr"),
        (&["exec", "--all", "-o", "yaml", "--", "true"], 2, "know no such format"),
        (&["exec", "-t", "pid:1", "-o", "name", "--", "true"], 2, "hint: -o json"),
        (&["inspect", "docker://", "--runtime", "none"], 3, "nothing on this node"),
        (&["list", "-o", "csv"], 2, "invalid value 'csv'"),
        (&["list", "-o", "jsno"], 2, "did you mean json?"),
        (&["list", "-o", "jsonpath={.items[}"], 2, "invalid value"),
        (&["list", "--timeout", "0"], 2, "between 0.01 and 600"),
        (&["list", "--timeout", "nan"], 2, "between 0.01 and 600"),
        (&["list", "--sort", "colour"], 2, "invalid value 'colour'"),
        (&["list", "--runtime", "lxd"], 2, "hint: one of docker"),
        (&["list", "--runtime", "none", "--runtime", "docker"], 2, "goes with no other"),
        (&["list", "--runtime", "docker,none"], 2, "goes with no other"),
        (&["ipam", "pool", "list", "--from", "x"], 2, "unexpected argument '--from'"),
        (&["ipam", "show", "10.42.0.7", "--from", "x"], 2, "unexpected argument '--from'"),
        (&["ipam", "release", "10.42.0.7", "--from", "x"], 2, "unexpected argument '--from'"),
        (&["list", "extra"], 2, "unexpected argument 'extra'"),
    ];
    for (args, status, words) in cases {
        let ran = podnet().run(args);
        let shown: String = args.join(" ").chars().take(60).collect();
        assert_eq!(ran.status, *status, "podnet {shown}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "podnet {shown}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "podnet {shown}: an error belongs to stderr");
        assert!(!ran.stderr.contains('\u{1b}'), "podnet {shown}: {:?}", ran.stderr);
    }
}

#[test]
fn with_json_asked_for_errors_are_json() {
    let cases: &[(&[&str], i32, &str)] = &[
        (&["inspect", "-o", "json"], 2, "usage"),
        (&["bogus", "--output=json"], 2, "usage"),
        (&["inspect", "pid:x", "-ojson"], 2, "usage"),
        (&["list", "--runtime", "lxd", "-o", "json"], 2, "usage"),
        (&["inspect", "no-such-thing", "--runtime", "none", "-o", "json"], 3, "target/not-found"),
        (&["exec", "web-0", "-o", "json", "ip", "addr"], 2, "usage"),
    ];
    for (args, status, code) in cases {
        let ran = podnet().run(args);
        assert_eq!(ran.status, *status, "podnet {args:?}: {}", ran.stderr);
        let error: Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|_| panic!("{args:?}: {}", ran.stderr));
        schema::check_as(&error, "Error");
        let error = error.get("error").unwrap();
        assert_eq!(error.get("code").unwrap(), code, "{args:?}");
        assert!(error.get("message").unwrap().as_str().is_some_and(|message| !message.is_empty()));
        for key in ["causes", "hint"] {
            assert!(error.get(key).is_some(), "{args:?}: {error}");
        }
    }
}

/// The one that would know the target may be the one that is absent.
#[test]
fn who_was_asked_in_vain_is_told_whole() {
    let scratch = Scratch::new();
    let nobody = format!("unix://{}", scratch.text("docker.sock"));
    std::fs::write(scratch.join("docker.sock"), "").unwrap();
    let podnet = podnet().at("/run/podman/podman.sock", scratch.join("nothing")).env("DOCKER_HOST", nobody);
    if !crate::support::prerequisite::root_and(&["unshare"]) {
        return;
    }
    let args = ["inspect", "no-such-thing", "--no-kube"];
    let ran = podnet.run(&args);
    let line = |word: &str| ran.stderr.lines().find(|line| line.trim_start().starts_with(word)).unwrap_or_default();
    assert!(line("asked").contains("proc, kernel"), "{}", ran.stderr);
    assert!(line("absent").contains("containerd, cri-o"), "{}", ran.stderr);
    assert!(line("failed").contains("docker: "), "{}", ran.stderr);
    let ran = podnet.run(&[&args[..], &["-o", "json"]].concat());
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    schema::check_as(&error, "Error");
    let status = |name: &str| source(&error["error"], name)["status"].as_str().unwrap().to_owned();
    assert_eq!(["docker", "containerd", "proc"].map(status), ["failed", "absent", "present"]);
}

#[test]
fn what_follows_the_dashes_is_not_ours() {
    let ran = podnet().run(&["bogus", "--", "-o", "json"]);
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
}

#[test]
fn rules_are_named_by_code_family_or_star_and_a_typing_error_is_told() {
    let codes = |rule: &str| {
        let ran = podnet().run(&["check", "--list", "--rule", rule, "-o", "name"]);
        assert_eq!(ran.status, 0, "{rule}: {}", ran.stderr);
        ran.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let route = codes("route");
    assert!(route.len() > 10 && route.iter().all(|code| code.starts_with("PN-ROUTE-")), "{route:?}");
    assert_eq!((codes("PN-ROUTE"), codes("pn-route-002")), (route, vec!["PN-ROUTE-002".to_owned()]));
    assert!(codes("PN-*-001").len() > 5);
    for option in ["--rule", "--ignore"] {
        let ran = podnet().run(&["check", option, "nope"]);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("no rule is called «nope»"), "{}", ran.stderr);
    }
    let scratch = Scratch::new();
    let config = scratch.write("check.yaml", "ignore:\n  - rule: nope\n    reason: none\n");
    let ran = podnet().run(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("no rule is called «nope»"), "{}", ran.stderr);
}
