//! `podnet snapshot diff`: what was done to a node between two snapshots, all of it and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::node::{Kind, Node};
use crate::support::schema;
use crate::support::shell::wait_for;

fn differences(document: &Value) -> BTreeSet<(String, String, String)> {
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let of = |item: &Value| format!("{} {}", text(item, "of"), text(item, "name")).trim().to_owned();
    let items = document["items"].as_array().unwrap();
    items.iter().map(|item| (text(item, "change"), text(item, "what"), of(item))).collect()
}

/// Until every interface that is up has its link-local address for good: the kernel takes its time.
fn settle(node: &Node) {
    let unsettled = r#"
        for place in "" web db world; do
          in_netns "$place" ip -o link show up | grep -v LOOPBACK | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | while read -r name; do
            in_netns "$place" ip -o -6 addr show dev "$name" scope link -tentative | grep -q fe80 || echo "$place $name"
          done
        done"#;
    wait_for("the links to settle", Duration::from_secs(30), || node.run(unsettled).trim().is_empty().then_some(()));
}

#[test]
fn each_thing_that_was_done_is_told() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    settle(&node);
    node.run("router ip route add 10.99.0.0/16 dev br0 initcwnd 10");
    let machine = &node.machine;
    let (before, after) = (machine.scratch().text("before.json"), machine.scratch().text("after.json"));
    assert_eq!(machine.podnet(&["snapshot", "save", &before]).status, 0);
    node.run(
        "pod ip route del default
         pod ip addr add 10.88.0.77/24 dev eth0
         pod ip link set eth0 mtu 1400
         router ip link add d0 type bridge
         sysctl -qw net.ipv4.conf.br0.rp_filter=1
         router ip route replace 10.99.0.0/16 dev br0 initcwnd 20
         router ip route add 10.99.0.0/16 tos 0x10 dev br0
         ip rule add pref 99 from 10.88.0.0/24 lookup 7",
    );
    assert_eq!(machine.podnet(&["snapshot", "save", &after]).status, 0);
    let diff = |one: &str, other: &str| {
        let ran = machine.podnet(&["snapshot", "diff", one, other, "-o", "json"]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        schema::check(&document);
        document
    };
    let document = diff(&before, &after);
    let found = differences(&document);
    let pod = document["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["name"] == "10.88.0.77/24 dev eth0")
        .unwrap()["of"]
        .clone();
    let pod = pod.as_str().unwrap();
    for (change, what, name) in [
        ("went", "route", format!("{pod} 0.0.0.0/0")),
        ("appeared", "route", "host 10.99.0.0/16 tos 0x10".to_owned()),
        ("appeared", "address", format!("{pod} 10.88.0.77/24 dev eth0")),
        ("changed", "interface", format!("{pod} eth0")),
        ("appeared", "interface", "host d0".to_owned()),
        ("changed", "sysctl", "host net.ipv4.conf.br0.rp_filter".to_owned()),
        ("appeared", "rule", "host ipv4 99: from 10.88.0.0/24 lookup 7".to_owned()),
    ] {
        assert!(
            found.contains(&(change.to_owned(), what.to_owned(), name.clone())),
            "{change} {what} {name} in {found:#?}"
        );
    }
    let route = document["items"].as_array().unwrap().iter().find(|item| item["name"] == "10.99.0.0/16").unwrap();
    let window = serde_json::json!([{ "field": "metrics", "before": "initcwnd 10", "after": "initcwnd 20" }]);
    assert_eq!(route["fields"], window);
    let eth0 =
        document["items"].as_array().unwrap().iter().find(|item| item["name"] == "eth0" && item["of"] == pod).unwrap();
    assert_eq!(eth0["fields"], serde_json::json!([{ "field": "mtu", "before": "1500", "after": "1400" }]));
    // The other way round everything is the other way round.
    let turn = |change: &str| match change {
        "appeared" => "went".to_owned(),
        "went" => "appeared".to_owned(),
        same => same.to_owned(),
    };
    let turned: BTreeSet<_> =
        found.iter().map(|(change, what, name)| (turn(change), what.clone(), name.clone())).collect();
    assert_eq!(differences(&diff(&after, &before)), turned);
    assert!(differences(&diff(&before, &before)).is_empty());
    let people = machine.podnet(&["snapshot", "diff", &before, &after]).stdout;
    for line in ["mtu 1500 → 1400", "INTERFACES", &format!("- {pod}  0.0.0.0/0")] {
        assert!(people.contains(line), "{line} in {people}");
    }
    let same = machine.podnet(&["snapshot", "diff", &after, &after]).stdout;
    assert!(same.contains("nothing changed"), "{same}");
}

#[test]
fn a_node_that_is_left_alone_does_not_change() {
    let Some(node) = Node::new(Kind::Ptp) else { return };
    settle(&node);
    let machine = &node.machine;
    let files = ["one.json", "two.json"].map(|name| machine.scratch().text(name));
    // Traffic moves counters and neighbours, which is no change of the network.
    for file in &files {
        assert_eq!(machine.podnet(&["snapshot", "save", file]).status, 0);
        node.run("pod ping -c 1 -W 2 \"$GW4\" >/dev/null");
    }
    let ran = machine.podnet(&["snapshot", "diff", &files[0], &files[1], "-o", "json"]);
    let found = differences(&serde_json::from_str(&ran.stdout).unwrap());
    let found: Vec<_> = found.iter().filter(|(_, what, _)| what != "neighbour").collect();
    assert!(found.is_empty(), "{found:#?}");
}
