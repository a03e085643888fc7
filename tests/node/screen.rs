//! What the table shows beside the JSON: each source's answer, what lies below, how the host gets there, long routes.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::support::namespace::{Namespace, unique};
use crate::support::podnet::{Podnet, interface, source};
use crate::support::prerequisite;
use crate::support::shell::run;

fn ip(netns: &Namespace, words: &str) {
    run("ip", &[&["-n", &netns.name][..], &words.split_whitespace().collect::<Vec<_>>()].concat());
}

fn on_host(words: &str) {
    run("ip", &words.split_whitespace().collect::<Vec<_>>());
}

/// The table at a width, which it keeps.
fn table(target: &str, columns: usize) -> String {
    let ran = Podnet::default().env("COLUMNS", columns.to_string()).run(&[
        "inspect",
        target,
        "--runtime",
        "none",
        "--no-kube",
    ]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.lines().all(|line| line.width() <= columns), "{columns} columns:\n{}", ran.stdout);
    ran.stdout
}

fn assert_line(table: &str, line: &str) {
    assert!(table.lines().any(|shown| shown.trim() == line), "«{line}» in\n{table}");
}

/// A namespace whose `eth0` is up, with these addresses, and the host's end of it.
fn pod(addresses: &[&str]) -> (Namespace, String) {
    let pod = Namespace::new();
    let end = pod.veth_from_host();
    on_host(&format!("link set {end} up"));
    ip(&pod, "link set eth0 up");
    addresses.iter().for_each(|address| ip(&pod, &format!("addr add {address} dev eth0")));
    (pod, end)
}

#[test]
fn each_source_is_shown_with_its_answer_and_its_time() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (pod, _) = pod(&[]);
    let document = Podnet::default().inspect(&pod.path());
    assert_eq!(source(&document, "kernel")["detail"], "2 namespaces");
    for columns in [80, 200] {
        let table = table(&pod.path(), columns);
        let sources = table.split_once("SOURCES\n").unwrap().1;
        let row = |name: &str| {
            let line = sources.lines().find_map(|line| line.trim_start().strip_prefix(name)?.split_once(" ms  "));
            let (time, answer) = line.unwrap_or_else(|| panic!("{name} in\n{sources}"));
            time.trim().parse::<u32>().unwrap();
            answer.to_owned()
        };
        assert_eq!(row("kernel"), "2 namespaces");
        assert!(row("proc").contains("network namespace"), "{sources}");
        assert!(row("cilium agent").starts_with("absent: no socket at "), "{sources}");
    }
}

#[test]
fn a_device_in_the_same_namespace_is_named_below() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (pod, _) = pod(&[]);
    ip(&pod, "link add mv0 link eth0 type macvlan mode bridge");
    let document = Podnet::default().inspect(&pod.path());
    let (eth0, mv0) = (interface(&document, "eth0"), interface(&document, "mv0"));
    let lower = &mv0["peer"];
    for field in ["name", "ifindex", "mac", "mtu", "state"] {
        assert_eq!(lower[field], eth0[field], "{lower:#}");
    }
    assert_eq!((&lower["verdict"], &lower["netns"]["inode"]), (&json!("one-sided"), &json!(pod.inode())));
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let ifindex = &eth0["ifindex"];
    let shown = format!("└─ lower  eth0  {ifindex}   same netns   up   mtu 1500   {}", word(&eth0["mac"]));
    assert_line(&table(&pod.path(), 80), &shown);
}

#[test]
fn the_way_that_the_host_would_really_take() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (pod, end) =
        pod(&["10.201.0.2/24", "10.202.0.2/24", "10.203.0.2/24", "10.204.0.2/24", "10.205.0.2/24", "10.206.0.2/24"]);
    let other = unique();
    // Its own route in a table that a rule leads to, as Amazon's VPC CNI has it, where the main table leads elsewhere; a wider
    // one by another device, as with Cilium; refusals; its own in the main table; and for the last none.
    let made = format!(
        "link add {other} type bridge
        link set {other} up
        route add 10.201.0.2 dev {other}
        route add 10.201.0.2 dev {end} table 4242
        rule add to 10.201.0.0/24 lookup 4242 pref 91
        route add 10.202.0.0/16 dev {other}
        route add unreachable 10.203.0.0/16
        rule add to 10.204.0.0/16 prohibit pref 92
        route add 10.205.0.2 dev {end}"
    );
    made.lines().for_each(on_host);
    let document = Podnet::default().inspect(&pod.path());
    let screens = [80, 200].map(|columns| table(&pod.path(), columns));
    let link_gone = format!("link del {other}");
    ["rule del pref 91", "rule del pref 92", "route del unreachable 10.203.0.0/16", &link_gone]
        .into_iter()
        .for_each(on_host);

    let link = interface(&document, "eth0");
    let (routes, detours) = (&link["hostRoutes"], &link["hostDetours"]);
    assert_eq!(routes["10.201.0.2"]["table"], 4242, "{link:#}");
    assert_eq!(routes["10.202.0.2"]["destination"], "10.202.0.0/16", "{link:#}");
    assert_eq!(routes["10.205.0.2"]["nextHops"][0]["interface"], end, "{link:#}");
    assert_eq!((&detours["10.201.0.2"], &detours["10.205.0.2"]), (&Value::Null, &Value::Null), "{link:#}");
    assert_eq!(detours["10.202.0.2"]["route"]["destination"], "10.202.0.0/16", "{link:#}");
    assert_eq!(detours["10.203.0.2"]["route"]["kind"], "unreachable", "{link:#}");
    assert_eq!(detours["10.204.0.2"]["rule"]["priority"], 92, "{link:#}");
    assert_eq!(detours["10.206.0.2"], json!({}), "{link:#}");

    let [narrow, wide] = &screens;
    let unwrapped = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        format!("host route to 10.201.0.2: 10.201.0.2/32 dev {end} scope link table 4242"),
        format!("host route to 10.202.0.2: none, packets to it go by 10.202.0.0/16 dev {other} scope link"),
        "host route to 10.203.0.2: none, packets to it are refused by unreachable 10.203.0.0/16".to_owned(),
        "host route to 10.204.0.2: none, packets to it are refused by rule 92 (prohibit)".to_owned(),
        format!("host route to 10.205.0.2: 10.205.0.2/32 dev {end} scope link"),
        "host route to 10.206.0.2: none, network is unreachable".to_owned(),
    ] {
        assert_line(wide, &line);
        assert!(unwrapped(narrow).contains(&line), "«{line}» in\n{narrow}");
    }
}

#[test]
fn a_port_of_a_bridge_is_reached_by_the_bridge() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (pod, end) = pod(&["10.207.0.2/24"]);
    let bridge = unique();
    on_host(&format!("link add {bridge} type bridge"));
    on_host(&format!("link set {bridge} up"));
    on_host(&format!("link set {end} master {bridge}"));
    on_host(&format!("addr add 10.207.0.1/24 dev {bridge}"));
    let document = Podnet::default().inspect(&pod.path());
    on_host(&format!("link del {bridge}"));
    let link = interface(&document, "eth0");
    assert_eq!(link["hostRoutes"]["10.207.0.2"]["nextHops"][0]["interface"], bridge, "{link:#}");
    assert_eq!(link["hostDetours"], Value::Null, "{link:#}");
}

#[test]
fn routes_keep_to_the_page_with_all_that_they_say() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (pod, _) = pod(&["10.201.0.2/24"]);
    let hops: Vec<String> = (10..14).map(|host| format!("nexthop via 10.201.0.{host} dev eth0")).collect();
    ip(&pod, &format!("route add 10.9.0.0/16 proto bgp mtu 1400 initcwnd 20 {}", hops.join(" ")));
    let rows = |columns| {
        let table = table(&pod.path(), columns);
        let routes = table.split_once("ROUTES\n").unwrap().1.split_once("\n\n").unwrap().0.to_owned();
        routes.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let left = " ".repeat("  10.201.0.0/24  ".len());
    let narrow = [
        "  10.9.0.0/16    mtu 1400  initcwnd 20  nexthop via 10.201.0.10 dev eth0".to_owned(),
        format!("{left}{}", hops[1]),
        format!("{left}{}", hops[2]),
        format!("{left}{}", hops[3]),
        "  10.201.0.0/24  dev eth0  src 10.201.0.2  scope link".to_owned(),
    ];
    assert_eq!(rows(80), narrow);
    assert_eq!(rows(200)[0], format!("  10.9.0.0/16    mtu 1400  initcwnd 20  {}", hops.join("  ")));
    let wide = Podnet::default().run(&["inspect", &pod.path(), "--runtime", "none", "--no-kube", "-o", "wide"]).stdout;
    assert!(wide.contains("initcwnd 20  proto bgp  nexthop via"), "{wide}");
}

#[test]
fn nexthop_objects_are_in_the_wide_table() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (pod, _) = pod(&["10.201.0.2/24"]);
    ip(&pod, "link set lo up");
    for words in
        ["id 10 via 10.201.0.10 dev eth0", "id 11 via 10.201.0.11 dev eth0", "id 20 group 10/11,3", "id 30 blackhole"]
    {
        ip(&pod, &format!("nexthop add {words}"));
    }
    let document = Podnet::default().inspect(&pod.path());
    let ids: Vec<&Value> = document["nexthops"].as_array().unwrap().iter().map(|nexthop| &nexthop["id"]).collect();
    assert_eq!(ids, [10, 11, 20, 30]);
    let wide = Podnet::default().run(&["inspect", &pod.path(), "--runtime", "none", "--no-kube", "-o", "wide"]).stdout;
    for line in ["id 10  via 10.201.0.10 dev eth0", "id 20  group 10/11,3", "id 30  blackhole"] {
        assert_line(&wide, line);
    }
    assert!(!table(&pod.path(), 80).contains("NEXTHOPS"));
}
