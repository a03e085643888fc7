//! Where podnet finds who it is to the API server, and what its node is called there.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::apiserver::{ApiServer, TOKEN};
use crate::support::podnet::{Podnet, source};
use crate::support::prerequisite::root_and;
use crate::support::scratch::Scratch;

/// podnet without any kubeconfig of a user's.
fn alone(scratch: &Scratch) -> Podnet {
    Podnet::default().env("KUBECONFIG", String::new()).env("HOME", scratch.text("home"))
}

fn told(podnet: &Podnet) -> Value {
    let own = format!("pid:{}", std::process::id());
    source(&podnet.json(&["inspect", &own, "--runtime", "none"]), "kubernetes").clone()
}

#[test]
fn in_a_pod_it_is_its_service_account() {
    if !root_and(&["unshare", "mount"]) {
        return;
    }
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    for (name, content) in [("token", TOKEN), ("ca.crt", server.authority()), ("namespace", "kube-system")] {
        scratch.write(&format!("account/{name}"), content);
    }
    let script = format!(
        "mount -t tmpfs tmpfs /run && mkdir -p /run/secrets/kubernetes.io && \
         cp -r {} /run/secrets/kubernetes.io/serviceaccount && exec \"$@\"",
        scratch.text("account")
    );
    let url = server.url();
    let port = url.rsplit(':').next().unwrap().to_owned();
    let podnet = alone(&scratch)
        .through(&["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1".into())
        .env("KUBERNETES_SERVICE_PORT", port)
        .env("K8S_NODE_NAME", "vm".into());
    let told = told(&podnet);
    assert_eq!(told["status"], "present", "{told:#}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("node vm") && detail.ends_with("/serviceaccount"), "{detail}");
}

#[test]
fn on_a_node_it_is_the_kubelets_and_so_is_the_nodes_name() {
    if !root_and(&["sh"]) {
        return;
    }
    let (server, scratch) = (ApiServer::start(), Scratch::new());
    // First without: what a test beside this one started would be seen here, too.
    assert_eq!(told(&alone(&scratch))["status"], "absent");
    let own = format!("pid:{}", std::process::id());
    let document = alone(&scratch).json(&["inspect", &own, "--runtime", "none", "--kube"]);
    assert_eq!(source(&document, "kubernetes")["status"], "failed", "it was asked for");
    let kubeconfig = server.kubeconfig(&scratch);
    // By its name and its flags it is one; the shell takes them for arguments of the script. A copy could be busy: whom a
    // test beside this one starts just then inherits the descriptor that it is written by.
    let kubelet = scratch.join("kubelet");
    std::os::unix::fs::symlink("/bin/sh", &kubelet).unwrap();
    let words =
        [kubelet.to_str().unwrap(), "-c", "read _; exit", "x", "--hostname-override=vm", "--kubeconfig", &kubeconfig];
    let mut child = Command::new(words[0]).args(&words[1..]).stdin(Stdio::piped()).spawn().unwrap();
    let told = told(&alone(&scratch));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told["status"], "present", "{told:#}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("node vm") && detail.ends_with(&kubeconfig), "{detail}");
}
