//! A node with a real Docker: two containers of a network of their own, and one of each other kind.

use crate::node::{Kind, Node};
use crate::support::{image, prerequisite, scratch};

pub struct Dockerd {
    pub node: Node,
}

impl Dockerd {
    /// None, having said why, where it cannot be started.
    pub fn new() -> Option<Self> {
        if !prerequisite::root_and(&["dockerd", "docker", "containerd", "runc", "busybox", "iptables"]) {
            return None;
        }
        let dockerd = Self { node: Node::new(Kind::None)? };
        let node = &dockerd.node;
        let scratch = node.machine.scratch();
        let data = scratch.text("docker");
        node.machine.leave(&format!("dockerd --host unix:///run/docker.sock --data-root {data}"));
        node.with_pods(&format!("kind_docker {} {}", image::archive(scratch).display(), image::BUSYBOX));
        Some(dockerd)
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        scratch::clean_up(|| {
            self.node.run("docker rm --force $(docker ps --all --quiet) >/dev/null");
        });
    }
}
