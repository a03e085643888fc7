//! A server that answers otherwise, or not.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, getsockname, listen, socket,
};
use serde_json::{Value, json};

use crate::answers::on_node;
use crate::apiserver::{ApiServer, Instead, forbidden, kubeconfig};
use crate::support::listener::Listener;
use crate::support::podnet::{Podnet, Ran, source};
use crate::support::prerequisite::root_and;
use crate::support::scratch::Scratch;

/// What podnet says of the API server, and how long all of it took.
fn told(podnet: &Podnet, more: &[&str]) -> (String, String, Duration) {
    let own = format!("pid:{}", std::process::id());
    let ran: Ran = podnet.run(&[&["inspect", &own, "--runtime", "none", "-o", "json"], more].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let source = source(&document, "kubernetes");
    let text = |key: &str| source[key].as_str().unwrap().to_owned();
    (text("status"), text("detail"), ran.elapsed)
}

/// Every question is answered like this.
fn told_by(instead: Instead) -> (String, String, Duration) {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    server.instead("/", instead);
    told(&on_node(server.kubeconfig(&scratch)), &["--timeout", "0.6"])
}

#[test]
fn each_fault_is_named_and_none_is_waited_for_past_the_deadline() {
    for (instead, said) in [
        (Instead::Status(500, "etcdserver: leader changed"), "500 Internal Server Error: etcdserver: leader changed"),
        (Instead::Status(503, "apiserver is shutting down"), "503 Service Unavailable: apiserver is shutting down"),
        (Instead::Status(410, "too old"), "410 Gone: too old"),
        (Instead::Page(502, "<html><b>Bad Gateway</b></html>"), "502 Bad Gateway: <html><b>Bad Gateway</b></html>"),
        (Instead::Page(504, ""), "504 Gateway Timeout: no reason given"),
        (Instead::Body("hello"), "not what the Kubernetes API answers: "),
        (Instead::Body("{\"items\": 5}"), "not what the Kubernetes API answers: "),
        (Instead::CutOff, "the answer broke off: "),
        (Instead::Trickle, "no answer within 0.6 s"),
        (Instead::Silence, "no answer within 0.6 s"),
        (Instead::Again { status: 429, seconds: 30, times: 9 }, "429 Too Many Requests: too many requests"),
        (Instead::Close, "told nothing: "),
    ] {
        let (status, detail, elapsed) = told_by(instead.clone());
        assert_eq!(status, "failed", "{instead:?}: {detail}");
        assert!(detail.contains(said), "{instead:?}: {detail}");
        assert!(elapsed < Duration::from_secs(3), "{instead:?}: {elapsed:?}");
    }
}

#[test]
fn too_many_requests_are_repeated_when_the_server_says() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    server.instead("/api/v1/pods", Instead::Again { status: 429, seconds: 0, times: 2 });
    let (status, detail, _) = told(&on_node(server.kubeconfig(&scratch)), &[]);
    assert_eq!(status, "present");
    assert!(detail.contains(", 8 pods,"), "{detail}");
}

#[test]
fn credentials_that_are_nobodys_are_named() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let (status, detail, _) = told(&on_node(server.kubeconfig_with(&scratch, &json!({"token": "old"}))), &[]);
    assert_eq!(status, "failed");
    assert!(detail.contains("(401)") && detail.contains(&scratch.text("kubeconfig")), "{detail}");
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let (server, other, scratch) = (ApiServer::start(), ApiServer::start(), Scratch::new());
    let config = std::fs::read_to_string(other.kubeconfig(&scratch)).unwrap().replace(&other.url(), &server.url());
    scratch.write("kubeconfig", &config);
    let (status, detail, _) = told(&on_node(scratch.text("kubeconfig")), &[]);
    assert_eq!(status, "failed");
    assert!(detail.contains("certificate"), "{detail}");
    assert!(server.asked().is_empty(), "the token was not shown to it");
}

#[test]
fn what_rbac_refuses_is_named_with_the_rule_and_the_rest_is_shown() {
    if !root_and(&["ip"]) {
        return;
    }
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    server.instead("/apis/cilium.io/v2/ciliumnodes", forbidden("get", "ciliumnodes", "cilium.io"));
    server.instead("/apis/cilium.io/v2alpha1/ciliumpodippools", forbidden("list", "ciliumpodippools", "cilium.io"));
    server.instead("/api/v1/nodes", forbidden("get", "nodes", ""));
    let podnet = on_node(server.kubeconfig(&scratch));
    let netns = crate::answers::pod_of("10.244.1.249");
    let target = format!("netns:{}", netns.inode());
    let document = podnet.json(&["inspect", &target, "--runtime", "none"]);
    assert_eq!(document["kubernetes"]["pod"]["phase"], "Running");
    let unread = document["kubernetes"]["unread"].as_array().unwrap();
    let node = unread.iter().find(|each| each["resource"] == "nodes").unwrap();
    assert_eq!((&node["verb"], &node["status"]), (&"get".into(), &403.into()));
    assert_eq!(node["rule"], json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}));
    let screen = podnet.run(&["inspect", &target, "--runtime", "none"]).stdout;
    let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "! not read, forbidden to system:serviceaccount:kube-system:podnet; rules of a ClusterRole that would allow it:",
        "- {apiGroups: [\"cilium.io\"], resources: [\"ciliumnodes\"], verbs: [\"get\"]}",
        "- {apiGroups: [\"cilium.io\"], resources: [\"ciliumpodippools\"], verbs: [\"list\"]}",
    ] {
        assert!(flat.contains(said), "{said} in {screen}");
    }
}

#[test]
fn a_cluster_without_cilium_is_no_fault() {
    if !root_and(&["ip"]) {
        return;
    }
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    server.serves(Vec::new());
    let netns = crate::answers::pod_of("10.244.1.249");
    let document = crate::answers::inspect(&on_node(server.kubeconfig(&scratch)), &netns, &[]);
    assert_eq!(document["kubernetes"]["pod"]["phase"], "Running");
    assert_eq!((document["kubernetes"].get("endpoint"), document["kubernetes"].get("unread")), (None, None));
}

#[test]
fn another_machines_cluster_is_left_alone() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let podnet = Podnet::default().env("KUBECONFIG", server.kubeconfig(&scratch)).env("NODE_NAME", "laptop".into());
    let (status, detail, _) = told(&podnet, &[]);
    assert_eq!(status, "absent");
    assert!(detail.contains("has no node «laptop» (named by NODE_NAME)"), "{detail}");
    assert_eq!(told(&podnet, &["--kube"]).0, "failed");
}

/// Where nobody takes a connection, as behind a firewall that drops: the kernel drops what comes to a full backlog.
struct Full {
    address: SocketAddr,
    _socket: OwnedFd,
    _waiting: Vec<OwnedFd>,
}

impl Full {
    fn listener() -> Self {
        let open = || socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
        let listener = open();
        bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let own: SockaddrIn = getsockname(listener.as_raw_fd()).unwrap();
        let join = |_| {
            let waiting = open();
            let _ = connect(waiting.as_raw_fd(), &own);
            waiting
        };
        let waiting = (0..3).map(join).collect();
        Self { address: SocketAddr::from((own.ip(), own.port())), _socket: listener, _waiting: waiting }
    }
}

#[test]
fn a_server_that_is_away_costs_next_to_nothing() {
    let scratch = Scratch::new();
    let refused = Listener(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).0.local_addr().unwrap();
    let podnet = on_node(kubeconfig(&scratch, &format!("https://{refused}"), None, &json!({})));
    let (status, detail, _) = told(&podnet, &[]);
    assert_eq!(status, "failed");
    assert!(detail.contains("is not reachable: Connection refused"), "{detail}");
    let silent = Full::listener();
    let podnet = on_node(kubeconfig(&scratch, &format!("https://{}", silent.address), None, &json!({})));
    let (status, detail, elapsed) = told(&podnet, &["--timeout", "20"]);
    assert_eq!(status, "failed");
    assert!(detail.ends_with("is not reachable: no connection within 0.3 s (--kube waits longer)"), "{detail}");
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[test]
fn configurations_that_are_of_no_use_are_named() {
    let scratch = Scratch::new();
    let (server, missing) = (ApiServer::start(), scratch.text("missing"));
    for (content, more, said) in [
        ("{", &[][..], "kubeconfig"),
        ("current-context: nowhere", &[], "nowhere"),
        ("apiVersion: v1", &[], "context"),
        ("", &["--context", "other"], "the context «other» is not in it"),
    ] {
        if content.is_empty() {
            server.kubeconfig(&scratch);
        } else {
            scratch.write("kubeconfig", content);
        }
        let (status, detail, _) = told(&on_node(scratch.text("kubeconfig")), more);
        assert_eq!(status, "failed", "{content}");
        assert!(detail.contains(said) && detail.contains(&scratch.text("kubeconfig")), "{content}: {detail}");
    }
    let (status, detail, _) = told(&on_node(missing.clone()), &[]);
    assert_eq!((status.as_str(), detail), ("failed", format!("KUBECONFIG names no file that is there: {missing}")));
}

#[test]
fn a_plugin_that_fails_is_named_and_is_not_run_for_a_server_that_is_away() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let ran = scratch.text("ran");
    let script = format!("touch {ran}; echo 'no such profile' >&2; exit 3");
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script]});
    let user = json!({"exec": exec});
    let (status, detail, _) = told(&on_node(server.kubeconfig_with(&scratch, &user)), &[]);
    assert_eq!(status, "failed");
    assert!(
        detail.contains("its credential plugin") && detail.ends_with("exit status: 3: no such profile"),
        "{detail}"
    );
    std::fs::remove_file(&ran).unwrap();
    let refused = Listener(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).0.local_addr().unwrap();
    told(&on_node(kubeconfig(&scratch, &format!("https://{refused}"), None, &user)), &[]);
    assert!(!std::path::Path::new(&ran).exists());
}

#[test]
fn a_proxy_of_the_environment_is_for_others_and_one_of_the_kubeconfig_is_refused() {
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    let podnet = on_node(server.kubeconfig(&scratch)).env("HTTPS_PROXY", "http://127.0.0.1:1".into());
    assert_eq!(told(&podnet, &[]).0, "present");
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(scratch.text("kubeconfig")).unwrap()).unwrap();
    config["clusters"][0]["cluster"]["proxy-url"] = json!("http://127.0.0.1:1");
    scratch.write("kubeconfig", &config.to_string());
    let (status, detail, _) = told(&podnet, &[]);
    assert_eq!(status, "failed");
    assert!(detail.contains("behind the proxy http://127.0.0.1:1"), "{detail}");
}

#[test]
fn a_plugin_that_hangs_is_not_waited_for() {
    let scratch = Scratch::new();
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sleep", "args": ["5"]});
    let server = ApiServer::start();
    let podnet = on_node(server.kubeconfig_with(&scratch, &json!({"exec": exec})));
    let (status, detail, elapsed) = told(&podnet, &["--timeout", "0.3"]);
    assert_eq!(status, "failed");
    assert!(detail.starts_with("the credentials were not ready within 0.3 s"), "{detail}");
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
}
