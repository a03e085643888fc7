//! Where runtimes listen on each kind of node, and what says otherwise.

use serde_json::Value;

use crate::support::containerd::Containerd;
use crate::support::podnet::{Podnet, source};

/// Asserts that the CRI was asked and told of the pod.
fn knows_the_pod(podnet: &Podnet, options: &[&str]) -> Value {
    let document = podnet.json(&[&["inspect", "default/placed"], options].concat());
    assert_eq!(source(&document, "cri")["status"], "present", "{document:#}");
    assert_eq!(document["workload"]["pod"]["name"], "placed");
    document
}

#[test]
fn the_usual_sockets_of_every_kind_of_node() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_pod("default", "placed");
    cri.run_container(&pod, "app", &[]);
    for place in [
        "/run/containerd/containerd.sock",
        "/run/k3s/containerd/containerd.sock",
        "/run/k0s/containerd.sock",
        "/var/snap/microk8s/common/run/containerd.sock",
    ] {
        let document = knows_the_pod(&Podnet::default().at(place, containerd.socket()), &[]);
        assert_eq!(source(&document, "containerd")["status"], "present", "{place}: {document:#}");
    }
    for place in ["/run/crio/crio.sock", "/run/cri-dockerd.sock", "/run/k3s/cri-dockerd/cri-dockerd.sock"] {
        knows_the_pod(&Podnet::default().at(place, containerd.socket()), &[]);
    }
}

#[test]
fn the_flag_is_nearer_than_the_variable_and_that_than_crictls_file() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_pod("default", "placed");
    cri.run_container(&pod, "app", &[]);
    let scratch = &containerd.scratch;
    let right = containerd.endpoint();
    let wrong = format!("unix://{}", scratch.text("nobody.sock"));
    let file = |name: &str, endpoint: &str| {
        scratch.write(name, &format!("runtime-endpoint: {endpoint}\nimage-endpoint: \"\"\ntimeout: 10\n"))
    };
    let crictl = |file| Podnet::default().at("/etc/crictl.yaml", file);
    knows_the_pod(&crictl(file("right.yaml", &right)), &[]);
    let variable = crictl(file("wrong.yaml", &wrong)).env("CONTAINER_RUNTIME_ENDPOINT", right.clone());
    knows_the_pod(&variable, &[]);
    let flag = crictl(file("wrong.yaml", &wrong)).env("CONTAINER_RUNTIME_ENDPOINT", wrong.clone());
    knows_the_pod(&flag, &["--runtime-endpoint", &right]);
    // What is named and not there is said to fail, and nothing else is asked instead.
    let usual = Podnet::default().at("/run/containerd/containerd.sock", containerd.socket());
    let document = usual.json(&["list", "--runtime-endpoint", &wrong]);
    assert_eq!(source(&document, "cri")["status"], "failed", "{document:#}");
}
