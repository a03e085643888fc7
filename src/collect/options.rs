//! What to ask, and how long to wait.

use std::path::PathBuf;
use std::time::Duration;

/// Set from the command line, the environment and nothing else.
#[derive(Clone, Debug)]
pub struct Options {
    pub runtimes: Runtimes,
    /// `--runtime-endpoint`, `CONTAINER_RUNTIME_ENDPOINT`: CRI sockets to ask instead of the usual ones.
    pub endpoints: Vec<String>,
    /// Whether a survey asks the Cilium agent, too.
    pub agent: bool,
    /// `--agent-socket`, `CILIUM_SOCK`: where the Cilium agent listens instead of the usual place.
    pub agent_socket: Option<PathBuf>,
    /// Each source's own deadline.
    pub timeout: Duration,
    /// Where the BPF file system is.
    pub bpf_root: PathBuf,
    /// `/proc`, or a copy of one in tests.
    pub proc_root: PathBuf,
    pub kube: Kube,
    /// `--context`: of the kubeconfig; its own current one otherwise.
    pub kube_context: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            runtimes: Runtimes::All,
            endpoints: Vec::new(),
            agent: false,
            agent_socket: None,
            timeout: Duration::from_secs(2),
            bpf_root: "/sys/fs/bpf".into(),
            proc_root: "/proc".into(),
            kube: Kube::Never,
            kube_context: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtimes {
    /// All that have a socket here.
    All,
    /// `/proc` alone.
    None,
    /// Those named: docker, containerd, cri-o, podman.
    Only(Vec<String>),
}

/// Whether to ask the Kubernetes API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kube {
    Never,
    /// If it takes a connection at once.
    IfReachable,
    /// The user wants it asked: its absence is a failure.
    Asked,
}

impl Kube {
    pub fn is_asked(self) -> bool {
        self == Self::Asked
    }
}

/// How much of each namespace to read; each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Which namespaces there are and who holds them; nothing is entered.
    Holders,
    /// The links and addresses of the host's own netns too.
    HostLinks,
    /// The addresses of every namespace.
    Addresses,
    /// Links and addresses of every namespace.
    AllLinks,
    /// All that `check` judges, of every namespace and of the machine.
    Judgeable,
    /// All that there is to show of every namespace.
    Whole,
}
