//! A socket that answers as Docker does, for containers that do not have to run.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::scratch::Scratch;

pub struct FakeDocker {
    socket: PathBuf,
    asked: Asked,
}

/// The first line of each request.
type Asked = Arc<Mutex<Vec<String>>>;

impl FakeDocker {
    /// Answers with these containers. The thread ends with the test binary.
    pub fn new(scratch: &Scratch, containers: Vec<Value>) -> Self {
        Self::answering(scratch, containers, false)
    }

    fn answering(scratch: &Scratch, containers: Vec<Value>, is_stuck: bool) -> Self {
        let socket = scratch.join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let containers = Value::Array(containers).to_string();
        let asked = Asked::default();
        let heard = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (containers, heard) = (containers.clone(), heard.clone());
                std::thread::spawn(move || answer(stream, &containers, &heard, is_stuck));
            }
        });
        Self { socket, asked }
    }

    /// Answers with these containers, and never says more of one of them: as dockerd while something holds the
    /// container's lock.
    pub fn stuck(scratch: &Scratch, containers: Vec<Value>) -> Self {
        Self::answering(scratch, containers, true)
    }

    /// Takes connections and never says a word.
    pub fn hung(scratch: &Scratch) -> Self {
        let socket = scratch.join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            let _open: Vec<_> = listener.incoming().collect();
        });
        Self { socket, asked: Asked::default() }
    }

    /// The paths that were asked for, without the version of the API, in the order of the alphabet.
    pub fn asked(&self) -> Vec<String> {
        let path = |line: &String| line.split(' ').nth(1).unwrap().trim_start_matches("/v1.47").to_owned();
        let mut paths: Vec<String> = self.asked.lock().unwrap().iter().map(path).collect();
        paths.sort();
        paths
    }

    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

/// A running container.
pub fn container(name: &str) -> Value {
    json!({"Id": id(name), "Names": [format!("/{name}")], "Image": "registry.example/db:1", "State": "running", "Labels": {}})
}

/// A running container of a pod in the namespace `default`, as cri-dockerd labels it.
pub fn container_of_pod(pod: &str, container: &str) -> Value {
    let labels = json!({
        "io.kubernetes.pod.namespace": "default",
        "io.kubernetes.pod.name": pod,
        "io.kubernetes.pod.uid": "6d1c0a77-0000-4000-8000-000000000000",
        "io.kubernetes.container.name": container,
        "io.kubernetes.docker.type": "container",
    });
    let name = format!("k8s_{container}_{pod}_default");
    json!({"Id": id(&name), "Names": [format!("/{name}")], "Image": "registry.example/web:1.4", "State": "running", "Labels": labels})
}

/// Sixty-four digits that the name decides.
fn id(name: &str) -> String {
    let number = name
        .bytes()
        .fold(14_695_981_039_346_656_037_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211));
    format!("{number:016x}").repeat(4)
}

fn answer(stream: UnixStream, containers: &str, heard: &Asked, is_stuck: bool) {
    const VERSION: &str = r#"{"Version":"27.3.1","ApiVersion":"1.47"}"#;
    let mut out = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(request)) = lines.next() {
        // No request that is asked here has a body.
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let of_one =
            request.split_once("/containers/").and_then(|(_, rest)| Some(rest.split_once("/json")?.0.to_owned()));
        let body = match &of_one {
            Some(id) => json!({"Id": id, "State": {"StartedAt": "2026-11-01T08:00:00Z"}}).to_string(),
            None if request.contains("/containers/json") => containers.to_owned(),
            None => VERSION.to_owned(),
        };
        heard.lock().unwrap().push(request);
        if is_stuck && of_one.is_some() {
            std::thread::park(); // with the connection open
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nApi-Version: 1.47\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if out.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).is_err() {
            return;
        }
    }
}
