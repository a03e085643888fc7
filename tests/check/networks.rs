//! What runtimes and plugins make of the CNI's files: versions, several networks, and the runtime's own word.

use std::time::Duration;

use crate::case::{Case, assert_healthy, cases};
use crate::node::Kind::{Bridge, Macvlan, Ptp, Routed};
use crate::node::{Kind, Node};
use crate::proof::{Proven, proofs};
use crate::support::prerequisite;
use crate::support::shell::wait_for;

proofs![pn_cni_021];

cases! {
    pn_cni_007: Case {
        code: "PN-CNI-007",
        on: &[Bridge, Ptp, Routed, Macvlan],
        broken: "cp /etc/cni/net.d/10-net.conflist /run/before
            sed -i 's/\"cniVersion\":\"1.0.0\"/\"cniVersion\":\"1.2.0\"/' /etc/cni/net.d/10-net.conflist",
        mended: "cp /run/before /etc/cni/net.d/10-net.conflist",
        beside: &[],
    },
    pn_cni_008: Case {
        code: "PN-CNI-008",
        on: &[Bridge, Ptp, Routed, Macvlan],
        broken: "cp /etc/cni/net.d/10-net.conflist /run/before
            sed -i 's/\"cniVersion\":\"1.0.0\",//' /etc/cni/net.d/10-net.conflist",
        mended: "cp /run/before /etc/cni/net.d/10-net.conflist",
        beside: &[],
    },
    pn_cni_015: Case {
        code: "PN-CNI-015",
        on: &[Bridge],
        broken: "cp /etc/cni/net.d/10-net.conflist /run/before
            sed -i 's/\"type\":\"bridge\"/&,\"isDefaultGateway\":true/' /etc/cni/net.d/10-net.conflist
            sed 's/\"name\":\"net\"/\"name\":\"more\"/' /etc/cni/net.d/10-net.conflist >/etc/cni/net.d/20-more.conflist
            printf '%s\\n' 'version = 2' '[plugins.\"io.containerd.grpc.v1.cri\".cni]' 'max_conf_num = 2' >/etc/containerd/config.toml",
        mended: "cp /run/before /etc/cni/net.d/10-net.conflist
            rm /etc/cni/net.d/20-more.conflist /etc/containerd/config.toml",
        beside: &[],
    },
    pn_cni_016: Case {
        code: "PN-CNI-016",
        on: &[Bridge],
        broken: "ip link add br1 type bridge; ip addr add 10.77.0.1/24 dev br1; ip link set br1 up
            ip link add second0 type veth peer name eth1 netns /run/netns/$NAME; ip link set second0 master br1 up
            pod ip link set eth1 up; pod ip addr add 10.77.0.7/24 dev eth1
            pod ip route add default via 10.77.0.1 dev eth1 metric 100
            id=$(container_id $NAME)
            echo '{\"kind\":\"cniCacheV1\",\"containerId\":\"'$id'\",\"ifName\":\"eth1\",\"networkName\":\"second\",
              \"result\":{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"eth1\",\"sandbox\":\"/var/run/netns/'$NAME'\"}],
              \"ips\":[{\"address\":\"10.77.0.7/24\",\"interface\":0}],\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.77.0.1\"}]}}' \\
              >/var/lib/cni/results/second-$id-eth1",
        mended: "ip link del second0; ip link del br1; rm /var/lib/cni/results/second-*",
        beside: &[],
    },
    pn_cni_017: Case {
        code: "PN-CNI-017",
        on: &[Bridge, Ptp, Routed, Macvlan],
        broken: "cp /opt/cni/bin/host-local /opt/cni/bin/multus-shim
            echo '{\"cniVersion\":\"0.3.1\",\"name\":\"multus-cni-network\",\"type\":\"multus-shim\",
              \"clusterNetwork\":\"/host/etc/cni/net.d/05-gone.conflist\"}' >/etc/cni/net.d/00-multus.conf",
        mended: "rm /etc/cni/net.d/00-multus.conf /opt/cni/bin/multus-shim",
        beside: &[],
    },
}

/// Multus hands pods on to the network whose file lies behind its own: nothing is shadowed by it.
#[test]
fn multus_over_another_network_is_well() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    node.run(
        "cp /opt/cni/bin/host-local /opt/cni/bin/multus-shim
         echo '{\"cniVersion\":\"0.3.1\",\"name\":\"multus-cni-network\",\"type\":\"multus-shim\",
           \"clusterNetwork\":\"/host/etc/cni/net.d/10-net.conflist\"}' >/etc/cni/net.d/00-multus.conf",
    );
    assert_healthy(&node, "multus");
}

/// The second network of a pod that chooses its way by the sender.
#[test]
fn two_default_routes_with_rules_are_well() {
    let Some(node) = Node::new(Kind::Bridge) else { return };
    let case = CASES.iter().find(|case| case.code == "PN-CNI-016").unwrap();
    node.run(case.broken);
    assert_eq!(node.codes(), ["PN-CNI-016"]);
    node.run("pod ip route add default via 10.77.0.1 dev eth1 table 77; pod ip rule add from 10.77.0.7 lookup 77");
    assert_healthy(&node, "with a rule");
}

/// A real containerd that reads another directory than the one it is thought to.
fn pn_cni_021() -> Option<Proven> {
    if !prerequisite::root_and(&["containerd"]) {
        return None;
    }
    let node = Node::new(Kind::Ptp)?;
    let config = r#"version = 2
root = "/run/ctd/root"
state = "/run/ctd/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "/run/ctd/net.d"
bin_dir = "/opt/cni/bin"
"#;
    node.machine.scratch().write("containerd.toml", config);
    node.run("mkdir -p /run/ctd/net.d /run/containerd");
    let asked = || {
        let report = node.report();
        let sources = report["sources"].as_array().unwrap();
        sources.iter().any(|source| source["name"] == "cri" && source["status"] == "present").then_some(())
    };
    let breaks = || {
        node.machine.leave(&format!("containerd --config {}", node.machine.scratch().text("containerd.toml")));
        wait_for("containerd", Duration::from_secs(60), asked);
    };
    let mends = || {
        node.run("cp /etc/cni/net.d/10-net.conflist /run/ctd/net.d/");
        wait_for("containerd to read it", Duration::from_secs(30), || node.codes().is_empty().then_some(()));
    };
    Some(node.proves("PN-CNI-021", breaks, mends))
}
