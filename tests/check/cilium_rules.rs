//! What the kernel, the BPF maps and the agent tell of Cilium's pods, each made to disagree.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use podnet::netns::Handle;
use serde_json::{Value, json};

use crate::cilium::{Cilium, WEB, recording};
use crate::docker::{Docker, container};
use crate::proof::{Proven, proofs};
use crate::support::bpf;

proofs![
    pn_cil_001, pn_cil_002, pn_cil_003, pn_cil_004, pn_cil_005, pn_cil_006, pn_cil_007, pn_cil_008, pn_cil_009,
    pn_cil_010, pn_cil_011, pn_cil_012, pn_cil_013, pn_cil_014, pn_cil_015, pn_cil_016, pn_cil_017, pn_cil_018,
    pn_cil_019, pn_cil_020, pn_cil_021, pn_cil_022, pn_cil_023, pn_cil_024, pn_cil_025, pn_cil_026, pn_cil_027,
    pn_cil_028, pn_cil_029, pn_cil_030, pn_cil_032,
];

#[test]
fn well() {
    let Some(cilium) = Cilium::new() else { return };
    cilium.is_well();
    let report = cilium.node.report();
    let skipped = report["skipped"].as_array().unwrap().iter().filter_map(|skipped| skipped["code"].as_str());
    let skipped: Vec<&str> = skipped.filter(|code| code.starts_with("PN-CIL")).collect();
    let unasked = ["PN-CIL-029", "PN-CIL-034", "PN-CIL-035", "PN-CIL-037", "PN-CIL-038", "PN-CIL-041", "PN-CIL-042"];
    let expected: Vec<&str> = ["PN-CIL-012", "PN-CIL-024"].into_iter().chain(unasked).collect();
    assert_eq!(skipped, expected, "no runtime, one look, no API server");
}

fn pn_cil_001() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let gone = gone(&cilium);
    cilium.know_all_but_local(&gone);
    Some(cilium.node.proves("PN-CIL-001", || cilium.put(gone), || cilium.forget(GONE)))
}

const GONE: u32 = 4711;

/// An endpoint of a pod whose interface went with its namespace.
fn gone(cilium: &Cilium) -> Value {
    let mut endpoint = cilium.endpoint(WEB);
    endpoint["id"] = json!(GONE);
    let status = &mut endpoint["status"];
    status["external-identifiers"] = json!({"k8s-namespace": "demo", "k8s-pod-name": "gone", "pod-name": "demo/gone",
        "container-id": cilium.node.container_id("gone")});
    status["networking"] = json!({"addressing": [{"ipv4": "10.244.1.99"}], "interface-name": "lxc001122334455",
        "interface-index": 4711, "mac": "52:1e:f9:cb:16:99", "host-mac": "42:3d:83:68:7d:99"});
    endpoint
}

fn pn_cil_002() -> Option<Proven> {
    let cilium = Cilium::new()?;
    Some(cilium.breaks(
        "PN-CIL-002",
        "ip netns add left
         ip link add lxc001122334455 type veth peer name eth0 netns /run/netns/left; ip link set lxc001122334455 up",
        "ip link del lxc001122334455; ip netns del left",
    ))
}

fn pn_cil_003() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let endpoint = cilium.endpoint(WEB);
    let forget = || {
        cilium.forget(WEB);
        cilium.remove_local(&endpoint);
    };
    let remember = || {
        cilium.write_local(&endpoint);
        cilium.put(endpoint.clone());
    };
    Some(cilium.node.proves("PN-CIL-003", forget, remember))
}

fn pn_cil_004() -> Option<Proven> {
    Some(Cilium::new()?.says_of_web("PN-CIL-004", |endpoint| {
        let log = recording("broken/ep-orphan-netns-notready")["status"]["log"].clone();
        endpoint["status"]["state"] = json!("not-ready");
        endpoint["status"]["log"] = log;
    }))
}

fn pn_cil_005() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let states = ["restoring", "waiting-for-identity", "regenerating", "waiting-to-regenerate", "disconnecting"];
    let proven =
        states.map(|state| cilium.says_of_web("PN-CIL-005", |endpoint| endpoint["status"]["state"] = json!(state)));
    proven.into_iter().last()
}

fn pn_cil_006() -> Option<Proven> {
    Some(Cilium::new()?.says_of_web("PN-CIL-006", |endpoint| {
        let status = &mut endpoint["status"]["controllers"][4]["status"];
        status["consecutive-failure-count"] = json!(12);
        status["last-failure-msg"] = json!("ciliumendpoints.cilium.io is forbidden");
    }))
}

fn pn_cil_007() -> Option<Proven> {
    let older = |endpoint: &mut Value| endpoint["status"]["policy"]["spec"]["policy-revision"] = json!(9);
    Some(Cilium::new()?.says_of_web("PN-CIL-007", older))
}

fn pn_cil_008() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let takes = |id: u32, labels: Value| {
        cilium.believe(&cilium.endpoint(WEB), id);
        cilium.change(WEB, |endpoint| endpoint["status"]["identity"] = json!({"id": id, "labels": labels}));
    };
    let init = || takes(5, json!(["reserved:init"]));
    Some(cilium.node.proves("PN-CIL-008", init, || takes(44_460, json!(["k8s:app=web"]))))
}

fn pn_cil_009() -> Option<Proven> {
    // db's, which is there.
    Some(Cilium::new()?.says_of_web("PN-CIL-009", |endpoint| {
        endpoint["status"]["networking"]["interface-index"] = json!(56);
        endpoint["status"]["networking"]["interface-name"] = json!("lxcf677d59c77cc");
    }))
}

fn pn_cil_010() -> Option<Proven> {
    let another = |endpoint: &mut Value| endpoint["status"]["networking"]["host-mac"] = json!("02:00:00:00:00:01");
    Some(Cilium::new()?.says_of_web("PN-CIL-010", another))
}

fn pn_cil_011() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let at = |address: &str| {
        let mut endpoint = cilium.endpoint(WEB);
        endpoint["status"]["networking"]["addressing"] = json!([{"ipv4": address}]);
        endpoint
    };
    let (right, wrong) = (at("10.244.1.249"), at("10.244.1.77"));
    cilium.believe(&wrong, 44_460);
    let says = |endpoint: &Value| cilium.change(WEB, |own| *own = endpoint.clone());
    let breaks = || {
        cilium.write_local(&wrong);
        says(&wrong);
    };
    let mends = || {
        says(&right);
        cilium.remove_local(&wrong);
    };
    Some(cilium.node.proves("PN-CIL-011", breaks, mends))
}

/// Its namespace is still there, and so is its interface; no runtime knows it, and nobody lives in it.
fn pn_cil_012() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let running = |name: &str| container(&cilium.node.container_id(name), name);
    Docker::on(&cilium.node).has(&[running("web"), running("db")]);
    let mut endpoint = gone(&cilium);
    endpoint["status"]["networking"]["interface-index"] = json!(60);
    let breaks = || {
        cilium.node.run("NAME=gone; ip netns add gone
            ip link add lxc001122334455 index 60 address 42:3d:83:68:7d:99 type veth peer name eth0 address 52:1e:f9:cb:16:99 netns /run/netns/gone
            HOSTIF=lxc001122334455; ip link set $HOSTIF up; taken; ip -n gone link set eth0 up");
        cilium.write_maps_of(&endpoint);
        cilium.put(endpoint.clone());
    };
    let mends = || {
        cilium.forget(GONE);
        cilium.remove_local(&endpoint);
        cilium.node.run("ip link del lxc001122334455; ip netns del gone");
    };
    Some(cilium.node.proves("PN-CIL-012", breaks, mends))
}

fn pn_cil_013() -> Option<Proven> {
    Some(Cilium::new()?.breaks("PN-CIL-013", "tc qdisc del dev $HOSTIF clsact", "taken"))
}

fn pn_cil_014() -> Option<Proven> {
    Some(Cilium::new()?.breaks(
        "PN-CIL-014",
        "tc filter del dev $HOSTIF ingress
         tc filter add dev $HOSTIF egress prio 1 bpf da object-pinned /sys/fs/bpf/cil_from_container",
        "tc filter del dev $HOSTIF egress; taken",
    ))
}

/// By tc twice; by tc and by tcx, as an interrupted upgrade leaves it.
fn pn_cil_015() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let host = Handle::open(Path::new(&cilium.node.machine.netns())).unwrap();
    let link = std::cell::Cell::new(None);
    let attach = || link.set(host.run(|| bpf::attach_tcx(&cilium.from_container, 50)).unwrap());
    attach();
    if link.take().is_some() {
        let _ = cilium.node.proves("PN-CIL-015", attach, || drop(link.take()));
    }
    Some(cilium.breaks(
        "PN-CIL-015",
        "tc filter add dev $HOSTIF ingress prio 2 bpf da object-pinned /sys/fs/bpf/cil_from_container",
        "tc filter del dev $HOSTIF ingress prio 2",
    ))
}

fn pn_cil_016() -> Option<Proven> {
    let cilium = Cilium::new()?;
    bpf::pin(&bpf::classifier("observer"), &cilium.node.machine.root("sys/fs/bpf/observer"));
    cilium.node.run("tc filter add dev $HOSTIF ingress prio 5 bpf da object-pinned /sys/fs/bpf/observer");
    cilium.is_well();
    cilium.node.run("tc filter del dev $HOSTIF ingress prio 5");
    Some(cilium.breaks(
        "PN-CIL-016",
        "tc filter del dev $HOSTIF ingress; tc filter add dev $HOSTIF ingress prio 1 bpf da object-pinned /sys/fs/bpf/observer
         tc filter add dev $HOSTIF ingress prio 2 bpf da object-pinned /sys/fs/bpf/cil_from_container",
        "tc filter del dev $HOSTIF ingress; taken",
    ))
}

fn pn_cil_017() -> Option<Proven> {
    let cilium = Cilium::with_endpoint_routes()?;
    Some(cilium.breaks("PN-CIL-017", "tc filter del dev $HOSTIF egress", "given"))
}

fn pn_cil_018() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let endpoint = cilium.endpoint(WEB);
    Some(cilium.node.proves("PN-CIL-018", || cilium.remove_local(&endpoint), || cilium.write_local(&endpoint)))
}

fn pn_cil_019() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let right = cilium.endpoint(WEB);
    let mac = json!("02:00:00:00:00:01");
    let proven = [("interface-index", json!(56)), ("mac", mac.clone()), ("host-mac", mac)].map(|(which, wrong)| {
        let mut endpoint = right.clone();
        endpoint["status"]["networking"][which] = wrong;
        cilium.node.proves("PN-CIL-019", || cilium.write_local(&endpoint), || cilium.write_local(&right))
    });
    proven.into_iter().last()
}

fn pn_cil_020() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let gone = gone(&cilium);
    cilium.know_all_but_local(&gone);
    Some(cilium.node.proves("PN-CIL-020", || cilium.write_local(&gone), || cilium.remove_local(&gone)))
}

fn pn_cil_021() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let web = cilium.endpoint(WEB);
    Some(cilium.node.proves("PN-CIL-021", || cilium.believe(&web, 2), || cilium.believe(&web, 44_460)))
}

fn pn_cil_022() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let programs = &cilium.maps.programs;
    let mends = || programs.insert_program(WEB, &cilium.from_container);
    Some(cilium.node.proves("PN-CIL-022", || programs.remove(&WEB.to_le_bytes()), mends))
}

fn pn_cil_023() -> Option<Proven> {
    let cilium = Cilium::new()?;
    cilium.beat(5.0);
    cilium.is_well();
    Some(cilium.node.proves("PN-CIL-023", || cilium.beat(60.0), || cilium.beat(-3600.0)))
}

/// Counters that grow while they are looked at, beside something to look twice for; and those of a policy, which are a
/// policy's business.
fn pn_cil_024() -> Option<Proven> {
    let cilium = Cilium::new()?;
    cilium.drop_packets(140, 1_000_000);
    let broken = || {
        cilium.node.run("resolv 'nameserver 198.51.100.1' 'nameserver 198.51.100.3' 'nameserver 198.51.100.4' 'nameserver 198.51.100.5'");
    };
    let mended = || {
        cilium.node.run("resolv 'nameserver 198.51.100.1'");
    };
    let _ = while_growing(&cilium, 133, || cilium.node.proves("PN-DNS-005", broken, mended));
    Some(while_growing(&cilium, 140, || cilium.node.proves_beside("PN-CIL-024", &["PN-DNS-005"], broken, mended)))
}

/// While packets are being dropped for that reason.
fn while_growing<T>(cilium: &Cilium, reason: u8, look: impl FnOnce() -> T) -> T {
    struct Until<'a>(&'a AtomicBool);
    impl Drop for Until<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut packets = 1_000_000;
            while !done.load(Ordering::Relaxed) {
                packets += 100;
                cilium.drop_packets(reason, packets);
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        // Also when it panics: the scope waits for its threads.
        let _until = Until(&done);
        look()
    })
}

fn pn_cil_025() -> Option<Proven> {
    Some(Cilium::new()?.breaks(
        "PN-CIL-025",
        "mkdir -p /run/cilium/deleteQueue; echo '{\"container-id\":\"9b2abfc29cc4\"}' >/run/cilium/deleteQueue/aa.delete",
        "rm /run/cilium/deleteQueue/aa.delete",
    ))
}

fn pn_cil_026() -> Option<Proven> {
    Some(Cilium::new()?.breaks(
        "PN-CIL-026",
        "mv /run/cilium/cilium.sock /run/cilium/away.sock",
        "mv /run/cilium/away.sock /run/cilium/cilium.sock",
    ))
}

fn pn_cil_027() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let unreached = json!({"state": "Failure", "msg": "Get https://10.96.0.1: connection refused"});
    let stale = json!({"state": "Warning", "msg": "stale"});
    let proven = [("cilium", stale), ("kubernetes", unreached)]
        .map(|(part, said)| cilium.says("PN-CIL-027", |healthz, _| healthz[part] = said));
    proven.into_iter().last()
}

fn pn_cil_028() -> Option<Proven> {
    let failing = json!({"name": "neighbor-table-refresh", "uuid": "x", "configuration": {},
        "status": {"consecutive-failure-count": 5, "failure-count": 5, "last-failure-msg": "no route to host",
                   "last-success-timestamp": "2026-11-23T23:01:28.419Z"}});
    let fails = |healthz: &mut Value, _: &mut Value| healthz["controllers"].as_array_mut().unwrap().push(failing);
    Some(Cilium::new()?.says("PN-CIL-028", fails))
}

fn pn_cil_029() -> Option<Proven> {
    let cilium = Cilium::new()?;
    let server = crate::kube::on(&cilium.node);
    let noted = |cidr: &'static str| {
        server.change("/apis/cilium.io/v2/ciliumnodes", move |nodes| {
            nodes[0]["spec"]["ipam"]["podCIDRs"] = json!([cidr])
        });
    };
    Some(cilium.node.proves("PN-CIL-029", || noted("10.244.9.0/24"), || noted("10.244.1.0/24")))
}

fn pn_cil_030() -> Option<Proven> {
    Some(Cilium::new()?.says("PN-CIL-030", |healthz, _| {
        healthz["cluster"]["ciliumHealth"] = json!({"state": "Warning", "msg": "2/3 nodes reachable"});
    }))
}

fn pn_cil_032() -> Option<Proven> {
    let audits = |endpoint: &mut Value| endpoint["spec"]["options"]["PolicyAuditMode"] = json!("Enabled");
    Some(Cilium::new()?.says_of_web("PN-CIL-032", audits))
}
