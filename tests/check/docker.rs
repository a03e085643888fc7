//! A stand-in for dockerd: it answers the two questions that podnet asks it, with the containers that a test gives it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::answering;
use crate::node::Node;

pub struct Docker {
    containers: Arc<Mutex<Vec<Value>>>,
}

impl Docker {
    /// Where podnet looks for it on the node's machine. Its thread ends with the test's process.
    pub fn on(node: &Node) -> Self {
        let socket = node.machine.scratch().join("docker.sock");
        let docker = Self { containers: Arc::default() };
        let containers = docker.containers.clone();
        answering::on(&socket, move |path| {
            if path.contains("/containers/json") {
                Value::Array(containers.lock().unwrap().clone())
            } else {
                json!({"Version": "27.0.0", "ApiVersion": "1.46", "MinAPIVersion": "1.24"})
            }
        });
        node.machine.run(&format!("ln -s {} /run/docker.sock", socket.display()));
        docker
    }

    pub fn has(&self, containers: &[Value]) {
        *self.containers.lock().unwrap() = containers.to_vec();
    }
}

/// A container of the list, that runs.
pub fn container(id: &str, name: &str) -> Value {
    json!({"Id": id, "Names": [format!("/{name}")], "Image": "bb", "ImageID": "", "Command": "", "Created": 0, "Ports": [],
           "Labels": {}, "State": "running", "Status": "Up", "HostConfig": {"NetworkMode": "bridge"}, "Mounts": []})
}

/// … as cri-dockerd makes one for a pod: its sandbox.
pub fn sandbox(id: &str, namespace: &str, pod: &str) -> Value {
    let mut sandbox = container(id, &format!("k8s_POD_{pod}"));
    sandbox["Labels"] = json!({"io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.name": pod,
        "io.kubernetes.sandbox.id": id, "io.kubernetes.container.name": "POD"});
    sandbox
}
