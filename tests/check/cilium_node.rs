//! Cilium's addresses, its node as the cluster has it noted, and its health endpoint.

use serde_json::{Value, json};

use crate::case::assert_healthy;
use crate::cilium::{Cilium, WEB};
use crate::docker::{Docker, container};
use crate::kube::{Scene, called};

/// Rules with a test here.
pub const TRIED: &[&str] = &[
    "PN-IPAM-010",
    "PN-IPAM-011",
    "PN-IPAM-012",
    "PN-CIL-033",
    "PN-CIL-034",
    "PN-CIL-035",
    "PN-CIL-036",
    "PN-CIL-037",
    "PN-CIL-038",
    "PN-CIL-039",
    "PN-CIL-040",
    "PN-CIL-041",
];

const NODES: &str = "/apis/cilium.io/v2/ciliumnodes";
const HEALTH: u32 = 4;

/// Has the agent say something else for a while.
fn says(cilium: &Cilium, code: &str, change: impl FnOnce(&mut Value, &mut Value)) {
    cilium.is_well();
    let mut before = (Value::Null, Value::Null);
    cilium.say(|healthz, config| {
        before = (healthz.clone(), config.clone());
        change(healthz, config);
    });
    cilium.sees(code);
    cilium.say(|healthz, config| (*healthz, *config) = before);
    cilium.is_well();
}

#[test]
fn pn_ipam_010() {
    let Some(cilium) = Cilium::new() else { return };
    says(&cilium, "PN-IPAM-010", |_, config| {
        config["status"]["addressing"]["ipv4"]["alloc-range"] = json!("10.245.7.0/24");
    });
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

#[test]
fn pn_ipam_011() {
    let Some(cilium) = Cilium::new() else { return };
    let running = |name: &str| container(&cilium.node.container_id(name), name);
    Docker::on(&cilium.node).has(&[running("web"), running("db")]);
    // What is the agent's own, or left out, is no pod's.
    cilium.say(|healthz, _| {
        healthz["ipam"]["allocations"]["10.244.1.60"] = json!("health");
        healthz["ipam"]["allocations"]["10.244.1.61"] = json!("demo/old (excluded)");
    });
    says(&cilium, "PN-IPAM-011", |healthz, _| healthz["ipam"]["allocations"]["10.244.1.50"] = json!("demo/gone"));
}

#[test]
fn pn_ipam_012() {
    let Some(cilium) = Cilium::new() else { return };
    says(&cilium, "PN-IPAM-012", |healthz, _| {
        healthz["ipam"]["allocations"].as_object_mut().unwrap().remove("10.244.1.249");
    });
}

/// A pod that another CNI made, and Kubernetes believes in.
#[test]
fn pn_cil_033() {
    let Some(cilium) = Cilium::new() else { return };
    let sandbox = |name: &str| {
        let id = cilium.node.container_id(name);
        let mut sandbox = container(&id, &format!("k8s_POD_{name}"));
        sandbox["Labels"] = json!({"io.kubernetes.pod.namespace": "demo", "io.kubernetes.pod.name": name,
            "io.kubernetes.sandbox.id": id, "io.kubernetes.container.name": "POD"});
        sandbox
    };
    let docker = Docker::on(&cilium.node);
    docker.has(&[sandbox("web"), sandbox("db")]);
    cilium.is_well();
    cilium.node.run(
        "cp /etc/cni/net.d/10-net.conflist /run/before
         ptp_pod other 9
         cp /run/before /etc/cni/net.d/10-net.conflist",
    );
    docker.has(&[sandbox("web"), sandbox("db"), sandbox("other")]);
    cilium.sees("PN-CIL-033");
    cilium.node.run(
        "kill $(cat /run/pid.other); ip netns del other
         until ! ip link show dev vethother >/dev/null 2>&1; do sleep 0.02; done
         rm \"$(record other)\"; rm -r /var/lib/cni/networks/net",
    );
    docker.has(&[sandbox("web"), sandbox("db")]);
    cilium.is_well();
}

#[test]
fn pn_cil_034() {
    let Some(scene) = Scene::new() else { return };
    scene.proves("PN-CIL-034", NODES, |nodes| called(nodes, "vm")["spec"]["addresses"][0]["ip"] = json!("10.250.0.99"));
}

#[test]
fn pn_cil_035() {
    let Some(scene) = Scene::new() else { return };
    scene.proves("PN-CIL-035", NODES, |nodes| called(nodes, "vm")["spec"]["addresses"][1]["ip"] = json!("10.244.1.99"));
}

#[test]
fn pn_cil_036() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.breaks(
        "PN-CIL-036",
        "ip addr flush dev cilium_host scope global
         ip route replace 10.244.1.217 dev cilium_host; ip route replace 10.244.1.0/24 dev cilium_host",
        "ip route del 10.244.1.0/24 dev cilium_host; ip route del 10.244.1.217 dev cilium_host
         ip addr add 10.244.1.217/32 dev cilium_host; ip route add 10.244.1.217 dev cilium_host scope link
         ip route add 10.244.1.0/24 via 10.244.1.217 dev cilium_host src 10.244.1.217",
    );
}

#[test]
fn pn_cil_037() {
    let Some(scene) = Scene::new() else { return };
    scene.proves("PN-CIL-037", NODES, |nodes| nodes.retain(|node| node["metadata"]["name"] != "vm"));
}

#[test]
fn pn_cil_038() {
    let Some(scene) = Scene::new() else { return };
    scene.proves("PN-CIL-038", NODES, |nodes| {
        called(nodes, "vm")["status"] = json!({"ipam": {"operator-status": {"error": "allocator full"}}});
    });
    scene.cilium.say(|_, config| config["status"]["ipam-mode"] = json!("cluster-pool"));
    scene.proves("PN-CIL-038", NODES, |nodes| called(nodes, "vm")["spec"]["ipam"]["podCIDRs"] = json!([]));
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

#[test]
fn pn_cil_039() {
    let Some(cilium) = Cilium::new() else { return };
    let endpoint = with_health(&cilium);
    cilium.is_well();
    cilium.forget(HEALTH);
    cilium.remove_local(&endpoint);
    cilium.sees("PN-CIL-039");
    cilium.write_maps_of(&endpoint);
    cilium.put(endpoint);
    cilium.is_well();
}

#[test]
fn pn_cil_040() {
    let Some(cilium) = Cilium::new() else { return };
    with_health(&cilium);
    cilium.breaks("PN-CIL-040", "ip link set lxc_health down", "ip link set lxc_health up");
    cilium.breaks("PN-CIL-040", "ip route add unreachable 10.244.1.30", "ip route del unreachable 10.244.1.30");
}

#[test]
fn pn_cil_041() {
    let Some(scene) = Scene::new() else { return };
    with_health(&scene.cilium);
    scene.server.change(NODES, |nodes| called(nodes, "vm")["spec"]["health"] = json!({"ipv4": "10.244.1.30"}));
    scene.proves("PN-CIL-041", NODES, |nodes| called(nodes, "vm")["spec"]["health"]["ipv4"] = json!("10.244.1.31"));
}
