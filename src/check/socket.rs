//! PN-SOCK: whether somebody listens where the world was told to knock.

use std::collections::BTreeSet;

use super::hit::Hit;
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::socket::Socket;
use crate::model::workload::Workload;

pub static NOBODY: Rule = Rule {
    code: "PN-SOCK-001",
    severity: Severity::Warning,
    sentence: "A port of the container is published, and nothing in it listens there.",
    meaning: "Whoever connects to the published port gets «connection refused».",
    origin: "the program has not started yet, has ended, or listens on another port",
    confirm: "podnet inspect CONTAINER under SOCKETS",
    fix: "look at the program's own log; or publish the port that it listens on",
    needs: &[Need::Sockets],
    follows: &[],
    run: Run::Pod(nobody),
};

fn nobody(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |(workload, port): (&Workload, &Published)| {
        let none = !listeners(pod, port).any(|_| true);
        none.then(|| published(workload, port).saw(format!("listeners on {port} in {}", pod.place()), "none", "kernel"))
    };
    each(pod).iter().filter_map(|(workload, port)| hit((workload, port))).collect()
}

pub static LOOPBACK_ONLY: Rule = Rule {
    code: "PN-SOCK-002",
    severity: Severity::Error,
    sentence: "A port of the container is published, and its program listens on 127.0.0.1 only.",
    meaning: "Published connections arrive at the container's own address, where nobody listens: «connection refused», \
              although it answers from inside.",
    origin: "the program's default is to listen on localhost",
    confirm: "podnet inspect CONTAINER under SOCKETS: 127.0.0.1:PORT",
    fix: "have the program listen on 0.0.0.0 or [::] (bind address, --host)",
    needs: &[Need::Sockets],
    follows: &[],
    run: Run::Pod(loopback_only),
};

fn loopback_only(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |workload: &Workload, port: &Published| {
        let found: Vec<&Socket> = listeners(pod, port).collect();
        let inside = found.iter().all(|socket| socket.local.ip().is_loopback());
        let first = found.first().filter(|_| inside)?;
        let process = first.process.as_ref().map(|process| format!(" by {} {}", process.pid, process.name));
        let listens = format!("{} {}{}", first.protocol, first.local, process.unwrap_or_default());
        Some(published(workload, port).saw("its listener", listens, "kernel"))
    };
    each(pod).iter().filter_map(|(workload, port)| hit(workload, port)).collect()
}

pub static QUEUE_FULL: Rule = Rule {
    code: "PN-SOCK-003",
    severity: Severity::Warning,
    sentence: "A program in the pod does not take the connections that wait for it.",
    meaning: "The queue of its listening socket is full: the kernel drops further attempts, and clients hang until they \
              time out.",
    origin: "the program hangs, is out of threads or descriptors, or is stopped",
    confirm: "podnet exec POD -- ss -ltn: Recv-Q above Send-Q",
    fix: "look at the program (its stack, its limits); a longer backlog only delays it",
    needs: &[Need::Sockets],
    follows: &[],
    run: Run::Pod(queue_full),
};

fn queue_full(pod: &Pod<'_>) -> Vec<Hit> {
    // Of a listener the queues are those who wait, and the most who may (sock_diag's rqueue and wqueue).
    let full = |socket: &&Socket| socket.state == "listen" && socket.receive_queue > socket.send_queue;
    let sockets = pod.state.sockets.iter().flat_map(|sockets| &sockets.listeners);
    sockets
        .filter(full)
        .map(|socket| {
            let process = socket.process.as_ref().map(|process| format!("{} {}", process.pid, process.name));
            Hit::new()
                .saw(format!("listener in {}", pod.place()), format!("{} {}", socket.protocol, socket.local), "kernel")
                .saw("who wait", format!("{} of {}", socket.receive_queue, socket.send_queue), "kernel")
                .saw_if("its process", process, "proc")
        })
        .collect()
}

/// A port that the runtime sends connections to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Published {
    port: u16,
    protocol: String,
}

impl std::fmt::Display for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

/// Each published port once, however many addresses it is published on. What is only exposed is a remark in an image.
fn each<'p>(pod: &'p Pod<'_>) -> Vec<(&'p Workload, Published)> {
    let mut seen = BTreeSet::new();
    let mut ports = Vec::new();
    for workload in &pod.workloads {
        for text in &workload.ports {
            let Some((port, protocol)) = text.split_once("->").and_then(|(_, inside)| inside.split_once('/')) else {
                continue;
            };
            let Ok(port) = port.parse::<u16>() else { continue };
            if matches!(protocol, "tcp" | "udp") && seen.insert((port, protocol)) {
                ports.push((*workload, Published { port, protocol: protocol.to_owned() }));
            }
        }
    }
    ports
}

fn listeners<'p>(pod: &'p Pod<'_>, port: &Published) -> impl Iterator<Item = &'p Socket> {
    let sockets = pod.state.sockets.iter().flat_map(|sockets| &sockets.listeners);
    sockets.filter(move |socket| socket.protocol == port.protocol && socket.local.port() == port.port)
}

fn published(workload: &Workload, port: &Published) -> Hit {
    let inside = port.to_string();
    let as_told: Vec<&str> =
        workload.ports.iter().filter(|text| text.ends_with(&format!("->{inside}"))).map(String::as_str).collect();
    Hit::new().saw("published", as_told.join(", "), workload.runtime.as_deref().unwrap_or("runtime"))
}
