//! Cilium's addresses, its node as the cluster has it noted, and its health endpoint.

use serde_json::{Value, json};

use crate::case::assert_healthy;
use crate::cilium::{Cilium, WEB};
use crate::docker::{Docker, container, sandbox};
use crate::kube::{Scene, called};
use crate::proof::{Proven, proofs};

proofs![
    pn_ipam_010,
    pn_ipam_011,
    pn_ipam_012,
    pn_cil_033,
    pn_cil_034,
    pn_cil_035,
    pn_cil_036,
    pn_cil_037,
    pn_cil_038,
    pn_cil_039,
    pn_cil_040,
    pn_cil_041,
];

const NODES: &str = "/apis/cilium.io/v2/ciliumnodes";
const HEALTH: u32 = 4;

fn pn_ipam_010() -> Option<Proven> {
    Some(Cilium::new()?.says("PN-IPAM-010", |_, config| {
        config["status"]["addressing"]["ipv4"]["alloc-range"] = json!("10.245.7.0/24");
    }))
}

/// In the mode «cluster-pool» a node may have several ranges, and only its CiliumNode tells all of them.
#[test]
fn a_second_range_of_the_node_is_well() {
    let Some(scene) = Scene::new() else { return };
    scene.cilium.say(|_, config| {
        config["status"]["ipam-mode"] = json!("cluster-pool");
        config["status"]["addressing"]["ipv4"]["alloc-range"] = json!("10.245.7.0/24");
    });
    scene.server.change(NODES, |nodes| {
        called(nodes, "vm")["spec"]["ipam"]["podCIDRs"] = json!(["10.245.7.0/24", "10.244.1.0/24"]);
    });
    assert_healthy(&scene.cilium.node, "two ranges");
}

fn pn_ipam_011() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let running = |name: &str| container(&cilium.node.container_id(name), name);
    Docker::on(&cilium.node).has(&[running("web"), running("db")]);
    // What is the agent's own, or left out, is no pod's.
    cilium.say(|healthz, _| {
        healthz["ipam"]["allocations"]["10.244.1.60"] = json!("health");
        healthz["ipam"]["allocations"]["10.244.1.61"] = json!("demo/old (excluded)");
    });
    let leak = |healthz: &mut Value, _: &mut Value| healthz["ipam"]["allocations"]["10.244.1.50"] = json!("demo/gone");
    Some(cilium.says("PN-IPAM-011", leak))
}

fn pn_ipam_012() -> Option<Proven> {
    Some(Cilium::new()?.says("PN-IPAM-012", |healthz, _| {
        healthz["ipam"]["allocations"].as_object_mut().unwrap().remove("10.244.1.249");
    }))
}

/// A pod that another CNI made, and Kubernetes believes in.
fn pn_cil_033() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let docker = Docker::on(&cilium.node);
    let has = |names: &[&str]| {
        let made = names.iter().map(|name| sandbox(&cilium.node.container_id(name), "demo", name));
        docker.has(&made.collect::<Vec<_>>());
    };
    has(&["web", "db"]);
    let breaks = || {
        cilium.node.run(
            "cp /etc/cni/net.d/10-net.conflist /run/before
             ptp_pod other 9
             cp /run/before /etc/cni/net.d/10-net.conflist",
        );
        has(&["web", "db", "other"]);
    };
    let mends = || {
        cilium.node.run(
            "kill $(cat /run/pid.other); ip netns del other
             until ! ip link show dev vethother >/dev/null 2>&1; do sleep 0.02; done
             rm \"$(record other)\"; rm -r /var/lib/cni/networks/net",
        );
        has(&["web", "db"]);
    };
    Some(cilium.node.proves("PN-CIL-033", breaks, mends))
}

fn pn_cil_034() -> Option<Proven> {
    let elsewhere = |nodes: &mut Vec<Value>| called(nodes, "vm")["spec"]["addresses"][0]["ip"] = json!("10.250.0.99");
    Some(Scene::new()?.proves("PN-CIL-034", NODES, elsewhere))
}

fn pn_cil_035() -> Option<Proven> {
    let another = |nodes: &mut Vec<Value>| called(nodes, "vm")["spec"]["addresses"][1]["ip"] = json!("10.244.1.99");
    Some(Scene::new()?.proves("PN-CIL-035", NODES, another))
}

fn pn_cil_036() -> Option<Proven> {
    Some(Cilium::new()?.breaks(
        "PN-CIL-036",
        "ip addr flush dev cilium_host scope global
         ip route replace 10.244.1.217 dev cilium_host; ip route replace 10.244.1.0/24 dev cilium_host",
        "ip route del 10.244.1.0/24 dev cilium_host; ip route del 10.244.1.217 dev cilium_host
         ip addr add 10.244.1.217/32 dev cilium_host; ip route add 10.244.1.217 dev cilium_host scope link
         ip route add 10.244.1.0/24 via 10.244.1.217 dev cilium_host src 10.244.1.217",
    ))
}

fn pn_cil_037() -> Option<Proven> {
    Some(Scene::new()?.proves("PN-CIL-037", NODES, |nodes| nodes.retain(|node| node["metadata"]["name"] != "vm")))
}

fn pn_cil_038() -> Option<Proven> {
    let scene = Scene::new()?;
    let _ = scene.proves("PN-CIL-038", NODES, |nodes| {
        called(nodes, "vm")["status"] = json!({"ipam": {"operator-status": {"error": "allocator full"}}});
    });
    scene.cilium.say(|_, config| config["status"]["ipam-mode"] = json!("cluster-pool"));
    let no_range = |nodes: &mut Vec<Value>| called(nodes, "vm")["spec"]["ipam"]["podCIDRs"] = json!([]);
    Some(scene.proves("PN-CIL-038", NODES, no_range))
}

/// The agent's own endpoint for probes, connected as a pod is.
fn with_health(cilium: &Cilium) -> Value {
    cilium.say(|healthz, config| {
        let options = &mut config["status"]["daemonConfigurationMap"];
        options["EnableHealthChecking"] = json!(true);
        options["EnableEndpointHealthChecking"] = json!(true);
        healthz["ipam"]["allocations"]["10.244.1.30"] = json!("health");
    });
    cilium.node.run(
        "ip netns add cilium-health
         ip link add lxc_health index 70 type veth peer name cilium netns /run/netns/cilium-health
         ip link set lxc_health up; ip -n cilium-health link set cilium up
         ip -n cilium-health addr add 10.244.1.30/32 dev cilium",
    );
    let mut endpoint = cilium.endpoint(WEB);
    endpoint["id"] = json!(HEALTH);
    let status = &mut endpoint["status"];
    status["identity"] = json!({"id": 4, "labels": ["reserved:health"]});
    status["external-identifiers"] = json!({"pod-name": "/"});
    status["networking"]["addressing"] = json!([{"ipv4": "10.244.1.30"}]);
    status["networking"]["interface-name"] = json!("lxc_health");
    status["networking"]["interface-index"] = json!(70);
    cilium.write_maps_of(&endpoint);
    cilium.put(endpoint.clone());
    endpoint
}

fn pn_cil_039() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let endpoint = with_health(&cilium);
    let breaks = || {
        cilium.forget(HEALTH);
        cilium.remove_local(&endpoint);
    };
    let mends = || {
        cilium.write_maps_of(&endpoint);
        cilium.put(endpoint.clone());
    };
    Some(cilium.node.proves("PN-CIL-039", breaks, mends))
}

fn pn_cil_040() -> Option<Proven> {
    let cilium = Cilium::new()?;
    with_health(&cilium);
    let _ = cilium.breaks("PN-CIL-040", "ip link set lxc_health down", "ip link set lxc_health up");
    Some(cilium.breaks("PN-CIL-040", "ip route add unreachable 10.244.1.30", "ip route del unreachable 10.244.1.30"))
}

fn pn_cil_041() -> Option<Proven> {
    let scene = Scene::new()?;
    with_health(&scene.cilium);
    scene.server.change(NODES, |nodes| called(nodes, "vm")["spec"]["health"] = json!({"ipv4": "10.244.1.30"}));
    let another = |nodes: &mut Vec<Value>| called(nodes, "vm")["spec"]["health"]["ipv4"] = json!("10.244.1.31");
    Some(scene.proves("PN-CIL-041", NODES, another))
}
