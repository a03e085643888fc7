//! Podman with a storage of its own; it has no daemon, but may serve its API on a socket.

use std::path::PathBuf;
use std::process::Command;

use super::daemon::Daemon;
use super::image;
use super::prerequisite;
use super::scratch::{Scratch, clean_up};
use super::shell::succeed;
use super::subnet::Subnet;

pub struct Podman {
    pub subnet: Subnet,
    pub scratch: Scratch,
}

impl Podman {
    /// None, having said why, where it cannot run.
    pub fn start() -> Option<Self> {
        if !prerequisite::root_and(&["podman", "/usr/lib/podman/netavark", "conmon", "runc", "busybox"]) {
            return None;
        }
        let podman = Self { subnet: Subnet::claim(), scratch: Scratch::new() };
        podman.scratch.write(&format!("networks/{}.json", podman.network()), &network(&podman.subnet));
        podman.cli(&["load", "--input", image::archive(&podman.scratch).to_str().unwrap()]);
        Some(podman)
    }

    pub fn cli(&self, args: &[&str]) -> String {
        succeed(Command::new("podman").args(self.global_options()).args(args))
    }

    /// Serves the API (Docker's, too) on [`Self::socket`] until dropped.
    pub fn serve(&self) -> Daemon {
        let service =
            ["system", "service", "--time=0", &format!("unix://{}", self.socket().display())].map(String::from);
        let argv = [vec!["podman".to_owned()], self.global_options(), service.to_vec()].concat();
        Daemon::start(&self.scratch, argv, || std::os::unix::net::UnixStream::connect(self.socket()).is_ok())
    }

    pub fn socket(&self) -> PathBuf {
        self.scratch.join("podman.sock")
    }

    /// What is at `/var/lib/containers/storage` otherwise.
    pub fn storage(&self) -> PathBuf {
        self.scratch.join("storage")
    }

    /// The network that containers get unless told otherwise. Its name is its own, because Podman keeps
    /// the addresses of all networks in one file, `/run/containers/networks/ipam.db`, by name.
    pub fn network(&self) -> String {
        self.subnet.bridge()
    }

    /// Runs a container that sleeps, on [`Self::network`]; its id.
    pub fn run(&self, name: &str) -> String {
        self.run_with(name, &["--network", &self.network()], &[])
    }

    pub fn run_with(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        // Podman's defaults are above what a machine without CAP_SYS_RESOURCE may set.
        let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"];
        self.cli(&[&["run", "--detach", "--name", name][..], &limits, options, &[image::BUSYBOX], command].concat())
    }

    pub fn pid(&self, container: &str) -> u32 {
        self.cli(&["inspect", "--format", "{{.State.Pid}}", container]).parse().unwrap()
    }

    fn global_options(&self) -> Vec<String> {
        let folders = [("root", "storage"), ("runroot", "run"), ("tmpdir", "tmp"), ("network-config-dir", "networks")];
        let folders = folders.map(|(option, folder)| format!("--{option}={}", self.scratch.text(folder)));
        // Without a word Podman takes CNI where netavark is missing, and then does not know our networks.
        let rest = ["runtime=runc", "cgroup-manager=cgroupfs", "storage-driver=overlay", "network-backend=netavark"];
        let rest = rest.into_iter().chain(["log-level=error"]).map(|option| format!("--{option}"));
        folders.into_iter().chain(rest).collect()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        clean_up(|| {
            self.cli(&["rm", "--all", "--force", "--time", "0"]);
            // Its addresses too.
            self.cli(&["network", "rm", &self.network()]);
        });
    }
}

/// As `podman network create` writes it, but for the interface's name, which that does not let one choose.
fn network(subnet: &Subnet) -> String {
    serde_json::json!({
        "name": subnet.bridge(),
        "id": "0".repeat(64),
        "driver": "bridge",
        "network_interface": subnet.bridge(),
        "created": "2024-01-01T00:00:00Z",
        "subnets": [{ "subnet": subnet.cidr(), "gateway": subnet.address(1) }],
        "ipv6_enabled": false,
        "internal": false,
        "dns_enabled": false,
        "ipam_options": { "driver": "host-local" },
    })
    .to_string()
}
