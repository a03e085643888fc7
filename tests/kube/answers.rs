//! A server that answers.

use serde_json::{Value, json};

use crate::apiserver::{ApiServer, TOKEN};
use crate::support::netns::TestNetns;
use crate::support::podnet::{Podnet, source};
use crate::support::prerequisite::root_and;
use crate::support::scratch::Scratch;

/// A namespace with the address of a pod of the cluster.
pub fn pod_of(address: &str) -> TestNetns {
    let netns = TestNetns::new();
    netns.ip_all([
        "link set lo up",
        "link add eth0 type veth peer name other",
        &format!("addr add {address}/32 dev eth0"),
        "link set eth0 up",
    ]);
    netns
}

/// podnet on the node `vm`, with this kubeconfig.
pub fn on_node(kubeconfig: String) -> Podnet {
    Podnet::default().env("KUBECONFIG", kubeconfig).env("NODE_NAME", "vm".to_owned())
}

pub fn inspect(podnet: &Podnet, netns: &TestNetns, more: &[&str]) -> Value {
    podnet.json(&[&["inspect", &format!("netns:{}", netns.inode()), "--runtime", "none"], more].concat())
}

#[test]
fn a_pods_objects_stand_beside_what_the_kernel_shows() {
    if !root_and(&["ip"]) {
        return;
    }
    let (server, scratch, netns) = (ApiServer::start(), Scratch::new(), pod_of("10.244.1.249"));
    let podnet = on_node(server.kubeconfig(&scratch));
    let document = inspect(&podnet, &netns, &[]);
    let told = &document["kubernetes"];
    assert_eq!(told["name"], "demo/web1");
    assert_eq!((&told["pod"]["phase"], &told["pod"]["podIPs"][0]), (&"Running".into(), &"10.244.1.249".into()));
    assert_eq!((&told["endpoint"]["state"], &told["endpoint"]["identity"]), (&"ready".into(), &44460.into()));
    assert_eq!(told["identity"]["labels"]["k8s:app"], "web");
    assert_eq!(told.get("disagreements"), None, "{told:#}");
    assert_eq!(source(&document, "kubernetes")["status"], "present");
    assert!(server.asked().iter().all(|question| question.method == "GET"), "{:?}", server.asked());
}

#[test]
fn the_whole_node_is_read_in_the_versions_that_are_served() {
    if !root_and(&["ip"]) {
        return;
    }
    let (server, scratch, netns) = (ApiServer::start(), Scratch::new(), pod_of("10.244.1.249"));
    let slice = json!({"metadata": {"name": "ces-1"}, "namespace": "demo", "endpoints": [
        {"name": "web1", "id": 44461, "networking": {"addressing": [{"ipv4": "10.244.1.249"}], "node": "10.250.0.2"}}]});
    server.change("/apis/cilium.io/v2alpha1/ciliumendpointslices", |slices| slices.push(slice.clone()));
    // v2 serves the pools too, and is preferred; it lists v2alpha1 first.
    let pools =
        json!({"metadata": {"name": "from-v2"}, "spec": {"ipv4": {"pool": [{"cidr": "10.9.0.0/16"}], "maskSize": 24}}});
    server.change("/apis/cilium.io/v2/ciliumpodippools", |all| all.push(pools.clone()));
    server.serves(vec![
        ("v2", vec!["ciliumnodes", "ciliumendpoints", "ciliumidentities", "ciliumpodippools"]),
        ("v2alpha1", vec!["ciliumpodippools", "ciliumendpointslices"]),
    ]);
    let podnet = on_node(server.kubeconfig(&scratch));
    let document = inspect(&podnet, &netns, &[]);
    assert!(server.asked().iter().any(|question| question.path == "/apis/cilium.io/v2/ciliumpodippools"));
    assert!(!server.asked().iter().any(|question| question.path == "/apis/cilium.io/v2alpha1/ciliumpodippools"));
    let told = &document["kubernetes"];
    assert_eq!(told["slice"]["slice"], "ces-1");
    let identity = told["disagreements"].as_array().unwrap().iter().find(|each| each["what"] == "identity").unwrap();
    assert_eq!((&identity["told"][0]["value"], &identity["told"][1]["value"]), (&"44460".into(), &"44461".into()));
}

#[test]
fn where_the_pod_and_the_kernel_differ_it_is_said() {
    if !root_and(&["ip"]) {
        return;
    }
    let (server, scratch, netns) = (ApiServer::start(), Scratch::new(), pod_of("10.244.1.249"));
    server.change("/apis/cilium.io/v2/ciliumendpoints", |endpoints| {
        for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint["metadata"]["name"] == "web1") {
            endpoint["status"]["networking"]["addressing"][0]["ipv4"] = json!("10.244.1.250");
            endpoint["status"]["identity"]["id"] = json!(23990);
        }
    });
    let podnet = on_node(server.kubeconfig(&scratch));
    let told = inspect(&podnet, &netns, &[])["kubernetes"].clone();
    let differ = |what: &str| {
        let all = told["disagreements"].as_array().unwrap();
        let found = all.iter().find(|each| each["what"] == what).unwrap_or_else(|| panic!("{what} in {told:#}"));
        [&found["told"][0], &found["told"][1]]
            .map(|side| format!("{}: {}", side["by"].as_str().unwrap(), side["value"].as_str().unwrap()))
    };
    assert_eq!(differ("addresses"), ["kernel: 10.244.1.249", "CiliumEndpoint: 10.244.1.250"]);
    assert_eq!(differ("identity"), ["CiliumEndpoint: 23990", "CiliumIdentity: none of that number"]);
    let screen = podnet.run(&["inspect", &format!("netns:{}", netns.inode()), "--runtime", "none"]).stdout;
    assert!(screen.contains("  ! addresses   kernel 10.244.1.249   CiliumEndpoint 10.244.1.250\n"), "{screen}");
}

#[test]
fn a_pod_that_is_not_here_is_said_where_it_is() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let podnet = on_node(server.kubeconfig(&scratch));
    for (target, said) in [
        ("demo/far", "the pod demo/far is not on this node (vm), but on vm2 (10.252.0.3)"),
        ("far", "the pod demo/far is not on this node (vm), but on vm2 (10.252.0.3)"),
        (
            "demo/pending",
            "the pod demo/pending belongs on this node, but nothing of it runs here: Pending, app: ContainerCreating",
        ),
        ("demo/unsched", "the pod demo/unsched is on no node yet"),
        ("demo/nowhere", "nothing on this node is called «demo/nowhere»"),
        // A target is no path: this is a pod of that name, which nobody has.
        ("demo/..", "nothing on this node is called «demo/..»"),
    ] {
        let ran = podnet.run(&["inspect", target, "--runtime", "none"]);
        assert_eq!(ran.status, 3, "{target}: {}", ran.stderr);
        assert!(ran.stderr.starts_with(&format!("error: {said}")), "{target}: {}", ran.stderr);
    }
    assert!(podnet.run(&["inspect", "demo/far", "--runtime", "none"]).stderr.contains("hint: run podnet on vm2"));
}

#[test]
fn only_who_is_asked_answers() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let podnet = on_node(server.kubeconfig(&scratch));
    let own = format!("pid:{}", std::process::id());
    for args in [&["list"][..], &["inspect", &own, "--no-kube"], &["inspect", &own, "--no-kube", "--context", "test"]] {
        let document = podnet.json(&[args, &["--runtime", "none"]].concat());
        assert!(
            document["sources"].as_array().unwrap().iter().all(|source| source["name"] != "kubernetes"),
            "{args:?}"
        );
    }
    assert!(server.asked().is_empty(), "{:?}", server.asked());
    for args in [
        &["list", "--kube"][..],
        &["inspect", &own],
        &["inspect", &own, "--context", "test"],
        &["list", "--no-kube", "--kube"],
    ] {
        let document = podnet.json(&[args, &["--runtime", "none"]].concat());
        assert_eq!(source(&document, "kubernetes")["status"], "present", "{args:?} {document:#}");
    }
}

#[test]
fn pages_are_put_together_also_after_the_server_forgot_where_they_were() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    server.pages_of(2).forgets(1);
    let podnet = on_node(server.kubeconfig(&scratch));
    let own = format!("pid:{}", std::process::id());
    let document = podnet.json(&["inspect", &own, "--runtime", "none"]);
    let detail = source(&document, "kubernetes")["detail"].as_str().unwrap();
    assert!(detail.contains(", 8 pods,"), "{detail}");
    let lists = server.asked().into_iter().filter(|question| question.path == "/api/v1/pods").count();
    assert_eq!(lists, 6, "one page, one that was forgotten, and four");
}

#[test]
fn a_plugin_of_the_kubeconfig_gives_the_credentials() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let credential =
        json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": TOKEN}});
    scratch.write("credential.json", &credential.to_string());
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [scratch.text("credential.json")]});
    let podnet = on_node(server.kubeconfig_with(&scratch, &json!({"exec": exec})));
    let own = format!("pid:{}", std::process::id());
    let document = podnet.json(&["inspect", &own, "--runtime", "none"]);
    assert_eq!(source(&document, "kubernetes")["status"], "present", "{document:#}");
}

#[test]
fn pods_of_which_nothing_runs_here_are_listed_when_the_server_is_asked() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let podnet = on_node(server.kubeconfig(&scratch));
    let listed = podnet.json(&["list", "--kube", "-n", "demo", "--runtime", "none"]);
    let items = listed["items"].as_array().unwrap();
    let pending = items.iter().find(|item| item["workload"]["pod"]["name"] == "pending").unwrap();
    assert_eq!(pending["standing"], "Pending, app: ContainerCreating");
    let names: Vec<&str> = items.iter().map(|item| item["workload"]["pod"]["name"].as_str().unwrap()).collect();
    assert!(!names.contains(&"far") && !names.contains(&"done"), "{names:?}");
    let all = podnet.run(&["list", "--kube", "--all", "-n", "demo", "--runtime", "none"]).stdout;
    assert!(all.contains("kubernetes: Succeeded, app: Completed"), "{all}");
    assert!(!podnet.run(&["list", "--runtime", "none"]).stdout.contains("pending"));
}
