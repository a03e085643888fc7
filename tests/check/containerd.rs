//! A node whose pods a real containerd makes, with the plugins of the CNI's own.

use std::path::Path;
use std::time::Duration;

use crate::node::{Kind, Node};
use crate::proof::{Proven, proofs};
use crate::support::cri::{Cri, Pod};
use crate::support::shell::wait_for;
use crate::support::{image, prerequisite};

proofs![pn_ns_007, pn_ns_008];

const PATIENCE: Duration = Duration::from_secs(60);

/// Where Debian installs them.
const PLUGINS: &str = "/usr/lib/cni";

/// In the form that cases change.
const NETWORK: &str = r#"{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"ptp","ipam":{"type":"host-local",
  "ranges":[[{"subnet":"10.89.0.0/24"}],[{"subnet":"fd89::/64"}]],
  "routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"},{"dst":"192.0.2.0/24"}]}}]}"#;

pub struct Containerd {
    pub node: Node,
    pub cri: Cri,
}

impl Containerd {
    /// None, having said why, where it cannot be started.
    pub fn new() -> Option<Self> {
        if !prerequisite::root_and(&["containerd", "ctr", "runc", "busybox"]) {
            return None;
        }
        if !Path::new(PLUGINS).join("ptp").exists() {
            prerequisite::skip("/usr/lib/cni has no plugins: install containernetworking-plugins");
            return None;
        }
        let node = Node::new(Kind::None)?;
        node.with_pods("resolv 'nameserver 198.51.100.1'");
        let scratch = node.machine.scratch();
        scratch.write("network", NETWORK);
        scratch.write("config.toml", &config(&scratch.text("root")));
        node.run(&format!(
            "mkdir -p /etc/cni/net.d /opt/cni/bin /run/containerd; cp {PLUGINS}/ptp {PLUGINS}/host-local {PLUGINS}/loopback /opt/cni/bin
             cp {} /etc/cni/net.d/10-net.conflist; cp {} /etc/containerd/config.toml",
            scratch.text("network"),
            scratch.text("config.toml"),
        ));
        node.machine.leave(&format!("containerd --config {}", scratch.text("config.toml")));
        let socket = node.machine.root("run/containerd/containerd.sock");
        wait_for("containerd to listen", PATIENCE, || std::os::unix::net::UnixStream::connect(&socket).ok());
        let cri = Cri::connect(&socket);
        wait_for("the CRI to be initialized", PATIENCE, || cri.is_initialized().then_some(()));
        node.run(&format!("ctr --namespace k8s.io images import {}", image::archive(scratch).display()));
        Some(Self { node, cri })
    }
}

impl Containerd {
    /// With two pods, web and db, that cases know.
    pub fn with_pods() -> Option<Self> {
        let containerd = Self::new()?;
        for name in ["db", "web"] {
            let pod = containerd.cri.run_pod("demo", name);
            containerd.cri.run_container(&pod, "app", &[]);
            let pid = containerd.cri.sandbox_pid(&pod);
            containerd.node.with_pods(&format!("cri_pod {name} {} {pid}", pod.sandbox));
        }
        Some(containerd)
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        crate::support::scratch::clean_up(|| self.cri.remove_all_pods());
    }
}

fn config(root: &str) -> String {
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{}"
restrict_oom_score_adj = true
"#,
        image::PAUSE
    )
}

/// Its first process was killed, and nobody has torn it down.
fn pn_ns_007() -> Option<Proven> {
    let containerd = Containerd::new()?;
    let pod = containerd.cri.run_pod("demo", "web");
    let breaks = || {
        let pid = containerd.cri.sandbox_pid(&pod);
        containerd.node.run(&format!("kill -9 {pid}"));
        wait_for("containerd to see it", PATIENCE, || (!containerd.cri.is_ready(&pod)).then_some(()));
    };
    Some(containerd.node.proves("PN-NS-007", breaks, || containerd.cri.remove_pod(&pod.sandbox)))
}

/// The kubelet made another, as it did not know of the first.
fn pn_ns_008() -> Option<Proven> {
    let containerd = Containerd::new()?;
    let pod = containerd.cri.run_pod("demo", "web");
    let second = std::cell::RefCell::new(None::<Pod>);
    let breaks = || {
        second.replace(Some(containerd.cri.run_again(&pod)));
    };
    let mends = || containerd.cri.remove_pod(&second.take().unwrap().sandbox);
    Some(containerd.node.proves("PN-NS-008", breaks, mends))
}
