//! Running the binary that is tested, on a node that has just the runtimes of the test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::schema;

/// `$1` is the number of PLACE SOURCE pairs that follow; the rest is the command. In a mount namespace of its
/// own it sees an empty /run, but for the mounted namespaces and a link at each place.
const ON_NODE: &str = r#"
set -e
mkdir -p /run/netns
pairs=$1; shift
keep=$(mktemp -d); mount --rbind /run/netns "$keep"
mount -t tmpfs tmpfs /run
mkdir /run/netns; mount --rbind "$keep" /run/netns
umount -R "$keep"; rmdir "$keep"
mount -t tmpfs tmpfs /var/lib/containers 2>/dev/null || true
while [ "$pairs" -gt 0 ]; do
  case $1 in
    /etc/*) cp -a /etc /run/etc; mount --bind /run/etc /etc ;;
    /var/snap/*) mount -t tmpfs tmpfs /var ;;
  esac
  mkdir -p "$(dirname "$1")"; ln -sf "$2" "$1"
  shift 2; pairs=$((pairs - 1))
done
exec "$@"
"#;

const BINARY: &str = env!("CARGO_BIN_EXE_podnet");

/// The variables that would lead podnet to daemons that the test did not start.
const VARIABLES: [&str; 8] = [
    "CILIUM_SOCK",
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "CONTAINER_RUNTIME_ENDPOINT",
    "PODNET_TARGET",
    "NODE_NAME",
    "K8S_NODE_NAME",
    "MY_NODE_NAME",
];

/// podnet, as an operator runs it on a node.
#[derive(Default)]
pub struct Podnet {
    places: Vec<(&'static str, PathBuf)>,
    environment: Vec<(&'static str, String)>,
    prefix: Vec<String>,
    binary: Option<PathBuf>,
}

/// What one run left.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    pub elapsed: Duration,
}

impl Podnet {
    /// With variables of one's own, on the machine's own node.
    pub fn with(environment: &[(&'static str, String)]) -> Self {
        Self { environment: environment.to_vec(), ..Self::default() }
    }

    /// Puts a socket or folder of a private daemon where it usually is, so that it is found unasked.
    pub fn at(mut self, place: &'static str, source: PathBuf) -> Self {
        self.places.push((place, source));
        self
    }

    pub fn env(mut self, name: &'static str, value: String) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Runs it by way of another command, as `setpriv`.
    pub fn through(mut self, prefix: &[&str]) -> Self {
        self.prefix = prefix.iter().map(|word| word.to_string()).collect();
        self
    }

    /// Runs a copy of the binary, for users who cannot reach the one in `target`. It is made by another process: whom a
    /// test beside this one starts just then would inherit a descriptor that it is written by, and make it busy.
    pub fn copied_to(mut self, file: PathBuf) -> Self {
        assert!(Command::new("cp").arg(BINARY).arg(&file).status().unwrap().success());
        self.binary = Some(file);
        self
    }

    /// Runs the binary by another name.
    pub fn called(mut self, file: PathBuf) -> Self {
        std::os::unix::fs::symlink(BINARY, &file).unwrap();
        self.binary = Some(file);
        self
    }

    /// Runs another binary of podnet's.
    pub fn in_place(mut self, file: PathBuf) -> Self {
        self.binary = Some(file);
        self
    }

    /// The binary itself where no daemon has a place: that needs no root.
    pub fn command(&self) -> Command {
        let mut words: Vec<&OsStr> = Vec::new();
        let pairs = self.places.len().to_string();
        if !self.places.is_empty() {
            let enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ON_NODE, "sh", &pairs];
            words.extend(enter.map(OsStr::new));
            words.extend(self.places.iter().flat_map(|(place, source)| [OsStr::new(place), source.as_os_str()]));
        }
        words.extend(self.prefix.iter().map(OsStr::new));
        words.push(self.binary.as_deref().unwrap_or(Path::new(BINARY)).as_os_str());
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.env("LC_ALL", "C.UTF-8");
        // Nor to the cluster of who runs the tests.
        command.env("KUBECONFIG", "/nonexistent");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let begin = Instant::now();
        let output = self.command().args(args).output().unwrap();
        Ran::new(output, begin.elapsed())
    }

    /// The document that `args… -o json` prints, which has the shape that its kind promises.
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(&[args, &["-o", "json"]].concat());
        assert_eq!(ran.status, 0, "podnet {args:?}: {}", ran.stderr);
        let document = serde_json::from_str(&ran.stdout);
        let document = document.unwrap_or_else(|error| panic!("podnet {args:?}: {error}\n{}", ran.stdout));
        schema::check(&document);
        document
    }

    pub fn inspect(&self, target: &str) -> Value {
        self.json(&["inspect", target])
    }

    /// The one item of `podnet list` whose workload has the id.
    pub fn listed(&self, id: &str) -> Value {
        let list = self.json(&["list", "--all"]);
        let items = list["items"].as_array().unwrap();
        let found: Vec<_> = items.iter().filter(|item| item["workload"]["id"] == id).collect();
        assert_eq!(found.len(), 1, "{id} once in {list:#}");
        found[0].clone()
    }
}

impl Ran {
    pub fn new(output: Output, elapsed: Duration) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            elapsed,
        }
    }
}

/// The line under «sources» of that name.
pub fn source<'a>(document: &'a Value, name: &str) -> &'a Value {
    let sources = document["sources"].as_array().unwrap();
    sources.iter().find(|source| source["name"] == name).unwrap_or_else(|| panic!("{name} in {sources:#?}"))
}

/// The interface of that name.
pub fn interface<'a>(document: &'a Value, name: &str) -> &'a Value {
    let interfaces = document["interfaces"].as_array().unwrap();
    interfaces.iter().find(|link| link["name"] == name).unwrap_or_else(|| panic!("{name} in {interfaces:#?}"))
}

/// Where docker, containerd and podman usually listen.
pub fn on_docker(socket: PathBuf) -> Podnet {
    Podnet::default().at("/run/docker.sock", socket)
}

pub fn on_containerd(socket: PathBuf) -> Podnet {
    Podnet::default().at("/run/containerd/containerd.sock", socket)
}

/// Podman's storage, and its service's socket where that runs.
pub fn on_podman(storage: PathBuf, service: Option<&Path>) -> Podnet {
    let podnet = Podnet::default().at("/var/lib/containers/storage", storage);
    match service {
        Some(socket) => podnet.at("/run/podman/podman.sock", socket.to_owned()),
        None => podnet,
    }
}
