//! `podnet endpoint list` beside an agent that answers at once: how long after its answer the first line is there.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::installed::podnet;
use crate::measure::{Argv, argv, command, median, peak_memory, time};
use crate::support::scratch::Scratch;

const RUNS: usize = 30;

/// When each answer was out.
type Answers = Arc<Mutex<Vec<Instant>>>;

/// Answers everything with that many endpoints, from memory.
struct Agent {
    socket: PathBuf,
    answers: Answers,
    _scratch: Scratch,
}

impl Agent {
    fn new(endpoints: usize) -> Self {
        let scratch = Scratch::new();
        let socket = scratch.join("cilium.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let answers = Answers::default();
        let body = body(endpoints);
        let noted = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away is a client's right.
                let _ = answer(&mut stream.unwrap(), &body, &noted);
            }
        });
        Self { socket, answers, _scratch: scratch }
    }

    fn list(&self) -> Argv {
        let socket = format!("CILIUM_SOCK={}", self.socket.display());
        argv(&[&socket, podnet(), "endpoint", "list"])
    }

    /// How long after the answer the first line came.
    fn first_line(&self) -> Duration {
        self.answers.lock().unwrap().clear();
        let call = self.list();
        let mut command = command(&call);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut podnet = command.spawn().unwrap();
        let mut output = BufReader::new(podnet.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        let seen = Instant::now();
        output.read_to_end(&mut Vec::new()).unwrap();
        assert!(podnet.wait().unwrap().success());
        let answers = self.answers.lock().unwrap();
        assert_eq!(answers.len(), 1, "one question for all");
        seen.saturating_duration_since(answers[0])
    }
}

/// A recorded endpoint, that many times.
fn body(endpoints: usize) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cilium/k8s/endpoint-list.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let numbered = |id: usize| {
        let mut endpoint = recorded[1].clone();
        endpoint["id"] = json!(id);
        endpoint
    };
    (1..=endpoints).map(numbered).collect::<Value>().to_string().into_bytes()
}

fn answer(stream: &mut UnixStream, body: &[u8], answers: &Mutex<Vec<Instant>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")?;
    let written = stream.write_all(body);
    answers.lock().unwrap().push(Instant::now());
    written
}

/// A node's worth, and more than any node has.
pub fn rows() {
    let node = Agent::new(110);
    node.first_line();
    let first = median((0..RUNS).map(|_| node.first_line()).collect());
    row("endpoint list, 110 endpoints", first, "after the agent's answer", "≤ 20 ms");
    let crowd = Agent::new(5000);
    let list = crowd.list();
    let whole = median((0..5).map(|_| time(&list)).collect());
    row("endpoint list, 5000 endpoints", whole, "", "≤ 500 ms");
    let mebibytes = peak_memory(&list) as f64 / 1024.0;
    println!(
        "{:<34} {mebibytes:>7.1} MiB  peak memory {:>30}  {:>9}  ≤ 80 MiB",
        "endpoint list, 5000 endpoints", "", ""
    );
}

fn row(name: &str, podnet: Duration, against: &str, reach: &str) {
    let milliseconds = format!("{:.2} ms", podnet.as_secs_f64() * 1000.0);
    println!("{name:<34} {milliseconds:>11}  {against:<29} {:>11}  {:>9}  {reach}", "", "");
}
