//! A node whose pods are the Cilium agent's: interfaces as cilium-cni makes them, real programs and maps, and a stand-in
//! for the agent that says what a real one said.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use podnet::netns::Handle;
use serde_json::{Value, json};

use crate::answering;
use crate::case::assert_healthy;
use crate::docker::{Docker, container};
use crate::node::{Kind, Node};
use crate::support::bpf::{self, ARRAY, HASH, LPM_TRIE, Map, PERCPU_HASH, PROGRAM_ARRAY};

/// Rules with a test here.
pub const TRIED: &[&str] = &[
    "PN-CIL-001",
    "PN-CIL-002",
    "PN-CIL-003",
    "PN-CIL-004",
    "PN-CIL-005",
    "PN-CIL-006",
    "PN-CIL-007",
    "PN-CIL-008",
    "PN-CIL-009",
    "PN-CIL-010",
    "PN-CIL-011",
    "PN-CIL-012",
    "PN-CIL-013",
    "PN-CIL-014",
    "PN-CIL-015",
    "PN-CIL-016",
    "PN-CIL-017",
    "PN-CIL-018",
    "PN-CIL-019",
    "PN-CIL-020",
    "PN-CIL-021",
    "PN-CIL-022",
    "PN-CIL-023",
    "PN-CIL-024",
    "PN-CIL-025",
    "PN-CIL-026",
    "PN-CIL-027",
    "PN-CIL-028",
    "PN-CIL-029",
    "PN-CIL-030",
    "PN-CIL-032",
];

/// The recorded pods demo/web1 and shop/db.
pub const WEB: u32 = 1408;
const DB: u32 = 782;

pub struct Cilium {
    pub node: Node,
    said: Arc<Mutex<Said>>,
    from_container: OwnedFd,
    maps: Maps,
}

#[derive(Default)]
struct Said {
    endpoints: Vec<Value>,
    healthz: Value,
    config: Value,
}

struct Maps {
    local: Map,
    identities: Map,
    programs: Map,
    runtime: Map,
    metrics: Map,
}

fn recording(name: &str) -> Value {
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

    fn write_local(&self, endpoint: &Value) {
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
    fn beat(&self, seconds: f64) {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let up: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let at = ((up - seconds) * 1e9) as u64;
        self.maps.runtime.insert(&1u32.to_le_bytes(), &at.to_le_bytes());
    }

    fn drop_packets(&self, reason: u8, packets: u64) {
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
        self.maps
            .identities
            .insert(&prefix(&address(endpoint)), &identity(number(&endpoint["status"]["identity"]["id"])));
        self.maps.programs.insert_program(number(&endpoint["id"]), &self.from_container);
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

    pub fn sees(&self, code: &str) {
        assert_eq!(self.node.codes(), [code]);
    }

    pub fn is_well(&self) {
        assert_healthy(&self.node, "cilium");
    }

    /// Says something else of web for a while.
    fn proves(&self, code: &str, change: impl Fn(&mut Value)) {
        self.is_well();
        let before = self.endpoint(WEB);
        self.change(WEB, change);
        self.sees(code);
        self.change(WEB, |endpoint| *endpoint = before.clone());
        self.is_well();
    }

    /// Breaks the machine, and mends it.
    pub fn breaks(&self, code: &str, broken: &str, mended: &str) {
        self.is_well();
        self.node.run(broken);
        self.sees(code);
        self.node.run(mended);
        self.is_well();
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

#[test]
fn well() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let report = cilium.node.report();
    let skipped = report["skipped"].as_array().unwrap().iter().filter_map(|skipped| skipped["code"].as_str());
    let skipped: Vec<&str> = skipped.filter(|code| code.starts_with("PN-CIL")).collect();
    let unasked = ["PN-CIL-029", "PN-CIL-034", "PN-CIL-035", "PN-CIL-037", "PN-CIL-038", "PN-CIL-041"];
    let expected: Vec<&str> = ["PN-CIL-012", "PN-CIL-024"].into_iter().chain(unasked).collect();
    assert_eq!(skipped, expected, "no runtime, one look, no API server");
}

#[test]
fn pn_cil_001() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    cilium.put(gone(&cilium));
    cilium.sees("PN-CIL-001");
    cilium.forget(4711);
    cilium.is_well();
}

/// An endpoint of a pod whose interface went with its namespace.
fn gone(cilium: &Cilium) -> Value {
    let mut endpoint = cilium.endpoint(WEB);
    endpoint["id"] = json!(4711);
    let status = &mut endpoint["status"];
    status["external-identifiers"] = json!({"k8s-namespace": "demo", "k8s-pod-name": "gone", "pod-name": "demo/gone",
        "container-id": cilium.node.container_id("gone")});
    status["networking"] = json!({"addressing": [{"ipv4": "10.244.1.99"}], "interface-name": "lxc001122334455",
        "interface-index": 4711, "mac": "52:1e:f9:cb:16:99", "host-mac": "42:3d:83:68:7d:99"});
    cilium.write_local(&endpoint);
    cilium.maps.identities.insert(&prefix(&address(&endpoint)), &identity(44_460));
    cilium.maps.programs.insert_program(4711, &cilium.from_container);
    let key = key(&address(&endpoint));
    cilium.maps.local.remove(&key);
    endpoint
}

#[test]
fn pn_cil_002() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    cilium.node.run(
        "ip netns add left
         ip link add lxc001122334455 type veth peer name eth0 netns /run/netns/left; ip link set lxc001122334455 up",
    );
    cilium.sees("PN-CIL-002");
    cilium.node.run("ip link del lxc001122334455; ip netns del left");
    cilium.is_well();
}

#[test]
fn pn_cil_003() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let endpoint = cilium.endpoint(WEB);
    cilium.forget(WEB);
    cilium.maps.local.remove(&key(&address(&endpoint)));
    cilium.sees("PN-CIL-003");
    cilium.write_local(&endpoint);
    cilium.put(endpoint);
    cilium.is_well();
}

#[test]
fn pn_cil_004() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.proves("PN-CIL-004", |endpoint| {
        let log = recording("broken/ep-orphan-netns-notready")["status"]["log"].clone();
        endpoint["status"]["state"] = json!("not-ready");
        endpoint["status"]["log"] = log;
    });
}

#[test]
fn pn_cil_005() {
    let Some(cilium) = Cilium::new() else { return };
    for state in ["restoring", "waiting-for-identity", "regenerating", "waiting-to-regenerate", "disconnecting"] {
        cilium.proves("PN-CIL-005", |endpoint| endpoint["status"]["state"] = json!(state));
    }
}

#[test]
fn pn_cil_006() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.proves("PN-CIL-006", |endpoint| {
        let status = &mut endpoint["status"]["controllers"][4]["status"];
        status["consecutive-failure-count"] = json!(12);
        status["last-failure-msg"] = json!("ciliumendpoints.cilium.io is forbidden");
    });
}

#[test]
fn pn_cil_007() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.proves("PN-CIL-007", |endpoint| endpoint["status"]["policy"]["spec"]["policy-revision"] = json!(9));
}

#[test]
fn pn_cil_008() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.maps.identities.insert(&prefix(&address(&cilium.endpoint(WEB))), &identity(5));
    cilium.change(WEB, |endpoint| endpoint["status"]["identity"] = json!({"id": 5, "labels": ["reserved:init"]}));
    cilium.sees("PN-CIL-008");
    cilium.maps.identities.insert(&prefix(&address(&cilium.endpoint(WEB))), &identity(44_460));
    cilium.change(WEB, |endpoint| {
        endpoint["status"]["identity"] = json!({"id": 44460, "labels": ["k8s:app=web"]});
    });
    cilium.is_well();
}

#[test]
fn pn_cil_009() {
    let Some(cilium) = Cilium::new() else { return };
    // db's, which is there.
    cilium.proves("PN-CIL-009", |endpoint| {
        endpoint["status"]["networking"]["interface-index"] = json!(56);
        endpoint["status"]["networking"]["interface-name"] = json!("lxcf677d59c77cc");
    });
}

#[test]
fn pn_cil_010() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.proves("PN-CIL-010", |endpoint| endpoint["status"]["networking"]["host-mac"] = json!("02:00:00:00:00:01"));
}

#[test]
fn pn_cil_011() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let other = [10, 244, 1, 77];
    cilium.maps.identities.insert(&prefix(&other), &identity(44_460));
    let local = |address: &str| {
        let mut endpoint = cilium.endpoint(WEB);
        endpoint["status"]["networking"]["addressing"] = json!([{"ipv4": address}]);
        cilium.write_local(&endpoint);
    };
    local("10.244.1.77");
    cilium.change(WEB, |endpoint| endpoint["status"]["networking"]["addressing"] = json!([{"ipv4": "10.244.1.77"}]));
    cilium.sees("PN-CIL-011");
    cilium.change(WEB, |endpoint| endpoint["status"]["networking"]["addressing"] = json!([{"ipv4": "10.244.1.249"}]));
    cilium.maps.local.remove(&key(&other));
    cilium.is_well();
}

#[test]
fn pn_cil_012() {
    let Some(cilium) = Cilium::new() else { return };
    let running = |name: &str| container(&cilium.node.container_id(name), name);
    Docker::on(&cilium.node).has(&[running("web"), running("db")]);
    cilium.is_well();
    // Its namespace is still there, and so is its interface; no runtime knows it, and nobody lives in it.
    cilium.node.run("NAME=gone; ip netns add gone
        ip link add lxc001122334455 index 60 address 42:3d:83:68:7d:99 type veth peer name eth0 address 52:1e:f9:cb:16:99 netns /run/netns/gone
        HOSTIF=lxc001122334455; ip link set $HOSTIF up; taken; ip -n gone link set eth0 up");
    let mut endpoint = gone(&cilium);
    endpoint["status"]["networking"]["interface-name"] = json!("lxc001122334455");
    endpoint["status"]["networking"]["interface-index"] = json!(60);
    cilium.write_local(&endpoint);
    cilium.put(endpoint.clone());
    cilium.sees("PN-CIL-012");
    cilium.forget(4711);
    cilium.maps.local.remove(&key(&address(&endpoint)));
    cilium.node.run("ip link del lxc001122334455; ip netns del gone");
    cilium.is_well();
}

#[test]
fn pn_cil_013() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.breaks("PN-CIL-013", "tc qdisc del dev $HOSTIF clsact", "taken");
}

#[test]
fn pn_cil_014() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.breaks(
        "PN-CIL-014",
        "tc filter del dev $HOSTIF ingress
         tc filter add dev $HOSTIF egress prio 1 bpf da object-pinned /sys/fs/bpf/cil_from_container",
        "tc filter del dev $HOSTIF egress; taken",
    );
}

#[test]
fn pn_cil_015() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.breaks(
        "PN-CIL-015",
        "tc filter add dev $HOSTIF ingress prio 2 bpf da object-pinned /sys/fs/bpf/cil_from_container",
        "tc filter del dev $HOSTIF ingress prio 2",
    );
    // By tc and by tcx, as an interrupted upgrade leaves it.
    let host = Handle::open(Path::new(&cilium.node.machine.netns())).unwrap();
    let link = host.run(|| bpf::attach_tcx(&cilium.from_container, 50)).unwrap();
    let Some(link) = link else { return };
    cilium.sees("PN-CIL-015");
    drop(link);
    cilium.is_well();
}

#[test]
fn pn_cil_016() {
    let Some(cilium) = Cilium::new() else { return };
    bpf::pin(&bpf::classifier("observer"), &cilium.node.machine.root("sys/fs/bpf/observer"));
    let behind = "tc filter add dev $HOSTIF ingress prio 5 bpf da object-pinned /sys/fs/bpf/observer";
    cilium.node.run(behind);
    cilium.is_well();
    cilium.node.run("tc filter del dev $HOSTIF ingress prio 5");
    cilium.breaks(
        "PN-CIL-016",
        "tc filter del dev $HOSTIF ingress; tc filter add dev $HOSTIF ingress prio 1 bpf da object-pinned /sys/fs/bpf/observer
         tc filter add dev $HOSTIF ingress prio 2 bpf da object-pinned /sys/fs/bpf/cil_from_container",
        "tc filter del dev $HOSTIF ingress; taken",
    );
}

#[test]
fn pn_cil_017() {
    let Some(cilium) = Cilium::new() else { return };
    bpf::pin(&bpf::classifier("cil_to_container"), &cilium.node.machine.root("sys/fs/bpf/cil_to_container"));
    cilium.said.lock().unwrap().config["status"]["datapathConfiguration"] = json!({});
    let towards = |host_end: &str| {
        format!("tc filter add dev {host_end} egress prio 1 bpf da object-pinned /sys/fs/bpf/cil_to_container")
    };
    cilium.node.run(&towards("lxcbafbf983d433"));
    cilium.node.run(&towards("lxcf677d59c77cc"));
    let options = json!({"EnableEndpointRoutes": true});
    {
        let mut said = cilium.said.lock().unwrap();
        let all = said.config["status"]["daemonConfigurationMap"].as_object().cloned().unwrap_or_default();
        let merged: serde_json::Map<String, Value> =
            all.into_iter().chain(options.as_object().unwrap().clone()).collect();
        said.config["status"]["daemonConfigurationMap"] = Value::Object(merged);
    }
    cilium.breaks("PN-CIL-017", "tc filter del dev $HOSTIF egress", &towards("lxcbafbf983d433"));
}

#[test]
fn pn_cil_018() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let endpoint = cilium.endpoint(WEB);
    cilium.maps.local.remove(&key(&address(&endpoint)));
    cilium.sees("PN-CIL-018");
    cilium.write_local(&endpoint);
    cilium.is_well();
}

#[test]
fn pn_cil_019() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let right = cilium.endpoint(WEB);
    for (which, wrong) in
        [("interface-index", json!(56)), ("mac", json!("02:00:00:00:00:01")), ("host-mac", json!("02:00:00:00:00:01"))]
    {
        let mut endpoint = right.clone();
        endpoint["status"]["networking"][which] = wrong;
        cilium.write_local(&endpoint);
        cilium.sees("PN-CIL-019");
        cilium.write_local(&right);
    }
    cilium.is_well();
}

#[test]
fn pn_cil_020() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let endpoint = gone(&cilium);
    cilium.write_local(&endpoint);
    cilium.sees("PN-CIL-020");
    cilium.maps.local.remove(&key(&address(&endpoint)));
    cilium.is_well();
}

#[test]
fn pn_cil_021() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let web = prefix(&address(&cilium.endpoint(WEB)));
    cilium.maps.identities.insert(&web, &identity(2));
    cilium.sees("PN-CIL-021");
    cilium.maps.identities.insert(&web, &identity(44_460));
    cilium.is_well();
}

#[test]
fn pn_cil_022() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    cilium.maps.programs.remove(&WEB.to_le_bytes());
    cilium.sees("PN-CIL-022");
    cilium.maps.programs.insert_program(WEB, &cilium.from_container);
    cilium.is_well();
}

#[test]
fn pn_cil_023() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.beat(5.0);
    cilium.is_well();
    cilium.beat(60.0);
    cilium.sees("PN-CIL-023");
    cilium.beat(-3600.0);
    cilium.is_well();
}

/// Counters that grow while they are looked at; and those of a policy, which are a policy's business.
#[test]
fn pn_cil_024() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.drop_packets(140, 1_000_000);
    cilium.is_well();
    let while_growing = |reason: u8| {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut packets = 1_000_000;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    packets += 100;
                    cilium.drop_packets(reason, packets);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            });
            // Something else is wrong, so it looks twice.
            cilium.node.run("pod ip link set eth0 arp off");
            let codes = cilium.node.codes();
            cilium.node.run("pod ip link set eth0 arp on");
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            codes
        })
    };
    assert_eq!(while_growing(140), ["PN-CIL-024", "PN-LINK-017"]);
    assert_eq!(while_growing(133), ["PN-LINK-017"]);
    cilium.is_well();
}

#[test]
fn pn_cil_025() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.breaks(
        "PN-CIL-025",
        "mkdir -p /run/cilium/deleteQueue; echo '{\"container-id\":\"9b2abfc29cc4\"}' >/run/cilium/deleteQueue/aa.delete",
        "rm /run/cilium/deleteQueue/aa.delete",
    );
}

#[test]
fn pn_cil_026() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.breaks(
        "PN-CIL-026",
        "mv /run/cilium/cilium.sock /run/cilium/away.sock",
        "mv /run/cilium/away.sock /run/cilium/cilium.sock",
    );
}

#[test]
fn pn_cil_027() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let before = cilium.said.lock().unwrap().healthz.clone();
    let unreached = json!({"state": "Failure", "msg": "Get https://10.96.0.1: connection refused"});
    for (part, said) in [("cilium", json!({"state": "Warning", "msg": "stale"})), ("kubernetes", unreached)] {
        cilium.said.lock().unwrap().healthz[part] = said;
        cilium.sees("PN-CIL-027");
        cilium.said.lock().unwrap().healthz = before.clone();
    }
    cilium.is_well();
}

#[test]
fn pn_cil_028() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let before = cilium.said.lock().unwrap().healthz.clone();
    let failing = json!({"name": "neighbor-table-refresh", "uuid": "x", "configuration": {},
        "status": {"consecutive-failure-count": 5, "failure-count": 5, "last-failure-msg": "no route to host",
                   "last-success-timestamp": "2026-11-23T23:01:28.419Z"}});
    cilium.said.lock().unwrap().healthz["controllers"].as_array_mut().unwrap().push(failing);
    cilium.sees("PN-CIL-028");
    cilium.said.lock().unwrap().healthz = before;
    cilium.is_well();
}

#[test]
fn pn_cil_029() {
    let Some(cilium) = Cilium::new() else { return };
    let server = crate::kube::on(&cilium.node);
    cilium.is_well();
    let noted = |cidr: &'static str| {
        server.change("/apis/cilium.io/v2/ciliumnodes", move |nodes| {
            nodes[0]["spec"]["ipam"]["podCIDRs"] = json!([cidr])
        });
    };
    noted("10.244.9.0/24");
    cilium.sees("PN-CIL-029");
    noted("10.244.1.0/24");
    cilium.is_well();
}

#[test]
fn pn_cil_030() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let before = cilium.said.lock().unwrap().healthz.clone();
    cilium.said.lock().unwrap().healthz["cluster"]["ciliumHealth"] =
        json!({"state": "Warning", "msg": "2/3 nodes reachable"});
    cilium.sees("PN-CIL-030");
    cilium.said.lock().unwrap().healthz = before;
    cilium.is_well();
}

#[test]
fn pn_cil_032() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.proves("PN-CIL-032", |endpoint| endpoint["spec"]["options"]["PolicyAuditMode"] = json!("Enabled"));
}
