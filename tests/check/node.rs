//! A node with two pods, web and db, on one kind of network.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::machine::Machine;
use crate::support::prerequisite;

const PODS: &str = concat!(include_str!("pods.sh"), include_str!("topologies.sh"));

/// How the pods are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Bridge,
    Ptp,
    Routed,
    Macvlan,
    Nested,
    Host,
    Flannel,
    Calico,
    /// Nothing yet.
    None,
}

impl Kind {
    /// Those that what does not depend on the network is tried on.
    pub const EVERY: &'static [Kind] =
        &[Kind::Ptp, Kind::Bridge, Kind::Routed, Kind::Macvlan, Kind::Nested, Kind::Host];

    fn function(self) -> &'static str {
        match self {
            Kind::Bridge => "kind_bridge",
            Kind::Ptp => "kind_ptp",
            Kind::Routed => "kind_routed",
            Kind::Macvlan => "kind_macvlan",
            Kind::Nested => "kind_nested",
            Kind::Host => "kind_host",
            Kind::Flannel => "kind_flannel",
            Kind::Calico => "kind_calico",
            Kind::None => ":",
        }
    }
}

pub struct Node {
    pub machine: Machine,
}

/// Codes with their severities.
pub type Found = BTreeSet<(String, String)>;

impl Node {
    /// None, having said why, where no machine can be made.
    pub fn new(kind: Kind) -> Option<Self> {
        if !prerequisite::root_and(&["unshare", "nsenter", "ip", "tc", "nft", "sysctl", "ping"]) {
            return None;
        }
        let machine = Machine::boot();
        machine.scratch().write("pods.sh", PODS);
        let node = Self { machine };
        node.with_pods(kind.function());
        Some(node)
    }

    /// Runs shell commands on it that know pods.sh.
    pub fn with_pods(&self, script: &str) -> String {
        self.machine.run(&format!(". {}\n{script}", self.machine.scratch().text("pods.sh")))
    }

    /// … and the values of the pod `web`, where there is one.
    pub fn run(&self, script: &str) -> String {
        self.with_pods(&format!("[ ! -e /run/pods/web ] || . /run/pods/web\n{script}"))
    }

    /// The report of `podnet check`, of all pods however young.
    pub fn report(&self) -> Value {
        let ran = self.machine.podnet(&["check", "--grace", "0", "-o", "json"]);
        assert!(matches!(ran.status, 0 | 6), "{}{}", ran.stderr, ran.stdout);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let errors = report["summary"]["errors"].as_u64().unwrap();
        assert_eq!(ran.status == 6, errors > 0, "{report:#}");
        report
    }

    /// The codes of what is found.
    pub fn codes(&self) -> Vec<String> {
        let codes: BTreeSet<String> = found(&self.report()).into_iter().map(|(code, _)| code).collect();
        codes.into_iter().collect()
    }

    /// `sha256sum` of the pod's name, as pods.sh takes it for the container's id.
    pub fn container_id(&self, name: &str) -> String {
        self.with_pods(&format!("container_id {name}")).trim().to_owned()
    }
}

pub fn found(report: &Value) -> Found {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| (text(finding, "code"), text(finding, "severity"))).collect()
}
