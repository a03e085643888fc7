//! A pod's network as cilium-cni makes it, by hand, and the endpoint that an agent would have of it.

use serde_json::{Value, json};

use crate::stand_in::{Setup, recording};
use crate::support::namespace::{Namespace, unique};
use crate::support::shell;

/// The pod web1 of the recordings, with the addresses that it had, in a namespace of the test's own.
pub struct Pod {
    pub namespace: Namespace,
    /// Its end on the host.
    pub interface: String,
}

pub const ENDPOINT: u64 = 1408;
pub const ADDRESS: &str = "10.244.1.249";
const ROUTER: &str = "10.244.1.217";

impl Pod {
    pub fn new() -> Self {
        let namespace = Namespace::new();
        let interface = unique();
        let inside = |words: &str| {
            let args = [&["-n", &namespace.name], &*words.split(' ').collect::<Vec<_>>()].concat();
            shell::run("ip", &args);
        };
        let pair = format!("link add {interface} mtu 1500 type veth peer name eth0 netns {} mtu 1500", namespace.name);
        shell::run("ip", &pair.split(' ').collect::<Vec<_>>());
        shell::run("ip", &["link", "set", &interface, "up"]);
        inside("link set eth0 up");
        inside(&format!("addr add {ADDRESS}/32 dev eth0"));
        inside(&format!("route add {ROUTER}/32 dev eth0 scope link"));
        inside(&format!("route add default via {ROUTER} dev eth0 mtu 1450"));
        Self { namespace, interface }
    }

    /// The recorded endpoint, with the interfaces that this pod has.
    pub fn endpoint(&self) -> Value {
        let list = recording("k8s/endpoint-list");
        let mut endpoint = list.as_array().unwrap().iter().find(|endpoint| endpoint["id"] == ENDPOINT).unwrap().clone();
        let host = shell::json("ip", &["-j", "link", "show", "dev", &self.interface])[0].clone();
        let pod = shell::json("ip", &["-n", &self.namespace.name, "-j", "link", "show", "dev", "eth0"])[0].clone();
        let networking = &mut endpoint["status"]["networking"];
        networking["interface-name"] = json!(self.interface);
        networking["interface-index"] = host["ifindex"].clone();
        networking["host-mac"] = host["address"].clone();
        networking["mac"] = pod["address"].clone();
        endpoint
    }

    /// An agent that has this endpoint and no other.
    pub fn agent(&self, endpoint: &Value) -> Setup {
        Setup::recorded("k8s").answer("/endpoint", json!([endpoint]))
    }

    /// As a target.
    pub fn target(&self) -> String {
        self.namespace.path()
    }
}
