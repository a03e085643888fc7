//! The stand-in API server, on the node's own machine: it listens there, and the kubeconfig lies where kubeadm puts it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use podnet::netns::Handle;
use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::case::assert_healthy;
use crate::cilium::Cilium;
use crate::docker::Docker;
use crate::node::Node;
use crate::proof::{Proven, proofs};

/// With the objects of the recorded node, which is this one, without two of its pods that are not made here.
pub fn on(node: &Node) -> ApiServer {
    let inside = Handle::open(std::path::Path::new(&node.machine.netns())).unwrap();
    let server = inside.run(ApiServer::start).unwrap();
    server.change(PODS, |pods| {
        pods.retain(|pod| !["client", "web2"].iter().any(|name| pod["metadata"]["name"] == *name))
    });
    let kubeconfig = server.kubeconfig(node.machine.scratch());
    node.run(&format!(
        "mkdir -p /etc/kubernetes; cp {kubeconfig} /etc/kubernetes/admin.conf; cp {} /etc/kubernetes/ca.crt",
        node.machine.scratch().text("ca.crt")
    ));
    server
}

proofs![pn_kube_001, pn_kube_002, pn_kube_003, pn_kube_004, pn_kube_005, pn_kube_006, pn_kube_007, pn_kube_008,];

pub const PODS: &str = "/api/v1/pods";
const NODES: &str = "/api/v1/nodes";
const ENDPOINTS: &str = "/apis/cilium.io/v2/ciliumendpoints";

pub fn called<'o>(objects: &'o mut [Value], name: &str) -> &'o mut Value {
    objects.iter_mut().find(|object| object["metadata"]["name"] == name).unwrap()
}

/// Two pods of Cilium's, with their sandboxes by Docker, that Kubernetes knows, beside pods that have no sandbox rightly:
/// ended, waiting, being deleted, of another node, with the node's own network.
pub struct Scene {
    pub cilium: Cilium,
    pub server: ApiServer,
}

impl Scene {
    pub fn new() -> Option<Self> {
        let cilium = Cilium::new()?;
        let server = on(&cilium.node);
        let sandbox = |name: &str, namespace: &str, pod: &str| {
            crate::docker::sandbox(&cilium.node.container_id(name), namespace, pod)
        };
        Docker::on(&cilium.node).has(&[sandbox("web", "demo", "web1"), sandbox("db", "shop", "db")]);
        Some(Self { cilium, server })
    }

    /// Writes something else into one collection for a while.
    pub fn proves(&self, code: &'static str, path: &str, change: impl Fn(&mut Vec<Value>)) -> Proven {
        let before = RefCell::new(Vec::new());
        let breaks = || {
            self.server.change(path, |objects| {
                before.replace(objects.clone());
                change(objects);
            });
        };
        let mends = || {
            self.server.change(path, |objects| *objects = before.borrow().clone());
        };
        self.cilium.node.proves(code, breaks, mends)
    }
}

fn pn_kube_001() -> Option<Proven> {
    Some(Scene::new()?.proves("PN-KUBE-001", PODS, |pods| {
        let status = &mut called(pods, "web1")["status"];
        status["podIPs"] = json!([{"ip": "10.244.1.77"}]);
        status["podIP"] = json!("10.244.1.77");
    }))
}

fn pn_kube_002() -> Option<Proven> {
    Some(Scene::new()?.proves("PN-KUBE-002", PODS, |pods| {
        let mut lost = called(pods, "web1").clone();
        lost["metadata"]["name"] = json!("lost");
        lost["metadata"]["uid"] = json!("lost");
        pods.push(lost);
    }))
}

fn pn_kube_003() -> Option<Proven> {
    Some(Scene::new()?.proves("PN-KUBE-003", PODS, |pods| pods.retain(|pod| pod["metadata"]["name"] != "web1")))
}

fn pn_kube_004() -> Option<Proven> {
    let lose = |endpoints: &mut Vec<Value>| endpoints.retain(|one| one["metadata"]["name"] != "web1");
    Some(Scene::new()?.proves("PN-KUBE-004", ENDPOINTS, lose))
}

fn pn_kube_005() -> Option<Proven> {
    let scene = Scene::new()?;
    let _ = scene
        .proves("PN-KUBE-005", ENDPOINTS, |endpoints| called(endpoints, "web1")["status"]["identity"]["id"] = json!(7));
    Some(scene.proves("PN-KUBE-005", ENDPOINTS, |endpoints| {
        called(endpoints, "web1")["status"]["state"] = json!("not-ready")
    }))
}

fn pn_kube_006() -> Option<Proven> {
    let scene = Scene::new()?;
    let unready = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady";
    let conditions = [("NetworkUnavailable", "True", "no route created"), ("Ready", "False", unready)];
    let proven = conditions.map(|(kind, status, message)| {
        let condition = json!({"type": kind, "status": status, "message": message, "reason": "KubeletNotReady"});
        scene.proves("PN-KUBE-006", NODES, |nodes| {
            called(nodes, "vm")["status"]["conditions"] = json!([condition]);
        })
    });
    proven.into_iter().last()
}

fn pn_kube_007() -> Option<Proven> {
    let taint = json!([{"key": "node.cilium.io/agent-not-ready", "effect": "NoSchedule"}]);
    Some(Scene::new()?.proves("PN-KUBE-007", NODES, |nodes| called(nodes, "vm")["spec"]["taints"] = taint.clone()))
}

pub fn wants(pod: &mut Value, port: Value) {
    pod["spec"]["containers"][0]["ports"] = json!([port]);
}

fn pn_kube_008() -> Option<Proven> {
    let scene = Scene::new()?;
    let _listeners = ["web", "db"].map(|pod| crate::declared::listen(&scene.cilium.node, pod, "0.0.0.0:80"));
    let port =
        |protocol: &str, ip: &str| json!({"containerPort": 80, "hostPort": 8080, "protocol": protocol, "hostIP": ip});
    // Of another protocol, or of another address of the node, it is another port.
    for (one, other) in [(port("TCP", ""), port("UDP", "")), (port("TCP", "10.0.0.1"), port("TCP", "10.0.0.2"))] {
        scene.server.change(PODS, |pods| {
            wants(called(pods, "web1"), one.clone());
            wants(called(pods, "db"), other.clone());
        });
        assert_healthy(&scene.cilium.node, "two ports");
    }
    scene.server.change(PODS, |pods| {
        wants(called(pods, "web1"), port("TCP", ""));
        wants(called(pods, "db"), port("UDP", ""));
    });
    Some(scene.proves("PN-KUBE-008", PODS, |pods| wants(called(pods, "db"), port("TCP", "0.0.0.0"))))
}

/// Five endpoints that a real agent called ready and healthy while each was broken in another way, beside four that were
/// well. The kernel and the API server know better.
#[test]
fn what_a_real_agent_called_ready() {
    let Some(cilium) = Cilium::without_pods("broken") else { return };
    let mut named = Vec::new();
    cilium.each(|endpoint| {
        let status = &endpoint["status"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_eq!((text(&status["state"]), text(&status["health"]["overallHealth"])), ("ready".into(), "OK".into()));
        let (of, networking) = (&status["external-identifiers"], &status["networking"]);
        let (pod, namespace) = (text(&of["k8s-pod-name"]), text(&of["k8s-namespace"]));
        if pod.is_empty() {
            return;
        }
        let address = text(&networking["addressing"][0]["ipv4"]);
        if pod != "orphan-netns" {
            cilium.node.with_pods(&format!(
                "cilium_pod {pod} {address} {} {} {} {} {namespace}/{pod}",
                text(&networking["mac"]),
                text(&networking["interface-name"]),
                text(&networking["host-mac"]),
                networking["interface-index"]
            ));
        }
        named.push((
            namespace,
            pod.clone(),
            address,
            endpoint["status"]["identity"]["id"].clone(),
            endpoint["id"].clone(),
        ));
        let id = cilium.node.container_id(&pod);
        endpoint["status"]["external-identifiers"]["container-id"] = json!(id);
    });
    assert_eq!(named.len(), 9);
    cilium.write_maps();
    let server = on(&cilium.node);
    let copies = |objects: &mut Vec<Value>, path: &str| {
        let first = called(objects, "web1").clone();
        let copy = |(namespace, name, address, identity, id): &(String, String, String, Value, Value)| {
            let mut copy = first.clone();
            copy["metadata"]["namespace"] = json!(namespace);
            copy["metadata"]["name"] = json!(name);
            copy["metadata"]["uid"] = json!(name);
            if path == PODS {
                copy["status"]["podIP"] = json!(address);
                copy["status"]["podIPs"] = json!([{"ip": address}]);
            } else {
                copy["status"]["id"] = id.clone();
                copy["status"]["identity"]["id"] = identity.clone();
                copy["status"]["networking"]["addressing"] = json!([{"ipv4": address}]);
            }
            copy
        };
        *objects = named.iter().filter(|(_, name, ..)| name != "orphan-pod").map(copy).collect();
    };
    server.change(PODS, |pods| copies(pods, PODS)).change(ENDPOINTS, |endpoints| copies(endpoints, ENDPOINTS));
    cilium.node.run(
        ". /run/pods/linkdown; ip link set $HOSTIF down
         . /run/pods/tcgone; tc qdisc del dev $HOSTIF clsact
         ip -n noroute route del default",
    );
    let report = cilium.node.report();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap();
    let found: BTreeSet<(String, String)> =
        findings.iter().map(|finding| (text(finding, "target"), text(finding, "code"))).collect();
    let target = |pod: &str| cilium.node.container_id(pod)[..12].to_owned();
    let expected = [
        ("ep:9".to_owned(), "PN-CIL-001"),
        (target("orphan-pod"), "PN-KUBE-003"),
        (target("tcgone"), "PN-CIL-013"),
        (target("noroute"), "PN-ROUTE-002"),
        (target("linkdown"), "PN-LINK-005"),
    ];
    let expected: BTreeSet<(String, String)> =
        expected.into_iter().map(|(target, code)| (target, code.to_owned())).collect();
    assert_eq!(found, expected, "{report:#}");
}
