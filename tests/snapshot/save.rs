//! What is written, where, and what is left out of it.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::node::{Kind, Node};
use crate::support::podnet::Podnet;
use crate::support::schema;
use crate::support::scratch::Scratch;

/// No runtime, and so no root, is needed.
fn podnet(scratch: &Scratch) -> Podnet {
    Podnet::with(&[("PODNET_ROOT", scratch.text("store"))])
}

const SAVE: [&str; 4] = ["snapshot", "save", "--runtime", "none"];

#[test]
fn the_file_is_its_owners_and_is_not_replaced_unasked() {
    let scratch = Scratch::new();
    let podnet = podnet(&scratch);
    let (file, link, target) = (scratch.text("a.json"), scratch.text("link"), scratch.write("target", "mine"));
    let save = |more: &[&str]| podnet.run(&[&SAVE, more].concat());
    assert_eq!(save(&[&file]).status, 0);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read(&file).unwrap();
    let refused = save(&[&file]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("is there already") && refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(std::fs::read(&file).unwrap(), first);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&file, vec![b' '; first.len() * 3]).unwrap();
    assert_eq!(save(&["--force", &file]).status, 0);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    schema::check(&serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap());
    // Nobody is led to another file by a link.
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(save(&[&link]).status, 1);
    assert_eq!(save(&["--force", &link]).status, 1);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine");
    let nowhere = save(&[&scratch.text("no/such/folder")]);
    assert_eq!(nowhere.status, 1);
    assert!(nowhere.stderr.contains("No such file or directory"), "{}", nowhere.stderr);
    assert_eq!(save(&["/dev/full", "--force"]).status, 1);
}

#[test]
fn standard_output_is_the_snapshot_alone_and_standard_input_takes_it() {
    let scratch = Scratch::new();
    let podnet = podnet(&scratch);
    let ran = podnet.run(&[&SAVE[..], &["-"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    schema::check(&document);
    let file = scratch.write("piped.json", &ran.stdout);
    let input = std::fs::File::open(&file).unwrap();
    let piped = podnet.command().args(["list", "--from", "-"]).stdin(input).output().unwrap();
    let named = podnet.run(&["list", "--from", file.to_str().unwrap()]);
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), named.stdout);
    assert_eq!(named.status, 0, "{}", named.stderr);
}

#[test]
fn what_is_no_snapshot_is_refused_by_every_command() {
    let scratch = Scratch::new();
    let podnet = podnet(&scratch);
    let list = scratch.write("list.json", r#"{"apiVersion": "podnet/v1", "kind": "List\u001b[31m", "items": []}"#);
    let list = list.to_str().unwrap();
    for command in [
        vec!["list", "--from", list],
        vec!["inspect", "x", "--from", list],
        vec!["check", "--from", list],
        vec!["endpoint", "list", "--from", list],
        vec!["endpoint", "--from", list, "get", "1"],
        vec!["snapshot", "diff", list, list],
    ] {
        let ran = podnet.run(&command);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{command:?}");
        assert!(ran.stderr.contains("is no snapshot: it is a List"), "{command:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains('\u{1b}'), "{command:?}");
    }
    let missing = podnet.run(&["list", "--from", "/nonexistent/file"]);
    assert_eq!(missing.status, 1);
    assert!(missing.stderr.contains("cannot read the snapshot /nonexistent/file"), "{}", missing.stderr);
}

/// A process's environment and command line, a name and a value that look like secrets, the machine's id; and a file of
/// exceptions, which goes along.
#[test]
fn secrets_stay_where_they_are() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    let machine = &node.machine;
    machine.run(
        "mkdir -p /etc/podnet
         printf 'ignore:\\n  - rule: PN-ROUTE-002\\n    target: \"*\"\\n    reason: on purpose\\n' >/etc/podnet/check.yaml
         printf 'net.ipv6.conf.default.stable_secret = 2001:db8:5ec::e7\\nnet.ipv4.ip_forward = 1\\n' >/etc/sysctl.d/9.conf
         printf 0123456789abcdef0123456789abcdef >/etc/machine-id",
    );
    machine.leave("HUNTER=hunter2-in-the-environment nsenter --net=/run/netns/web tail -f /dev/null --pid 1");
    node.run("pod ip route del default");
    let file = machine.scratch().text("node.json");
    let saved = machine.podnet(&["snapshot", "save", &file]);
    assert_eq!(saved.status, 0, "{}", saved.stderr);
    let text = std::fs::read_to_string(&file).unwrap();
    for secret in ["hunter2", "--pid", "2001:db8:5ec::e7", "0123456789abcdef0123456789abcdef"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let document: Value = serde_json::from_str(&text).unwrap();
    schema::check(&document);
    let left_out = document["leftOut"].as_array().unwrap();
    for place in left_out.iter().map(|left| left["place"].as_str().unwrap()) {
        let value = document.pointer(place);
        assert!(value.is_none_or(|value| value.as_str().unwrap().contains("(left out)")), "{place}");
        assert!(saved.stdout.contains(place), "{place} in {}", saved.stdout);
    }
    let says = |word: &str| left_out.iter().any(|left| left["place"].as_str().unwrap().contains(word));
    assert!(says("machineId") && says("sysctlSettings"), "{left_out:?}");
    let check = |more: &[&str]| machine.podnet(&[&["check", "--grace", "0", "--from", &file], more].concat());
    assert!(check(&[]).stdout.contains("PN-ROUTE-002: on purpose"), "{}", check(&[]).stdout);
    // The file of the machine that it is read on is about that one.
    machine.run("printf 'ignore: []\\n' >/etc/podnet/check.yaml");
    assert!(check(&[]).stdout.contains("PN-ROUTE-002: on purpose"));
    assert!(!check(&["--config", "/etc/podnet/check.yaml"]).stdout.contains("on purpose"));
    machine.run("echo nonsense >/etc/podnet/check.yaml");
    let without = machine.podnet(&["snapshot", "save", "--force", &file]);
    assert_eq!(without.status, 0, "a broken file of exceptions must not keep anybody from saving: {}", without.stderr);
    assert!(without.stderr.contains("without this node's exceptions"), "{}", without.stderr);
}

#[test]
fn nothing_is_changed_and_nothing_left() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    let machine = &node.machine;
    let look =
        "find /run /var/lib/cni /var/lib/podnet /etc/podnet -xdev | sort; ip -o link; ip netns; nft list ruleset";
    let before = machine.run(look);
    machine.podnet(&["snapshot", "save", "-"]);
    assert_eq!(machine.run(look), before);
}
