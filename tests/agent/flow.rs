//! `podnet create --agent`, `delete`, and podnet as the plugin of a network with an agent: beside a stand-in that
//! keeps state, in each version's way.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::openapi;
use crate::stand_in::{Fault, Setup, StandIn, decoded};
use crate::support::host::{Host, text};
use crate::support::namespace::Namespace;
use crate::support::prerequisite::root_and;
use crate::support::shell;

const TOOLS: [&str; 2] = ["ip", "nsenter"];
const ROUTER: &str = "10.244.1.217";

/// A node with an agent.
struct Node {
    host: Host,
    agent: StandIn,
}

impl Node {
    fn new(setup: Setup) -> Self {
        Self { host: Host::new(), agent: StandIn::start(setup) }
    }

    /// Takes a pod down again, and with it all that was made.
    #[track_caller]
    fn delete(&self, name: &str) {
        self.json(&["delete", name]);
        self.nothing_left();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.host.command(env!("CARGO_BIN_EXE_podnet"), args);
        command.env("CILIUM_SOCK", &self.agent.socket);
        command
    }

    fn podnet(&self, args: &[&str]) -> Output {
        self.host.run(self.command(args))
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.podnet(&[args, &["-o", "json"]].concat());
        assert!(output.status.success(), "podnet {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// As a runtime calls podnet, for a network with the agent.
    fn plugin(&self, verb: &str, ifname: &str, namespace: &Namespace, extra: &str) -> Output {
        let conf = format!(r#"{{"cniVersion": "1.1.0", "name": "n", "type": "podnet", "agent": "cilium"{extra}}}"#);
        let conf = self.host.scratch.write("netconf.json", &conf);
        let mut command = self.command(&[]);
        command.stdin(std::fs::File::open(conf).unwrap());
        let args = "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=web-0;K8S_POD_UID=11-22;IgnoreUnknown=1";
        command.env("CNI_COMMAND", verb).env("CNI_CONTAINERID", "c0ffee").env("CNI_IFNAME", ifname);
        command.env("CNI_NETNS", namespace.path()).env("CNI_ARGS", args).env("CNI_PATH", "/opt/cni/bin");
        self.host.run(command)
    }

    /// That it fails with these words, and leaves nothing on the node nor with the agent.
    #[track_caller]
    fn refused(&self, args: &[&str], words: &str) {
        let output = self.podnet(args);
        let told = text(&output.stderr);
        let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!output.status.success() && flat.contains(words), "podnet {args:?}: {told}");
        self.nothing_left();
    }

    #[track_caller]
    fn nothing_left(&self) {
        assert_eq!(self.host.leftovers(), Vec::<String>::new());
        let state = self.agent.state();
        assert_eq!(state["endpoints"], json!([]));
        let held: Vec<&String> = state["addresses"].as_object().unwrap().keys().collect();
        assert_eq!(held, [ROUTER]);
    }

    /// `METHOD /path` of what changed something, as the agent read it.
    fn changes(&self) -> Vec<String> {
        let asked = self.agent.asked().into_iter().filter(|line| !line.starts_with("GET "));
        asked.map(|line| decoded(&line)).collect()
    }

    /// What the last PUT said.
    fn registered(&self) -> Value {
        let requests = self.agent.requests();
        let put = requests.iter().rev().find(|request| request.method == "PUT").unwrap();
        serde_json::from_slice(&put.body).unwrap()
    }
}

/// A node with an agent, where this machine can have one.
fn node(setup: Setup) -> Option<Node> {
    root_and(&TOOLS).then(|| Node::new(setup))
}

/// A node with a pod that was made through its agent, and what podnet said of that.
fn with_pod(setup: Setup) -> Option<(Node, String, Value)> {
    let node = node(setup)?;
    let name = node.host.name("a");
    let created = node.json(&["create", &name, "--agent"]);
    Some((node, name, created))
}

fn inside(netns: &str, words: &str) -> Value {
    let args = [&["-n", netns, "-j", "-d"][..], &words.split(' ').collect::<Vec<_>>()].concat();
    shell::json("ip", &args)
}

#[test]
fn a_pod_is_made_as_each_version_of_the_agent_wants_it() {
    if !root_and(&TOOLS) {
        return;
    }
    for version in ["1.9", "1.15", "1.20"] {
        let node = Node::new(Setup::stateful(version, 5));
        let name = node.host.name(&format!("v{}", version.replace('.', "-")));
        let created = node.json(&["create", &name, "--agent"]);
        assert_eq!(
            created["result"]["ips"][0],
            json!({"address": "10.244.1.10/32", "gateway": ROUTER, "interface": 1}),
            "{version}"
        );
        assert_eq!(created["result"]["routes"][1]["mtu"], 1450);

        let link = inside(&name, "link show eth0")[0].clone();
        assert_eq!((&link["mtu"], &link["gro_max_size"]), (&json!(1500), &json!(65536)));
        let routes = inside(&name, "route");
        assert_eq!(
            (&routes[0]["gateway"], &routes[0]["metrics"][0]["mtu"]),
            (&json!(ROUTER), &json!(1450)),
            "{routes}"
        );
        assert_eq!((&routes[1]["dst"], &routes[1]["scope"]), (&json!(ROUTER), &json!("link")));

        let told = node.registered();
        let lxc = created["result"]["interfaces"][0]["name"].as_str().unwrap();
        let outside = node.host.netns.ip_json(&format!("link show {lxc}"))[0].clone();
        assert_eq!(
            (&told["interface-name"], &told["interface-index"], &told["host-mac"]),
            (&json!(lxc), &outside["ifindex"], &outside["address"])
        );
        assert_eq!((&told["mac"], &told["container-id"]), (&link["address"], &json!(name)));
        assert_eq!((&told["state"], &told["sync-build-endpoint"]), (&json!("waiting-for-identity"), &json!(true)));
        let newer: Vec<&str> = ["container-interface-name", "container-netns-path", "netns-cookie"]
            .into_iter()
            .filter(|field| told.get(field).is_some())
            .collect();
        match version {
            "1.9" => assert_eq!(newer, [""; 0]),
            "1.15" => assert_eq!(newer, ["container-interface-name"]),
            _ => {
                assert_eq!(newer.len(), 3);
                assert_eq!(told["container-netns-path"], format!("/var/run/cilium/netns/{name}"));
                assert!(told["netns-cookie"].as_str().unwrap().parse::<u64>().unwrap() > 0);
            }
        }
        assert_eq!(node.agent.state()["addresses"]["10.244.1.10"]["expires"], false, "the endpoint stopped its timer");

        node.delete(&name);
        let expected = [
            format!("POST /v1/ipam?owner={name}"),
            "PUT /v1/endpoint/cilium-local:0".to_owned(),
            match version {
                "1.9" => format!("DELETE /v1/endpoint/container-id:{name}"),
                _ => format!("DELETE /v1/endpoint/cni-attachment-id:{name}:eth0"),
            },
        ];
        assert_eq!(node.changes(), expected, "the address goes with the endpoint");
        let Some(document) = openapi::document(version) else { continue };
        node.agent.requests().iter().for_each(|request| document.validate(request));
    }
}

#[test]
fn a_failure_at_any_step_leaves_nothing_anywhere() {
    let Some(node) = node(Setup::stateful("1.15", 5)) else { return };
    for step in ["agent", "netns", "vacancy", "agent-ipam", "veth", "settings", "configure", "agent-endpoint", "verify"]
    {
        let name = node.host.name(step);
        node.refused(&["create", &name, "--agent", "--fail-at", step, "--yes"], "all is undone");
    }
    let output = node.podnet(&["create", "x", "--fail-at", "agent", "--yes"]);
    assert_eq!(output.status.code(), Some(2), "a step of another way: {}", text(&output.stderr));
    let released = node.changes().into_iter().filter(|line| line.starts_with("DELETE /v1/ipam/")).count();
    assert_eq!(released, 4, "where no endpoint came of it the address is given back by name");
}

#[test]
fn what_is_undone_is_said_in_the_words_of_each_version() {
    if !root_and(&TOOLS) {
        return;
    }
    for version in ["1.9", "1.15", "1.20"] {
        let node = Node::new(Setup::stateful(version, 5));
        for step in ["configure", "verify"] {
            let name = node.host.name(step);
            node.refused(&["create", &name, "--agent", "--fail-at", step, "--yes"], "all is undone");
        }
        let deleted = node.changes().into_iter().filter(|line| line.starts_with("DELETE ")).count();
        assert_eq!(deleted, 2, "the address of one, the endpoint of the other: {:?}", node.changes());
        let Some(document) = openapi::document(version) else { continue };
        node.agent.requests().iter().for_each(|request| document.validate(request));
    }
}

#[test]
fn an_address_whose_timer_ran_out_makes_no_endpoint() {
    let Some(node) = node(Setup { expires_after_ms: Some(1), ..Setup::stateful("1.15", 5) }) else { return };
    node.refused(&["create", &node.host.name("a"), "--agent", "--yes"], "no expiration timer registered");
}

#[test]
fn what_the_agent_refuses_is_told_and_undone() {
    if !root_and(&TOOLS) {
        return;
    }
    let full = Node::new(Setup::stateful("1.15", 0));
    full.refused(&["create", &full.host.name("a"), "--agent", "--yes"], "with 502: range is full");
    let put = |fault| Setup::stateful("1.15", 5).fault("PUT /endpoint/cilium-local:0", fault);
    let failing = Node::new(put(Fault::Status(500, "\"build failed\"".into())));
    failing.refused(&["create", &failing.host.name("a"), "--agent", "--yes"], "with 500: build failed");
    assert!(failing.changes().iter().any(|line| line == "DELETE /v1/ipam/10.244.1.10?pool=default"));
    // The agent did it, and its answer was lost: the endpoint must not stay.
    let lost = Node::new(put(Fault::BrokenOff));
    lost.refused(&["create", &lost.host.name("a"), "--agent", "--yes"], "broke off");
    let starting = Node::new(Setup::stateful("1.20", 5).fault("/config", Fault::Status(503, String::new())));
    starting.refused(
        &["create", &starting.host.name("a"), "--agent", "--yes", "--timeout", "0.3"],
        "the agent is starting",
    );
    let silent = Node::new(Setup::stateful("1.20", 5).fault("/config", Fault::Silent));
    silent.refused(&["create", &silent.host.name("a"), "--agent", "--yes", "--timeout", "0.3"], "no answer from");
    let elsewhere = ["create", &silent.host.name("a"), "--agent", "--agent-socket", "/nonexistent/socket", "--yes"];
    silent.refused(&elsewhere, "name the agent's socket: --agent-socket, or CILIUM_SOCK");
}

#[test]
fn a_rate_limit_is_waited_for() {
    let limited = Fault::Limited { times: 2, wait: "120ms".into() };
    let setup = Setup::stateful("1.15", 5).fault("/endpoint/cilium-local:0", limited);
    let Some((node, name, _)) = with_pod(setup) else { return };
    assert_eq!(node.changes().iter().filter(|line| line.starts_with("PUT")).count(), 3);
    node.delete(&name);
}

#[test]
fn an_agent_that_is_down_finds_the_deletion_in_its_queue() {
    let Some((mut node, name, _)) = with_pod(Setup::stateful("1.15", 5)) else { return };
    node.agent.stop();
    node.json(&["delete", &name]);
    assert_eq!(node.host.leftovers(), Vec::<String>::new());
    // As `sha256sum` of what is in it, in the plugin's own words.
    let content = format!("{{\"container-id\":\"{name}\"}}");
    let digest = shell::run("sh", &["-c", &format!("printf %s '{content}' | sha256sum | cut -d' ' -f1")]);
    let expected = format!("{}.delete", digest.trim());
    assert_eq!(node.agent.queue().into_iter().collect::<Vec<_>>(), [(expected, content)]);
    assert!(node.agent.folder().join("deleteQueue/lockfile").exists());
    node.agent.start_again();
    node.nothing_left();
    assert!(node.agent.queue().is_empty());
}

#[test]
fn one_interface_of_several_is_queued_by_its_own_name() {
    let Some(mut node) = node(Setup::stateful("1.15", 5)) else { return };
    let namespaces = [Namespace::new(), Namespace::new()];
    for (namespace, ifname) in namespaces.iter().zip(["eth0", "net1"]) {
        let added = node.plugin("ADD", ifname, namespace, "");
        assert!(added.status.success(), "{}", text(&added.stdout));
    }
    node.agent.stop();
    assert!(node.plugin("DEL", "net1", &namespaces[1], "").status.success());
    let queued: Vec<String> = node.agent.queue().into_values().collect();
    assert_eq!(queued, ["cni-attachment-id:c0ffee:net1"]);
    node.agent.start_again();
    assert_eq!(node.agent.state()["endpoints"].as_array().unwrap().len(), 1, "the other stays");
    assert!(node.plugin("DEL", "eth0", &namespaces[0], "").status.success());
    node.nothing_left();
}

#[test]
fn a_full_queue_is_an_error_that_another_try_can_mend() {
    let Some((mut node, name, _)) = with_pod(Setup::stateful("1.15", 5)) else { return };
    node.agent.stop();
    let queue = node.agent.folder().join("deleteQueue");
    std::fs::create_dir(&queue).unwrap();
    (0..=256).for_each(|number| std::fs::write(queue.join(format!("{number}.delete")), "cilium-local:65000").unwrap());
    let output = node.podnet(&["delete", &name, "--yes"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("more than 256 entries"), "{}", text(&output.stderr));
    node.agent.start_again();
    node.delete(&name);
}

#[test]
fn the_mac_that_the_agent_wants_is_set() {
    let setup = Setup { mac: Some("02:00:00:00:00:77".into()), ..Setup::stateful("1.20", 5) };
    let Some((node, name, created)) = with_pod(setup) else { return };
    assert_eq!(inside(&name, "link show eth0")[0]["address"], "02:00:00:00:00:77");
    assert_eq!(created["result"]["interfaces"][1]["mac"], "02:00:00:00:00:77");
    node.delete(&name);
}

#[test]
fn settings_of_later_agents_are_made_in_the_pod() {
    let setup = Setup::stateful("1.20", 5)
        .configured("/status/ipLocalReservedPorts", json!("8472"))
        .configured("/status/packetizationLayerPMTUDMode", json!("1"));
    let Some((node, name, _)) = with_pod(setup) else { return };
    let read = |switch: &str| {
        let netns = format!("--net=/run/netns/{name}");
        shell::run("nsenter", &[&netns, "cat", &format!("/proc/sys/net/ipv4/{switch}")]).trim().to_owned()
    };
    assert_eq!(read("ip_local_reserved_ports"), "8472");
    assert_eq!((read("tcp_mtu_probing"), read("tcp_base_mss")), ("1".to_owned(), "1024".to_owned()));
    node.delete(&name);
}

#[test]
fn modes_that_podnet_cannot_serve_are_named_before_anything_is_done() {
    if !root_and(&TOOLS) {
        return;
    }
    for (pointer, value, words) in [
        ("/status/ipam-mode", "eni", "the agent's IPAM mode is eni"),
        ("/status/ipam-mode", "delegated-plugin", "leaves addresses to another plugin"),
        ("/status/datapathMode", "ipvlan", "the agent's datapath mode is ipvlan"),
    ] {
        let node = Node::new(Setup::stateful("1.15", 5).configured(pointer, json!(value)));
        node.refused(&["create", &node.host.name("a"), "--agent", "--yes"], words);
        assert_eq!(node.changes(), Vec::<String>::new());
    }
}

#[test]
fn netkit_is_made_where_the_kernel_has_it_and_named_where_not() {
    let setup = Setup::stateful("1.20", 5).configured("/status/datapathMode", json!("netkit-l2"));
    let Some(node) = node(setup) else { return };
    let name = node.host.name("a");
    let output = node.podnet(&["create", &name, "--agent", "--yes"]);
    if output.status.success() {
        assert_eq!(inside(&name, "link show eth0")[0]["linkinfo"]["info_kind"], "netkit");
        node.json(&["delete", &name]);
    } else {
        assert!(text(&output.stderr).contains("the kernel has none"), "{}", text(&output.stderr));
    }
    node.nothing_left();
}

#[test]
fn a_configuration_of_ciliums_plugin_is_enough_and_a_chain_is_refused() {
    let Some(node) = node(Setup::stateful("1.15", 5)) else { return };
    let conf = |name: &str, plugins: &str| {
        let text = format!(r#"{{"cniVersion": "0.3.1", "name": "{name}", "plugins": [{plugins}]}}"#);
        node.host.scratch.write(&format!("{name}.conflist"), &text).to_str().unwrap().to_owned()
    };
    let name = node.host.name("a");
    let cilium = conf("cilium", r#"{"type": "cilium-cni"}"#);
    let created = node.json(&["create", &name, "--conf", &cilium]);
    assert_eq!(created["network"], "cilium");
    assert_eq!(node.agent.state()["endpoints"].as_array().unwrap().len(), 1);
    node.json(&["delete", &name, "--conf", &cilium]);
    node.nothing_left();
    let plan = node.json(&["create", &name, "--conf", &cilium, "--dry-run"]);
    assert!(plan.to_string().contains("agent-endpoint"), "{plan}");
    node.nothing_left();
    let before = node.agent.asked().len();
    let chained = conf("aws", r#"{"type": "aws-cni"}, {"type": "cilium-cni"}"#);
    node.refused(&["create", &name, "--conf", &chained, "--yes"], "Cilium only joins it");
    let foreign = conf("foreign", r#"{"type": "bridge"}"#);
    node.refused(
        &["create", &name, "--conf", &foreign, "--fail-at", "veth"],
        "--fail-at is not for a network of other plugins",
    );
    assert_eq!(node.agent.asked().len(), before, "nothing was begun");
}

#[test]
fn podnet_is_the_plugin_of_a_network_with_an_agent() {
    let Some(mut node) = node(Setup::stateful("1.20", 5)) else { return };
    let namespace = Namespace::new();
    let call = |node: &Node, verb: &str, extra: &str| node.plugin(verb, "eth0", &namespace, extra);
    let status = call(&node, "STATUS", "");
    assert!(status.status.success(), "{}", text(&status.stdout));
    let added = call(&node, "ADD", "");
    assert!(added.status.success(), "{}", text(&added.stdout));
    let result: Value = serde_json::from_slice(&added.stdout).unwrap();
    assert_eq!(result["ips"][0]["address"], "10.244.1.10/32");
    let told = node.registered();
    assert_eq!(
        (&told["k8s-namespace"], &told["k8s-pod-name"], &told["k8s-uid"]),
        (&json!("demo"), &json!("web-0"), &json!("11-22"))
    );
    assert_eq!(node.changes()[0], "POST /v1/ipam?owner=demo/web-0");
    let previous = format!(r#", "prevResult": {result}"#);
    let checked = call(&node, "CHECK", &previous);
    assert!(checked.status.success(), "{}", text(&checked.stdout));

    node.agent.stop();
    let unavailable = call(&node, "STATUS", "");
    assert_eq!(serde_json::from_slice::<Value>(&unavailable.stdout).unwrap()["code"], 50);
    let deleted = call(&node, "DEL", &previous);
    assert!(deleted.status.success(), "{}", text(&deleted.stdout));
    assert_eq!(node.agent.queue().into_values().collect::<Vec<_>>(), [r#"{"container-id":"c0ffee"}"#]);
    node.agent.start_again();
    node.nothing_left();
    let chained = call(&node, "ADD", r#", "prevResult": {"cniVersion": "1.1.0", "interfaces": []}"#);
    assert_eq!(serde_json::from_slice::<Value>(&chained.stdout).unwrap()["code"], 7, "{}", text(&chained.stdout));
    node.nothing_left();
}
