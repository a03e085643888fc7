//! A node whose pods are the Cilium agent's: interfaces as cilium-cni makes them, real programs and maps, and a stand-in
//! for the agent that says what a real one said.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::answering;
use crate::case::assert_healthy;
use crate::node::{Kind, Node};
use crate::proof::Proven;
use crate::support::bpf::{self, ARRAY, HASH, LPM_TRIE, Map, PERCPU_HASH, PROGRAM_ARRAY};

/// The recorded pods demo/web1 and shop/db.
pub const WEB: u32 = 1408;
const DB: u32 = 782;

pub struct Cilium {
    pub node: Node,
    said: Arc<Mutex<Said>>,
    pub from_container: OwnedFd,
    pub maps: Maps,
}

#[derive(Default)]
struct Said {
    endpoints: Vec<Value>,
    healthz: Value,
    config: Value,
}

pub struct Maps {
    local: Map,
    identities: Map,
    pub programs: Map,
    runtime: Map,
    metrics: Map,
}

pub fn recording(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cilium").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

impl Cilium {
    pub fn new() -> Option<Self> {
        let cilium = Self::without_pods("k8s")?;
        cilium.node.with_pods("kind_cilium");
        cilium.said.lock().unwrap().endpoints.retain(|endpoint| {
            ["web1", "db"].contains(&name(endpoint))
                || endpoint["status"]["networking"]["interface-name"] == "cilium_host"
        });
        cilium.say(|healthz, _| {
            let held = healthz["ipam"]["allocations"].as_object_mut().unwrap();
            held.retain(|_, owner| !["demo/web2", "demo/client"].iter().any(|other| owner == other));
        });
        for (id, pod) in [(WEB, "web"), (DB, "db")] {
            let container = cilium.node.container_id(pod);
            cilium.change(id, |endpoint| endpoint["status"]["external-identifiers"]["container-id"] = json!(container));
        }
        cilium.write_maps();
        Some(cilium)
    }

    /// `enable-endpoint-routes`: a route for each pod, and a program for what goes to it.
    pub fn with_endpoint_routes() -> Option<Self> {
        let cilium = Self::new()?;
        bpf::pin(&bpf::classifier("cil_to_container"), &cilium.node.machine.root("sys/fs/bpf/cil_to_container"));
        cilium.node.run(
            "for name in web db; do . /run/pods/$name; FLAVOUR=routes; restore_router; keep; done
             ip route del 10.244.1.0/24",
        );
        cilium.say(|_, config| {
            let status = &mut config["status"];
            status["datapathConfiguration"] = json!({});
            status["daemonConfigurationMap"]["EnableEndpointRoutes"] = json!(true);
        });
        Some(cilium)
    }

    /// With the agent of a recording, its program loaded, and its maps empty.
    pub fn without_pods(folder: &str) -> Option<Self> {
        let node = Node::new(Kind::None)?;
        let root = node.machine.root("sys/fs/bpf");
        node.machine.run("mount -t bpf bpf /sys/fs/bpf; mkdir -p /run/cilium /sys/fs/bpf/tc/globals");
        let from_container = bpf::classifier("cil_from_container");
        bpf::pin(&from_container, &root.join("cil_from_container"));
        let map = |name: &str, kind, sizes| Map::pinned(&root.join("tc/globals").join(name), kind, sizes);
        let maps = Maps {
            local: map("cilium_lxc", HASH, (20, 48)),
            identities: map("cilium_ipcache", LPM_TRIE, (24, 12)),
            programs: map("cilium_call_policy", PROGRAM_ARRAY, (4, 4)),
            runtime: map("cilium_runtime_config", ARRAY, (4, 8)),
            metrics: map("cilium_metrics", PERCPU_HASH, (8, 16)),
        };
        let recorded = |name: &str| recording(&format!("{folder}/{name}"));
        let endpoints = recorded("endpoint-list").as_array().unwrap().clone();
        let said = Said { endpoints, healthz: recorded("healthz"), config: recording("k8s/config") };
        let cilium = Self { node, said: Arc::new(Mutex::new(said)), from_container, maps };
        cilium.answer();
        // A test may take longer than an agent may be silent.
        cilium.beat(-3600.0);
        Some(cilium)
    }

    fn answer(&self) {
        let said = self.said.clone();
        let socket = self.node.machine.scratch().join("cilium.sock");
        answering::on(&socket, move |path| {
            let said = said.lock().unwrap();
            match path.trim_start_matches("/v1").split('?').next().unwrap_or_default() {
                "/endpoint" => Value::Array(said.endpoints.clone()),
                "/healthz" => said.healthz.clone(),
                _ => said.config.clone(),
            }
        });
        self.node.machine.run(&format!("ln -s {} /run/cilium/cilium.sock", socket.display()));
    }

    /// Entries for all that the agent tells, as it would write them.
    pub fn write_maps(&self) {
        let said = self.said.lock().unwrap();
        for endpoint in said.endpoints.iter().filter(|endpoint| !name(endpoint).is_empty()) {
            self.write_maps_of(endpoint);
        }
    }

    pub fn write_local(&self, endpoint: &Value) {
        let networking = &endpoint["status"]["networking"];
        let mut value = Vec::from(number(&networking["interface-index"]).to_le_bytes());
        value.extend([0, 0]);
        value.extend((number(&endpoint["id"]) as u16).to_le_bytes());
        value.extend([0; 8]);
        for which in ["mac", "host-mac"] {
            let mac = networking[which].as_str().unwrap().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap());
            value.extend(mac.chain([0, 0]));
        }
        value.resize(48, 0);
        self.maps.local.insert(&key(&address(endpoint)), &value);
    }

    /// As the agent does each second, that many seconds ago.
    pub fn beat(&self, seconds: f64) {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let up: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let at = ((up - seconds) * 1e9) as u64;
        self.maps.runtime.insert(&1u32.to_le_bytes(), &at.to_le_bytes());
    }

    pub fn drop_packets(&self, reason: u8, packets: u64) {
        let one = [packets.to_le_bytes(), (packets * 100).to_le_bytes()].concat();
        let value = [one, vec![0; 16 * (bpf::possible_cpus() - 1)]].concat();
        self.maps.metrics.insert(&[reason, 1, 0, 0, 0, 0, 0, 0], &value);
    }

    /// Changes each endpoint that the agent tells.
    pub fn each(&self, change: impl FnMut(&mut Value)) {
        self.said.lock().unwrap().endpoints.iter_mut().for_each(change);
    }

    /// Changes what the agent says of itself, and of its configuration.
    pub fn say(&self, change: impl FnOnce(&mut Value, &mut Value)) {
        let mut said = self.said.lock().unwrap();
        let Said { healthz, config, .. } = &mut *said;
        change(healthz, config);
    }

    /// Entries for one endpoint, as the agent would write them.
    pub fn write_maps_of(&self, endpoint: &Value) {
        self.write_local(endpoint);
        self.know_all_but_local(endpoint);
    }

    /// … but for `cilium_lxc`.
    pub fn know_all_but_local(&self, endpoint: &Value) {
        self.believe(endpoint, number(&endpoint["status"]["identity"]["id"]));
        self.maps.programs.insert_program(number(&endpoint["id"]), &self.from_container);
    }

    /// `cilium_ipcache`: that its address is of that identity.
    pub fn believe(&self, endpoint: &Value, id: u32) {
        self.maps.identities.insert(&prefix(&address(endpoint)), &identity(id));
    }

    /// … and as it would remove the first of them.
    pub fn remove_local(&self, endpoint: &Value) {
        self.maps.local.remove(&key(&address(endpoint)));
    }

    pub fn change(&self, id: u32, change: impl Fn(&mut Value)) {
        let mut said = self.said.lock().unwrap();
        change(said.endpoints.iter_mut().find(|endpoint| endpoint["id"] == id).unwrap());
    }

    pub fn endpoint(&self, id: u32) -> Value {
        self.said.lock().unwrap().endpoints.iter().find(|endpoint| endpoint["id"] == id).unwrap().clone()
    }

    pub fn forget(&self, id: u32) {
        self.said.lock().unwrap().endpoints.retain(|endpoint| endpoint["id"] != id);
    }

    pub fn put(&self, endpoint: Value) {
        self.said.lock().unwrap().endpoints.push(endpoint);
    }

    pub fn is_well(&self) {
        assert_healthy(&self.node, "cilium");
    }

    /// Says something else of web for a while.
    pub fn says_of_web(&self, code: &'static str, change: impl Fn(&mut Value)) -> Proven {
        let before = self.endpoint(WEB);
        let restore = |endpoint: &mut Value| *endpoint = before.clone();
        self.node.proves(code, || self.change(WEB, change), || self.change(WEB, restore))
    }

    /// Has the agent say something else of itself for a while.
    pub fn says(&self, code: &'static str, change: impl FnOnce(&mut Value, &mut Value)) -> Proven {
        let mut before = (Value::Null, Value::Null);
        self.say(|healthz, config| before = (healthz.clone(), config.clone()));
        self.node.proves(code, || self.say(change), || self.say(|healthz, config| (*healthz, *config) = before))
    }

    /// Breaks the machine, and mends it.
    pub fn breaks(&self, code: &'static str, broken: &str, mended: &str) -> Proven {
        self.node.proves_by(code, broken, mended)
    }
}

fn name(endpoint: &Value) -> &str {
    endpoint["status"]["external-identifiers"]["k8s-pod-name"].as_str().unwrap_or_default()
}

fn address(endpoint: &Value) -> Vec<u8> {
    let text = endpoint["status"]["networking"]["addressing"][0]["ipv4"].as_str().unwrap();
    text.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap() as u32
}

/// `endpoint_key`.
fn key(address: &[u8]) -> Vec<u8> {
    [address, &[0; 12], &[1, 0, 0, 0]].concat()
}

/// `ipcache_key` of a single address.
fn prefix(address: &[u8]) -> Vec<u8> {
    [&64u32.to_le_bytes()[..], &[0, 0, 0, 1], address, &[0; 12]].concat()
}

fn identity(id: u32) -> Vec<u8> {
    [&id.to_le_bytes()[..], &[0; 8]].concat()
}
