//! A Cilium agent for tests: in a process of its own, on a unix socket, answering as the recordings do.

mod http;
mod server;
mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use http::Request;
use serde::{Deserialize, Serialize};
use serde_json::Value;
pub use state::{decoded, query_of};

use crate::support::daemon::Daemon;
use crate::support::podnet::Podnet;
use crate::support::scratch::Scratch;

/// What it answers, and how it misbehaves.
#[derive(Default, Serialize, Deserialize)]
pub struct Setup {
    /// Path below `/v1` → the body of its answer, as a recording has it.
    pub answers: BTreeMap<String, Value>,
    /// Major and minor version of an agent that keeps state; without one it only answers.
    pub version: Option<String>,
    /// How many addresses its pool has for pods.
    pub room: u32,
    /// After how long it takes back an address that no endpoint came with.
    pub expires_after_ms: Option<u64>,
    /// The MAC that it says a pod is to have.
    pub mac: Option<String>,
    /// `METHOD PATH` or a path, below `/v1`, or `*` → what goes wrong when it is asked.
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
    daemon: Daemon,
    scratch: Scratch,
}

/// Where the process finds its setup.
const FOLDER: &str = "PODNET_STAND_IN";

impl StandIn {
    pub fn start(setup: Setup) -> Self {
        let scratch = Scratch::new();
        scratch.write("setup.json", &serde_json::to_string(&setup).unwrap());
        let socket = scratch.join("cilium.sock");
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
        Self { socket, daemon, scratch }
    }

    /// One that answers as the agent of that folder of recordings did.
    pub fn recorded(folder: &str) -> Self {
        Self::start(Setup::recorded(folder))
    }

    /// It goes down, as an agent does: its socket goes with it.
    pub fn stop(&mut self) {
        self.daemon.kill();
        std::fs::remove_file(&self.socket).unwrap();
    }

    /// … and comes back, with what it knew.
    pub fn start_again(&mut self) {
        let socket = self.socket.clone();
        self.daemon.revive(|| socket.exists());
    }

    /// What it keeps: `addresses` by address, `endpoints`.
    pub fn state(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.scratch.join("state.json")).unwrap()).unwrap()
    }

    /// The files of its deletion queue, by name, with what is in them.
    pub fn queue(&self) -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(self.scratch.join("deleteQueue")).into_iter().flatten().flatten();
        let file = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            name.ends_with(".delete").then(|| (name, std::fs::read_to_string(entry.path()).unwrap()))
        };
        entries.filter_map(file).collect()
    }

    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// What it was asked so far: `METHOD PATH`.
    pub fn asked(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }

    pub fn requests(&self) -> Vec<Request> {
        let log = std::fs::read_to_string(self.scratch.join("requests")).unwrap_or_default();
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
        Self { answers: answers.collect(), ..Self::default() }
    }

    /// Of an agent of that version that keeps state, with some addresses left.
    pub fn stateful(version: &str, room: u32) -> Self {
        Self { version: Some(version.to_owned()), room, ..Self::recorded("k8s") }
    }

    /// With another value at a JSON pointer of its configuration.
    pub fn configured(mut self, pointer: &str, value: Value) -> Self {
        let config = self.answers.get_mut("/config").unwrap();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[name] = value;
        self
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
