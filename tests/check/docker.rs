//! A stand-in for dockerd: it answers the two questions that podnet asks it, with the containers that a test gives it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::node::Node;

pub struct Docker {
    containers: Arc<Mutex<Vec<Value>>>,
}

impl Docker {
    /// Where podnet looks for it on the node's machine. Its thread ends with the test's process.
    pub fn on(node: &Node) -> Self {
        let socket = node.machine.scratch().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        node.machine.run(&format!("ln -s {} /run/docker.sock", socket.display()));
        let docker = Self { containers: Arc::default() };
        let containers = docker.containers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let containers = containers.clone();
                std::thread::spawn(move || serve(stream, &containers));
            }
        });
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

/// Requests of one connection, until it is closed.
fn serve(stream: UnixStream, containers: &Mutex<Vec<Value>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap_or(0) > 2 {
            line.clear();
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let body = if path.contains("/containers/json") {
            Value::Array(containers.lock().unwrap().clone())
        } else {
            json!({"Version": "27.0.0", "ApiVersion": "1.46", "MinAPIVersion": "1.24"})
        };
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}
