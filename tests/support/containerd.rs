//! A private containerd with the CRI, and pods on a `ptp` network.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::cri::Cri;
use super::daemon::Daemon;
use super::image;
use super::prerequisite;
use super::scratch::{Scratch, clean_up};
use super::shell::{succeed, wait_for};
use super::subnet::Subnet;

pub struct Containerd {
    pub daemon: Daemon,
    pub subnet: Subnet,
    // Last: fields drop in order.
    pub scratch: Scratch,
}

/// Where its CNI plugins are, and the `NAME=VALUE` that they are told by way of the daemon.
pub struct Plugins {
    pub directory: PathBuf,
    pub environment: Vec<String>,
}

/// Debian's, and a network of them.
fn debians(scratch: &Scratch, subnet: &Subnet) -> Plugins {
    scratch.write("cni/10-podnet-test.conflist", &network(scratch, subnet));
    Plugins { directory: "/usr/lib/cni".into(), environment: Vec::new() }
}

impl Containerd {
    /// None, having said why, where it cannot be started.
    pub fn start() -> Option<Self> {
        Self::start_on(debians)
    }

    /// With the plugins and the network, below `cni`, that `prepare` puts in place.
    fn start_on(prepare: impl FnOnce(&Scratch, &Subnet) -> Plugins) -> Option<Self> {
        if !prerequisite::root_and(&["containerd", "ctr", "runc", "busybox"]) {
            return None;
        }
        if !std::path::Path::new("/usr/lib/cni/ptp").exists() {
            prerequisite::skip("/usr/lib/cni has no plugins: install containernetworking-plugins");
            return None;
        }
        let scratch = Scratch::new();
        let subnet = Subnet::claim();
        let plugins = prepare(&scratch, &subnet);
        let config = scratch.write("containerd.toml", &config(&scratch, &plugins.directory));
        let argv = ["containerd", "--config", config.to_str().unwrap()].map(String::from);
        let argv = std::iter::once("env".to_owned()).chain(plugins.environment).chain(argv);
        let socket = scratch.text("containerd.sock");
        let daemon = Daemon::start(&scratch, argv.collect(), || is_ready(&socket));
        Some(Self { daemon, subnet, scratch })
    }

    /// With the images that pods need.
    pub fn start_with_images() -> Option<Self> {
        Self::start_with_images_on(debians)
    }

    /// With the images, and plugins of the test's own.
    pub fn start_with_images_on(prepare: impl FnOnce(&Scratch, &Subnet) -> Plugins) -> Option<Self> {
        let containerd = Self::start_on(prepare)?;
        for namespace in ["k8s.io", "default"] {
            let archive = image::archive(&containerd.scratch);
            containerd.ctr(namespace, &["images", "import", archive.to_str().unwrap()]);
        }
        Some(containerd)
    }

    pub fn socket(&self) -> PathBuf {
        self.scratch.join("containerd.sock")
    }

    /// For `CONTAINER_RUNTIME_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn cri(&self) -> Cri {
        Cri::connect(&self.socket())
    }

    pub fn ctr(&self, namespace: &str, args: &[&str]) -> String {
        let socket = self.scratch.text("containerd.sock");
        succeed(Command::new("ctr").args(["--address", &socket, "--namespace", namespace]).args(args))
    }

    /// Ready again, after it was stopped or killed.
    pub fn revive(&mut self) {
        let socket = self.scratch.text("containerd.sock");
        self.daemon.revive(|| is_ready(&socket));
        wait_for("the CRI to be initialized", Duration::from_secs(60), || self.cri().is_initialized().then_some(()));
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        clean_up(|| {
            self.revive();
            self.cri().remove_all_pods();
            for task in self.ctr("default", &["tasks", "list", "--quiet"]).lines() {
                self.ctr("default", &["tasks", "delete", "--force", task]);
            }
        });
    }
}

fn config(scratch: &Scratch, plugins: &Path) -> String {
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
# They look for devices or folders of the machine's own containerd.
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{cni}"
"#,
        root = scratch.text("root"),
        state = scratch.text("state"),
        socket = scratch.text("containerd.sock"),
        pause = image::PAUSE,
        plugins = plugins.display(),
        cni = scratch.text("cni"),
    )
}

fn network(scratch: &Scratch, subnet: &Subnet) -> String {
    let ipam = serde_json::json!({
        "type": "host-local",
        "dataDir": scratch.text("addresses"),
        "ranges": [[{ "subnet": subnet.cidr() }]],
        "routes": [{ "dst": "0.0.0.0/0" }],
    });
    serde_json::json!({
        "cniVersion": "0.4.0",
        "name": subnet.bridge(),
        "plugins": [
            { "type": "ptp", "ipam": ipam },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
    .to_string()
}

fn is_ready(socket: &str) -> bool {
    let plugins = Command::new("ctr").args(["--address", socket, "plugins", "list", "id==cri"]).output();
    plugins.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("ok"))
}
