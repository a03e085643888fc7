//! Rules that need more than a shell to be broken: somebody outside of the machine, a runtime, time.

use podnet::netns::Handle;
use serde_json::json;

use crate::case::assert_healthy;
use crate::docker::{Docker, container};
use crate::node::{Kind, Node};
use crate::support::shell::succeed;

/// The other end in a namespace that only a process outside of the machine holds.
#[test]
fn pn_link_001() {
    let Some(node) = Node::new(Kind::Ptp) else { return };
    assert_healthy(&node, "before");
    node.run("ip netns add lost");
    let lost = node.machine.root("run/netns/lost");
    let held = Handle::open(&lost).unwrap();
    node.run("ip link set $HOSTIF netns /run/netns/lost; ip netns del lost");
    assert_eq!(node.codes(), ["PN-LINK-001"]);
    let back = node.machine.netns();
    let move_back = || succeed(std::process::Command::new("ip").args(["link", "set", "vethweb", "netns", &back]));
    held.run(move_back).unwrap();
    node.run("restore_router; restore");
    assert_healthy(&node, "after");
}

/// Of two ways to other nodes' pods one is dead.
#[test]
fn pn_route_019() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    node.run(
        "ip link add up2 type veth peer name up2 netns /run/netns/world
        ip addr add 198.51.102.2/24 dev up2; ip link set up2 up; ip -n world link set up2 up
        ip route add 10.200.0.0/16 nexthop via 198.51.100.1 nexthop via 198.51.102.1
        until ! ip route show 10.200.0.0/16 | grep -q linkdown; do sleep 0.02; done",
    );
    assert_healthy(&node, "before");
    node.run(
        "ip -n world link set up2 down; until ip route show 10.200.0.0/16 | grep -q linkdown; do sleep 0.02; done",
    );
    assert_eq!(node.codes(), ["PN-ROUTE-019"]);
    node.run(
        "ip -n world link set up2 up; until ! ip route show 10.200.0.0/16 | grep -q linkdown; do sleep 0.02; done",
    );
    assert_healthy(&node, "after");
}

/// The operator's own chain may be there before Docker is, and is no part of what Docker has lost.
#[test]
fn pn_fw_005() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    node.run("nft add table ip filter; nft add chain ip filter DOCKER-USER");
    assert_healthy(&node, "with a chain of the operator's");
    node.run("nft add chain ip filter DOCKER-FORWARD");
    assert_eq!(node.codes(), ["PN-FW-005"]);
    node.run("nft add table ip nat; nft add chain ip nat DOCKER");
    assert_healthy(&node, "with both");
}

/// A mount that Docker would have made, and knows nothing of.
#[test]
fn pn_ns_001() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    let docker = Docker::on(&node);
    docker.has(&[]);
    assert_healthy(&node, "before");
    node.run("mkdir -p /run/docker/netns; touch /run/docker/netns/0123456789ab; unshare --net=/run/docker/netns/0123456789ab true");
    assert_eq!(node.codes(), ["PN-NS-001"]);
    node.run("umount /run/docker/netns/0123456789ab; rm /run/docker/netns/0123456789ab");
    assert_healthy(&node, "after");
}

/// A pod of cri-dockerd: its sandbox, and a container that went to the other pod's namespace.
#[test]
fn pn_ns_005() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    let (web, app) = (node.container_id("web"), node.container_id("app"));
    let labels = |container: Option<&str>| {
        json!({"io.kubernetes.pod.namespace": "demo", "io.kubernetes.pod.name": "web", "io.kubernetes.sandbox.id": web,
               "io.kubernetes.container.name": container.unwrap_or("POD")})
    };
    let (mut sandbox, mut member) = (container(&web, "k8s_POD_web"), container(&app, "k8s_app_web"));
    sandbox["Labels"] = labels(None);
    member["Labels"] = labels(Some("app"));
    let docker = Docker::on(&node);
    docker.has(&[sandbox, member]);
    let enter = |netns: &str| {
        node.run(&format!(
            "ln -sf /run/netns/{netns} /run/netns/.app; rm -f /run/netns/.app
            nsenter --net=/run/netns/{netns} sleep infinity </dev/null >/dev/null 2>&1 & app=$!
            echo $app >/run/pid.app
            until [ \"$(cat /proc/$app/comm)\" = sleep ]; do sleep 0.01; done
            echo \"0::/kubepods/pod/{app}\" >/run/cgroup.app; mount --bind /run/cgroup.app /proc/$app/cgroup"
        ))
    };
    let leave = || node.run("umount /proc/$(cat /run/pid.app)/cgroup; kill $(cat /run/pid.app)");
    enter("web");
    assert_healthy(&node, "before");
    leave();
    enter("db");
    assert_eq!(node.codes(), ["PN-NS-005"]);
    leave();
    assert_healthy(&node, "after");
}

/// `docker run --network container:web`, then `docker restart web`.
#[test]
fn pn_ns_006() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    let (web, db) = (node.container_id("web"), node.container_id("db"));
    let docker = Docker::on(&node);
    let (first, mut second) = (container(&web, "web"), container(&db, "db"));
    docker.has(&[first.clone(), second.clone()]);
    assert_healthy(&node, "before");
    second["HostConfig"]["NetworkMode"] = json!(format!("container:{web}"));
    docker.has(&[first, second]);
    assert_eq!(node.codes(), ["PN-NS-006"]);
}
