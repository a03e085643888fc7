//! PN-SOCK and PN-KUBE: ports that a Pod's manifest names, beside who listens there.

use std::net::IpAddr;

use super::facts::Facts;
use super::hit::Hit;
use super::kube::{API, here, is_expected, kubernetes, named};
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::kube::pod::{ContainerPort, HostPort, KubePod};
use crate::model::socket::Socket;

pub static NOBODY: Rule = Rule {
    code: "PN-SOCK-004",
    severity: Severity::Info,
    sentence: "The pod is ready and declares a port, and nothing in it listens there.",
    meaning: "A Service whose targetPort is this port leads to «connection refused». The declaration itself opens nothing, so \
              it may just be wrong.",
    origin: "the program listens on another port than the manifest says (an option, an environment variable), or that part of \
             it is switched off",
    confirm: "podnet exec POD -- ss -ltn; ports of the containers in kubectl get pod -o yaml",
    fix: "have the program listen there, or correct containerPort and the targetPort of its Services",
    needs: &[Need::Kubernetes, Need::Sockets],
    follows: &[],
    run: Run::Pod(nobody),
};

fn nobody(pod: &Pod<'_>) -> Vec<Hit> {
    let Some(noted) = noted(pod).filter(|noted| noted.is_ready()) else { return Vec::new() };
    let silent = declared(pod, noted).filter(|port| !listeners(pod).any(|socket| socket.local.port() == port.port));
    silent.map(|port| shown(pod, port)).collect()
}

pub static LOOPBACK_ONLY: Rule = Rule {
    code: "PN-SOCK-005",
    severity: Severity::Warning,
    sentence: "The pod declares a port, and its program listens there on 127.0.0.1 only.",
    meaning: "Services, probes and other pods connect to the pod's own address, where nobody listens: «connection refused», \
              although it answers from inside.",
    origin: "the program's default is to listen on localhost",
    confirm: "podnet exec POD -- ss -ltn: 127.0.0.1:PORT",
    fix: "have the program listen on 0.0.0.0 or [::] (bind address, --host)",
    needs: &[Need::Kubernetes, Need::Sockets],
    follows: &[],
    run: Run::Pod(loopback_only),
};

fn loopback_only(pod: &Pod<'_>) -> Vec<Hit> {
    let inside = |socket: &Socket| socket.local.ip().is_loopback();
    // A proxy that takes what comes from outside hands it on by loopback.
    if listeners(pod).any(|socket| !inside(socket)) {
        return Vec::new();
    }
    let Some(noted) = noted(pod) else { return Vec::new() };
    let listened = |port: &&ContainerPort| listeners(pod).any(|socket| socket.local.port() == port.port);
    declared(pod, noted).filter(listened).map(|port| shown(pod, port)).collect()
}

pub static HOST_PORT_TAKEN: Rule = Rule {
    code: "PN-KUBE-009",
    severity: Severity::Warning,
    sentence: "A pod wants a port of the node that a program of the node listens on.",
    meaning: "What comes to the port from outside is led to the pod, and the program is not reached any more; from the node \
              itself it may be the other way round.",
    origin: "the hostPort was chosen without a look at the node, or the program was installed later",
    confirm: "ss -lntup on the node",
    fix: "give the pod another hostPort, or the program another port",
    needs: &[Need::Kubernetes, Need::HostSockets],
    follows: &[],
    run: Run::Node(host_port_taken),
};

/// Programs that hold a port of the node open for a pod, as far as `/proc/PID/comm` tells their names.
const ON_BEHALF: [&str; 20] = [
    "kubelet",
    "kube-proxy",
    "kubelite",
    "k3s",
    "k3s-server",
    "k3s-agent",
    "k0s",
    "rke2",
    "crio",
    "containerd",
    "dockerd",
    "docker-proxy",
    "conmon",
    "podman",
    "rootlessport",
    "rootlesskit",
    "slirp4netns",
    "pasta",
    "cilium-agent",
    "cilium-envoy",
];

fn host_port_taken(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    // With the node's own network the listener is the pod itself.
    let own = here(facts).filter(|pod| !pod.host_network);
    own.flat_map(|pod| pod.host_ports.iter().filter_map(move |port| taken(facts, pod, port))).collect()
}

fn taken(facts: &Facts<'_>, pod: &KubePod, port: &HostPort) -> Option<Hit> {
    let listeners =
        facts.host().and_then(|host| host.sockets.as_ref()).into_iter().flat_map(|sockets| &sockets.listeners);
    let (socket, process) = listeners.filter(|socket| meets(socket, port)).find_map(|socket| {
        let process = socket.process.as_ref().filter(|process| !ON_BEHALF.contains(&process.name.as_str()))?;
        Some((socket, process))
    })?;
    let listens = format!("{} {} by {} {}", socket.protocol, socket.local, process.pid, process.name);
    Some(Hit::new().thing(format!("{}/{}", pod.namespace, pod.name)).saw("hostPort", port.to_string(), API).saw(
        "who listens on the node",
        listens,
        "kernel",
    ))
}

/// Whether a packet for the port of the node would be the listener's.
fn meets(socket: &Socket, port: &HostPort) -> bool {
    /// `net.ipv4.ip_local_port_range` begins there; above it a UDP socket may be a client's.
    const EPHEMERAL: u16 = 32768;
    let own = socket.local.ip();
    let wanted: Option<IpAddr> = port.host_ip.as_ref().and_then(|text| text.parse().ok());
    let address = own.is_unspecified() || wanted.is_none_or(|wanted| wanted.is_unspecified() || wanted == own);
    let serves = socket.protocol == "tcp" || port.port < EPHEMERAL;
    let same = socket.local.port() == port.port && socket.protocol.eq_ignore_ascii_case(&port.protocol);
    same && serves && address && !own.is_loopback()
}

/// What Kubernetes has noted of a pod that has its network in the kernel: gVisor takes the addresses out of the namespace
/// and listens elsewhere, and behind a bridge is a virtual machine.
fn noted<'a>(pod: &Pod<'a>) -> Option<&'a KubePod> {
    let (namespace, name) = named(pod)?;
    let noted = kubernetes(pod.facts)?.pod(namespace, name).filter(|noted| is_expected(noted))?;
    let elsewhere = pod.state.links.iter().any(|link| link.master.is_some() || link.kind == "tun");
    (pod.addresses().next().is_some() && !elsewhere).then_some(noted)
}

/// TCP ports of containers that run, and have for long enough to listen.
fn declared<'p>(pod: &'p Pod<'_>, noted: &'p KubePod) -> impl Iterator<Item = &'p ContainerPort> {
    let runs = |name: &str| {
        let status = noted.containers.iter().find(|status| status.name == name);
        status.is_some_and(|status| status.state.as_deref() == Some("running"))
    };
    let is_young = |name: &str| {
        let own = |container: &str| container == name;
        let of_container = pod
            .workloads
            .iter()
            .filter(|workload| workload.pod.as_ref().and_then(|pod| pod.container.as_deref()).is_some_and(own));
        let now = pod.facts.node.collected_at;
        of_container.filter_map(|workload| workload.started_at).any(|since| now.duration_since(since) < pod.facts.grace)
    };
    let ports = noted.container_ports.iter().filter(|port| port.protocol == "TCP");
    ports.filter(move |port| runs(&port.container) && !is_young(&port.container))
}

fn listeners<'p>(pod: &'p Pod<'_>) -> impl Iterator<Item = &'p Socket> {
    let sockets = pod.state.sockets.iter().flat_map(|sockets| &sockets.listeners);
    sockets.filter(|socket| socket.protocol == "tcp")
}

fn shown(pod: &Pod<'_>, port: &ContainerPort) -> Hit {
    let told: Vec<String> = listeners(pod).map(|socket| socket.local.to_string()).collect();
    let told = if told.is_empty() { "none".to_owned() } else { told.join("  ") };
    Hit::new()
        .saw(format!("port of container {}", port.container), format!("{}/{}", port.port, port.protocol), API)
        .saw(format!("TCP listeners in {}", pod.place()), told, "kernel")
}
