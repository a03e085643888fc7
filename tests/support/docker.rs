//! A private dockerd, on a containerd of its own.

use std::path::PathBuf;
use std::process::Command;

use super::containerd::Containerd;
use super::daemon::Daemon;
use super::image;
use super::prerequisite;
use super::scratch::clean_up;
use super::shell::succeed;
use super::subnet::Subnet;

/// The network that containers get unless told otherwise.
pub const NETWORK: &str = "podnet-test";

pub struct Docker {
    pub daemon: Daemon,
    pub subnet: Subnet,
    // After `daemon`: fields drop in order, and dockerd goes first.
    containerd: Containerd,
}

impl Docker {
    /// None, having said why, where it cannot be started.
    pub fn start() -> Option<Self> {
        if !prerequisite::root_and(&["dockerd", "docker", "containerd", "runc", "busybox"]) {
            return None;
        }
        let containerd = Containerd::start()?;
        let scratch = &containerd.scratch;
        let host = format!("unix://{}", scratch.text("docker.sock"));
        let argv = [
            "dockerd",
            "--host",
            &host,
            "--containerd",
            &scratch.text("containerd.sock"),
            "--data-root",
            &scratch.text("docker"),
            "--exec-root",
            &scratch.text("exec"),
            "--pidfile",
            &scratch.text("docker.pid"),
            // The machine's firewall and default bridge are not ours to change.
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-masq=false",
        ]
        .map(String::from);
        let daemon = Daemon::start(scratch, argv.to_vec(), || is_ready(&host));
        let subnet = Subnet::claim();
        let docker = Self { daemon, subnet, containerd };
        docker.cli(&["load", "--input", image::archive(&docker.containerd.scratch).to_str().unwrap()]);
        let bridge = format!("com.docker.network.bridge.name={}", docker.subnet.bridge());
        docker.cli(&["network", "create", "--subnet", &docker.subnet.cidr(), "--opt", &bridge, NETWORK]);
        Some(docker)
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.containerd.scratch.join("docker.sock")
    }

    /// The containerd below it, whose `moby` namespace has the same containers.
    pub fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    /// Ready again, after it was stopped or killed.
    pub fn revive(&mut self) {
        let host = self.host();
        self.containerd.revive();
        self.daemon.revive(|| is_ready(&host));
    }

    pub fn cli(&self, args: &[&str]) -> String {
        succeed(Command::new("docker").args(args).env("DOCKER_HOST", self.host()))
    }

    /// Runs a container that sleeps, on [`NETWORK`]; its id.
    pub fn run(&self, name: &str) -> String {
        self.run_with(name, &["--network", NETWORK], &[])
    }

    pub fn run_with(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        let args = [&["run", "--detach", "--name", name][..], options, &[image::BUSYBOX], command].concat();
        self.cli(&args)
    }

    pub fn pid(&self, container: &str) -> u32 {
        self.cli(&["inspect", "--format", "{{.State.Pid}}", container]).parse().unwrap()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        clean_up(|| {
            self.revive();
            let containers = self.cli(&["ps", "--all", "--quiet"]);
            for container in containers.lines() {
                self.cli(&["rm", "--force", container]);
            }
            self.cli(&["network", "rm", NETWORK]);
        });
    }
}

fn is_ready(host: &str) -> bool {
    let version = Command::new("docker").args(["version"]).env("DOCKER_HOST", host).output();
    version.is_ok_and(|output| output.status.success())
}
