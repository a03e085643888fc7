//! Any handle finds the container, on every runtime, and its peer is what `ip` says from both sides.

use serde_json::Value;

use crate::support::containerd::Containerd;
use crate::support::docker::Docker;
use crate::support::facts::{self, Veth};
use crate::support::podman::Podman;
use crate::support::podnet::{Podnet, interface, on_containerd, on_docker, on_podman};

/// What every handle must lead to.
struct Expected<'a> {
    runtime: &'a str,
    id: &'a str,
    pid: u32,
    veth: Veth,
}

impl<'a> Expected<'a> {
    fn new(runtime: &'a str, id: &'a str, pid: u32) -> Self {
        Self { runtime, id, pid, veth: facts::veth(pid, "eth0") }
    }

    /// Every spelling but those by name, which the runtimes have their own of.
    fn handles(&self) -> Vec<String> {
        let inode = facts::netns(self.pid);
        vec![
            self.id.to_owned(),
            self.id[..12].to_owned(),
            format!("container:{}", &self.id[..12]),
            format!("{}://{}", self.runtime, self.id),
            format!("pid:{}", self.pid),
            format!("/proc/{}/ns/net", self.pid),
            inode.to_string(),
            format!("netns:{inode}"),
            self.veth.address.clone(),
            format!("ip:{}", self.veth.address),
            self.veth.mac.clone(),
            format!("mac:{}", self.veth.mac),
            format!("dev:{}", self.veth.peer_name),
            format!("ifindex:{}", self.veth.peer_ifindex),
        ]
    }

    fn check(&self, podnet: &Podnet, handle: &str) {
        let document = podnet.inspect(handle);
        assert_eq!(document["kind"], "Inspection", "{handle}");
        assert_eq!(document["apiVersion"], "podnet/v1", "{handle}");
        let workload = &document["workload"];
        assert_eq!(workload["id"], self.id, "{handle}: {workload:#}");
        assert_eq!(workload["runtime"], self.runtime, "{handle}");
        assert_eq!(workload["pid"], self.pid, "{handle}");
        assert_eq!(workload["state"], "running", "{handle}");
        assert_eq!(document["netns"]["inode"], facts::netns(self.pid), "{handle}");
        assert_eq!(document["netns"]["isHost"], false, "{handle}");
        let link = interface(&document, &self.veth.name);
        assert_eq!(link["ifindex"], self.veth.ifindex, "{handle}");
        assert_eq!(link["kind"], "veth", "{handle}");
        assert_eq!(link["mac"], self.veth.mac, "{handle}");
        assert_eq!(link["addresses"][0]["address"], self.veth.address, "{handle}");
        let peer = &link["peer"];
        assert_eq!(peer["verdict"], "confirmed", "{handle}: {peer:#}");
        assert_eq!(peer["ifindex"], self.veth.peer_ifindex, "{handle}");
        assert_eq!(peer["name"], self.veth.peer_name, "{handle}");
        assert_eq!(peer["mac"], self.veth.peer_mac, "{handle}");
        assert_eq!(peer["netns"]["isHost"], true, "{handle}");
        assert!(link["hostRoutes"][&self.veth.address].is_object(), "{handle}: {link:#}");
        assert_eq!(link["hostDetours"], Value::Null, "{handle}: {link:#}");
        assert_eq!(peer["netns"]["inode"], facts::inode("/proc/self/ns/net"), "{handle}");
    }

    fn check_all(&self, podnet: &Podnet, names: &[&str]) {
        for handle in self.handles().iter().map(String::as_str).chain(names.iter().copied()) {
            self.check(podnet, handle);
        }
        let item = podnet.listed(self.id);
        assert_eq!(item["workload"]["pid"], self.pid);
        assert_eq!(item["netns"]["inode"], facts::netns(self.pid));
        assert_eq!(item["addresses"][0], self.veth.address);
        assert_eq!(item["hostInterface"], self.veth.peer_name);
    }
}

#[test]
fn docker() {
    let Some(docker) = Docker::start() else { return };
    let id = docker.run("handle-web");
    let expected = Expected::new("docker", &id, docker.pid("handle-web"));
    expected.check_all(&on_docker(docker.socket()), &["handle-web", "name:handle-web"]);

    let by_variable = Podnet::default().env("DOCKER_HOST", docker.host());
    expected.check(&by_variable, "handle-web");

    // Docker's own containerd knows it too, in its namespace moby.
    let both = on_docker(docker.socket()).at("/run/containerd/containerd.sock", docker.containerd().socket());
    expected.check_all(&both, &["handle-web"]);
}

#[test]
fn podman_with_its_service() {
    let Some(podman) = Podman::start() else { return };
    let _service = podman.serve();
    let id = podman.run("handle-pod");
    let podnet = on_podman(podman.storage(), Some(&podman.socket()));
    Expected::new("podman", &id, podman.pid("handle-pod")).check_all(&podnet, &["handle-pod", "name:handle-pod"]);
}

#[test]
fn podman_by_its_state_files() {
    let Some(podman) = Podman::start() else { return };
    let id = podman.run("handle-files");
    let podnet = on_podman(podman.storage(), None);
    Expected::new("podman", &id, podman.pid("handle-files")).check_all(&podnet, &["handle-files", "name:handle-files"]);
}

#[test]
fn a_pod_over_the_cri() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_pod("shop", "web-0");
    let id = cri.run_container(&pod, "app", &[]);
    let expected = Expected::new("containerd", &id, cri.pid(&id));
    let path = cri.netns_path(&pod).unwrap();
    let names = ["shop/web-0", "shop/web-0/app", "pod:shop/web-0", "web-0", "app", path.to_str().unwrap()];
    expected.check_all(&on_containerd(containerd.socket()), &names);

    let by_variable = Podnet::default().env("CONTAINER_RUNTIME_ENDPOINT", containerd.endpoint());
    expected.check(&by_variable, "shop/web-0");

    let workload = on_containerd(containerd.socket()).inspect(&id)["workload"].clone();
    assert_eq!(workload["pod"]["namespace"], "shop");
    assert_eq!(workload["pod"]["name"], "web-0");
    assert_eq!(workload["pod"]["uid"], pod.uid);
    assert_eq!(workload["pod"]["container"], "app");
    assert_eq!(workload["pod"]["sandboxId"], pod.sandbox);
}

#[test]
fn a_container_of_plain_containerd() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    containerd.ctr("default", &["run", "--detach", crate::support::image::BUSYBOX, "plain", "/bin/sleep", "3600"]);
    let item = on_containerd(containerd.socket()).listed("plain");
    assert_eq!(item["workload"]["runtime"], "containerd");
    assert_eq!(item["workload"]["containerdNamespace"], "default");
    assert_eq!(item["state"], "running");
    let pid = item["workload"]["pid"].as_u64().unwrap().try_into().unwrap();
    assert_eq!(item["netns"]["inode"], facts::netns(pid));
    // Here the user chooses the id.
    for handle in ["plain", "name:plain", "container:plain", "containerd://plain"] {
        assert_eq!(on_containerd(containerd.socket()).inspect(handle)["workload"]["id"], "plain", "{handle}");
    }
}
