//! Pods that `podnet create` made, of which no runtime keeps a record: podnet's own journals say what they were promised.

use serde_json::Value;

use crate::case::{assert_healthy, wrong};
use crate::node::{Kind, Node, found};

const PODNET: &str = env!("CARGO_BIN_EXE_podnet");

/// A node with a new pod of that name, and one that a process alone holds: the netns of each, as `nsenter` takes it.
fn node() -> Option<(Node, [String; 2])> {
    let node = Node::new(Kind::None)?;
    let process = node.machine.leave("exec unshare --net sleep infinity");
    let held = format!("/proc/{process}/ns/net");
    node.run(&format!("until ! [ {held} -ef /proc/self/ns/net ]; do sleep 0.01; done"));
    for target in ["demo", &held] {
        let created = node.machine.podnet(&["create", target, "--yes"]);
        assert_eq!(created.status, 0, "{}{}", created.stdout, created.stderr);
    }
    Some((node, ["/run/netns/demo".to_owned(), held]))
}

/// What must be told after the pod was broken so, with podnet's journal for a witness.
fn tells(node: &Node, place: &str, code: &str, broken: &str) {
    assert_healthy(node, "before");
    node.run(&format!("nsenter --net={place} {broken}"));
    let report = node.report();
    let wrong = wrong(code, &[], &report);
    assert!(wrong.is_empty(), "{broken} in {place}: {}", wrong.join("\n"));
    let evidence = report["findings"][0]["evidence"].as_array().unwrap();
    assert!(evidence.iter().any(|each| each["source"] == "podnet's journal"), "{report:#}");
}

/// Does what the findings say; some of it can be seen only when the first is mended.
fn mend(node: &Node) {
    for _ in 0..3 {
        for finding in node.report()["findings"].as_array().unwrap() {
            assert_eq!(finding["fixIsCommand"], true, "{finding:#}");
            node.run(&finding["fix"].as_str().unwrap().replace("podnet exec", &format!("{PODNET} exec")));
        }
    }
    assert_healthy(node, "mended");
}

fn address(node: &Node, place: &str, family: &str) -> String {
    let shown = node.run(&format!("nsenter --net={place} ip -j {family} addr show dev eth0 scope global"));
    let links: Value = serde_json::from_str(&shown).unwrap();
    links[0]["addr_info"][0]["local"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_taken_away_is_found_and_can_be_given_back() {
    let Some((node, places)) = node() else { return };
    for place in &places {
        tells(&node, place, "PN-ROUTE-002", "ip route del default");
        mend(&node);
        tells(&node, place, "PN-ROUTE-002", "ip -6 route del default");
        mend(&node);
        let address = address(&node, place, "-4");
        tells(&node, place, "PN-ADDR-001", &format!("ip addr del {address}/32 dev eth0"));
        mend(&node);
    }
    let deleted = node.machine.podnet(&["delete", "demo", "--yes"]);
    assert_eq!(deleted.status, 0, "{}", deleted.stderr);
    assert_healthy(&node, "deleted");
    // The pair goes with its one end.
    tells(&node, &places[1], "PN-LINK-019", "ip link del eth0");
}

#[test]
fn the_next_namespace_of_the_same_number_was_promised_nothing() {
    let Some((node, _)) = node() else { return };
    // As if the kernel had given it the number of the one that is gone.
    node.run(
        "number=$(stat -L -c %i /run/netns/demo); ip netns del demo; ip netns add other; live other
         sed -i \"s/\\\"netns\\\":$number/\\\"netns\\\":$(stat -L -c %i /run/netns/other)/\" /run/podnet/attachments/demo@eth0
         grep -q \"\\\"netns\\\":$(stat -L -c %i /run/netns/other)\" /run/podnet/attachments/demo@eth0",
    );
    let errors: Vec<_> = found(&node.report()).into_iter().filter(|(_, severity)| severity == "error").collect();
    assert_eq!(errors, []);
}

#[test]
fn what_a_runtime_keeps_as_well_is_told_once() {
    let Some(node) = Node::new(Kind::None) else { return };
    let conf = node.machine.scratch().text("own.conflist");
    let list = r#"{"cniVersion": "1.1.0", "name": "own", "plugins": [{"type": "podnet"}]}"#;
    node.machine.scratch().write("own.conflist", list);
    let created = node.machine.podnet(&["create", "demo", "--conf", &conf, "--yes"]);
    assert_eq!(created.status, 0, "{}{}", created.stdout, created.stderr);
    let keepers = || {
        let shown = node.machine.podnet(&["inspect", "demo", "--no-kube", "-o", "jsonpath={.cni[*].keptBy}"]);
        shown.stdout.trim().to_owned()
    };
    assert_eq!(keepers(), "cni-cache");
    node.run("rm /var/lib/cni/results/*");
    assert_eq!(keepers(), "podnet");
    assert_healthy(&node, "without the cache");
}
