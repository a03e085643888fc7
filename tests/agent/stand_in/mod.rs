//! A Cilium agent for tests: in a process of its own, on a unix socket, answering as the recordings do.

mod http;
mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use http::Request;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::podnet::Podnet;
use crate::support::scratch::Scratch;

/// What it answers, and how it misbehaves.
#[derive(Default, Serialize, Deserialize)]
pub struct Setup {
    /// Path below `/v1` → the body of its answer, as a recording has it.
    pub answers: BTreeMap<String, Value>,
    /// Path below `/v1`, or `*` → what goes wrong when it is asked.
    pub faults: BTreeMap<String, Fault>,
}

#[derive(Clone, Serialize, Deserialize)]
pub enum Fault {
    /// Accepts, reads the question and says nothing.
    Silent,
    /// A status with a body as it stands.
    Status(u16, String),
    /// Half of the body under the length of the whole one, then the end.
    BrokenOff,
    /// Half of the body as if it were the whole.
    CutJson,
    /// That many bytes of JSON, in chunks.
    Huge(usize),
    /// 429 with the agent's words, until it was asked that many times.
    Limited { times: usize, wait: String },
}

/// A stand-in that runs.
pub struct StandIn {
    pub socket: PathBuf,
    log: PathBuf,
    _daemon: Daemon,
    _scratch: Scratch,
}

/// Where the process finds its setup.
const FOLDER: &str = "PODNET_STAND_IN";

impl StandIn {
    pub fn start(setup: Setup) -> Self {
        let scratch = Scratch::new();
        scratch.write("setup.json", &serde_json::to_string(&setup).unwrap());
        let (socket, log) = (scratch.join("cilium.sock"), scratch.join("requests"));
        let own = std::env::current_exe().unwrap();
        let argv = [
            "env".to_owned(),
            format!("{FOLDER}={}", scratch.path().display()),
            own.to_str().unwrap().to_owned(),
            "--ignored".to_owned(),
            "--exact".to_owned(),
            "stand_in::process".to_owned(),
            "--nocapture".to_owned(),
        ];
        let daemon = Daemon::start(&scratch, argv.to_vec(), || socket.exists());
        Self { socket, log, _daemon: daemon, _scratch: scratch }
    }

    /// One that answers as the agent of that folder of recordings did.
    pub fn recorded(folder: &str) -> Self {
        Self::start(Setup::recorded(folder))
    }

    /// What it was asked so far: `METHOD PATH`.
    pub fn asked(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }

    pub fn requests(&self) -> Vec<Request> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// podnet that asks it, and no runtime.
    pub fn podnet(&self) -> Podnet {
        Podnet::with(&[("CILIUM_SOCK", self.socket.to_str().unwrap().to_owned())])
    }
}

impl Setup {
    pub fn recorded(folder: &str) -> Self {
        let names = ["endpoint-list", "healthz", "config"];
        let paths = ["/endpoint", "/healthz", "/config"];
        let answers =
            paths.iter().zip(names).map(|(path, name)| (path.to_string(), recording(&format!("{folder}/{name}"))));
        Self { answers: answers.collect(), faults: BTreeMap::new() }
    }

    pub fn answer(mut self, path: &str, body: Value) -> Self {
        self.answers.insert(path.to_owned(), body);
        self
    }

    pub fn fault(mut self, path: &str, fault: Fault) -> Self {
        self.faults.insert(path.to_owned(), fault);
        self
    }
}

/// A real agent's answer.
pub fn recording(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cilium").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
#[ignore = "the process that the other tests start"]
fn process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        server::serve(Path::new(&folder));
    }
}
