//! Every kind of document, printed and held against its schema.

use std::collections::BTreeSet;
use std::process::Stdio;

use podnet::view::schema::KINDS;
use serde_json::Value;

use super::ordinary::{lines, on};
use super::own_pid;
use crate::support::podnet::Podnet;
use crate::support::schema::check_as;
use crate::support::scratch::Scratch;

/// What needs more than a node: `Podnet::json` holds it against its schema in the tests that have that.
const ELSEWHERE: &[&str] = &[
    "Bench",
    "CheckChange",
    "IpamRelease",
    "ChainRun",
    "Installation",
    "Status",
    "Creation",
    "Deletion",
    "EndpointList",
    "Endpoint",
    "EndpointLog",
    "Leftovers",
];

#[test]
fn every_kind_is_as_its_schema_says() {
    let scratch = Scratch::new();
    let podnet = Podnet::default().env("PODNET_ROOT", scratch.text("store"));
    let own = own_pid();
    let report = scratch.text("report.json");
    let snapshot = scratch.text("node.json");
    let (plugins, networks) = (scratch.text("bin"), scratch.text("net.d"));
    let documents: &[(&str, &[&str])] = &[
        ("Status", &["status", "--runtime", "none"]),
        ("List", &["list", "--runtime", "none"]),
        ("Inspection", &["inspect", &own, "--runtime", "none"]),
        ("Inspection", &["inspect", "pid:1", "--runtime", "none"]),
        ("CheckReport", &["check", "--runtime", "none"]),
        ("RuleList", &["check", "--list"]),
        ("Rule", &["explain", "PN-ROUTE-002"]),
        ("PoolList", &["ipam"]),
        ("PoolList", &["ipam", "pool", "add", "blue", "10.7.0.0/24"]),
        ("AddressList", &["ipam", "list"]),
        ("Address", &["ipam", "show", "10.7.0.7"]),
        ("Released", &["ipam", "release", "10.7.0.7"]),
        ("Installation", &["install-cni", "--bin-dir", &plugins, "--conf-dir", &networks]),
        ("Installation", &["uninstall-cni", "--bin-dir", &plugins, "--conf-dir", &networks]),
        ("IpamReport", &["ipam", "check", "--runtime", "none", "--report", &report]),
        ("Snapshot", &["snapshot", "save", "-", "--runtime", "none"]),
        ("SnapshotSaved", &["snapshot", "save", &snapshot, "--runtime", "none"]),
        ("SnapshotDiff", &["snapshot", "diff", &snapshot, &snapshot]),
        ("KindList", &["schema"]),
        ("Line", &["exec", &own, "-t", &own, "--", "echo", "one line"]),
        ("Error", &["inspect", "pid:x"]),
    ];
    let mut seen = BTreeSet::new();
    for (kind, args) in documents {
        let ran = podnet.run(&[&["-o", "json"], *args].concat());
        let text = if *kind == "Error" { &ran.stderr } else { &ran.stdout };
        for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            let document = document.unwrap_or_else(|error| panic!("podnet {args:?}: {error}: {ran:?}"));
            check_as(&document, kind);
            seen.insert(*kind);
        }
    }
    let unseen = KINDS.iter().map(|kind| kind.name).filter(|name| !seen.contains(name) && !ELSEWHERE.contains(name));
    assert_eq!(unseen.collect::<Vec<_>>(), [""; 0], "no command here prints them");
}

/// Every command as it is usually called, those of tomorrow included: what it answers or says is a document, and one
/// that is as its schema says.
#[test]
fn every_command_prints_documents_that_have_a_schema() {
    let mut printed = BTreeSet::new();
    for line in lines() {
        let scratch = Scratch::new();
        let args: Vec<&str> = ["--runtime", "none", "--no-kube", "-o", "json"]
            .into_iter()
            .chain(line.iter().map(String::as_str))
            .collect();
        let mut command = on(&scratch).command();
        let output = command.args(&args).current_dir(scratch.path()).stdin(Stdio::null()).output().unwrap();
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let begins = |text: &str| text.trim_start().starts_with('{');
        for text in [&stdout, &stderr].into_iter().filter(|text| begins(text)) {
            for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
                let document = document.unwrap_or_else(|error| panic!("podnet {args:?}: {error}: {text}"));
                let Some(kind) = document["kind"].as_str() else { continue };
                check_as(&document, kind);
                printed.insert(kind.to_owned());
            }
        }
        // What is for others, or others say: a script, a play, a plugin's answer, and what was run.
        let foreign = ["completions", "demo", "exec"].contains(&line[0].as_str()) || line == ["cni"];
        let document = begins(&stdout) || (output.status.code() != Some(0) && begins(&stderr));
        assert!(foreign || document, "podnet {args:?} prints no document: {stdout}{stderr}");
    }
    assert!(printed.len() > 8, "{printed:?}");
}

#[test]
fn a_schema_can_be_printed_as_anything() {
    for (args, beginning) in [
        (&["schema", "List"][..], "{"),
        (&["schema", "list", "-o", "yaml"], "$defs:"),
        (&["schema", "List", "-o", "jsonpath={.title}"], "List\n"),
        (&["schema", "-o", "name"], "Status\nList\n"),
    ] {
        let ran = super::podnet().run(args);
        assert!(ran.status == 0 && ran.stdout.starts_with(beginning), "podnet {args:?}: {ran:?}");
    }
    let ran = super::podnet().run(&["schema", "Lits"]);
    assert!(ran.status == 2 && ran.stderr.contains("a similar value exists: 'List'"), "{}", ran.stderr);
}
