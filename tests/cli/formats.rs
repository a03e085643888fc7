//! One value in five forms.

use serde_json::Value;

use super::{own_pid, podnet};
use crate::support::scratch::Scratch;

fn sorted_keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn the_inspection_has_its_fixed_shape() {
    let document = podnet().json(&["inspect", &own_pid(), "--runtime", "none"]);
    assert_eq!(document["apiVersion"], "podnet/v1");
    assert_eq!(document["kind"], "Inspection");
    for key in ["collectedAt", "netns", "interfaces", "routes", "rules", "neighbours", "sysctls", "sockets", "sources"]
    {
        assert!(document.get(key).is_some(), "{key} is missing: {:?}", sorted_keys(&document));
    }
    let inode = std::fs::metadata("/proc/self/ns/net").map(|it| std::os::unix::fs::MetadataExt::ino(&it)).unwrap();
    assert_eq!(document["netns"]["inode"], inode);
    let interfaces = document["interfaces"].as_array().unwrap();
    let lo = interfaces.iter().find(|interface| interface["name"] == "lo").unwrap();
    for key in ["ifindex", "name", "kind", "mtu", "state"] {
        assert!(lo.get(key).is_some(), "{key} is missing: {lo}");
    }
    for source in document["sources"].as_array().unwrap() {
        assert!(matches!(source["status"].as_str(), Some("present" | "absent" | "failed")), "{source}");
        assert!(source["elapsedMs"].is_number(), "{source}");
    }
}

#[test]
fn the_list_has_its_fixed_shape() {
    let document = podnet().json(&["list", "--netns-only", "--runtime", "none"]);
    assert_eq!((&document["apiVersion"], &document["kind"]), (&"podnet/v1".into(), &"List".into()));
    let items = document["items"].as_array().unwrap();
    assert!(!items.is_empty());
    for item in items {
        assert!(
            item["netns"]["inode"].is_number() && item["addresses"].is_array() && item["state"].is_string(),
            "{item}"
        );
    }
}

#[test]
fn yaml_says_what_json_says() {
    let yaml = podnet().run(&["inspect", &own_pid(), "--runtime", "none", "-o", "yaml"]);
    let yaml: Value = serde_saphyr::from_str(&yaml.stdout).unwrap();
    let json = podnet().json(&["inspect", &own_pid(), "--runtime", "none"]);
    assert_eq!(sorted_keys(&yaml), sorted_keys(&json));
    assert_eq!(yaml["netns"]["inode"], json["netns"]["inode"]);
}

#[test]
fn names_lead_back() {
    let ran = podnet().run(&["inspect", &own_pid(), "--runtime", "none", "-o", "name"]);
    let name = ran.stdout.trim();
    assert_eq!(podnet().run(&["inspect", name, "--runtime", "none", "-o", "name"]).stdout.trim(), name);
}

#[test]
fn a_header_stands_above_the_rows_and_in_a_pipe_beside_them() {
    let scratch = Scratch::new();
    let file = std::fs::File::create(scratch.join("list")).unwrap();
    let list = ["list", "--netns-only", "--runtime", "none"];
    assert!(podnet().command().args(list).stdout(file).status().unwrap().success());
    let text = std::fs::read_to_string(scratch.join("list")).unwrap();
    let mut lines = text.lines();
    assert!(lines.next().unwrap().contains("NETNS"), "{text}");
    assert!(lines.next().is_some() && lines.all(|line| !line.contains("NETNS")), "{text}");

    let ran = podnet().run(&list);
    assert!(ran.stderr.lines().next().unwrap().contains("NETNS"), "{}", ran.stderr);
    assert!(!ran.stdout.is_empty() && ran.stdout.lines().all(|line| line.contains("40")), "{}", ran.stdout);
}

#[test]
fn a_path_picks_parts_of_the_json() {
    let inode = podnet().json(&["inspect", &own_pid(), "--runtime", "none"])["netns"]["inode"].clone();
    for path in ["jsonpath=$.netns.inode", "jsonpath={.netns.inode}"] {
        let ran = podnet().run(&["inspect", &own_pid(), "--runtime", "none", "-o", path]);
        assert_eq!(ran.stdout, format!("{inode}\n"), "{path}: {}", ran.stderr);
    }
}
