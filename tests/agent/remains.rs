//! The agent is down: its endpoints come from the state directory and from the pinned maps, marked as such.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::pod::{ADDRESS, Pod};
use crate::stand_in::{StandIn, recording};
use crate::support::bpf::{self, HASH, LPM_TRIE, Map, PERCPU_HASH};
use crate::support::podnet::{Podnet, source};
use crate::support::prerequisite;
use crate::support::scratch::Scratch;

/// A node whose agent left its directory and, where they were made, its maps.
struct Left {
    scratch: Scratch,
    bpf: Option<PathBuf>,
}

impl Left {
    fn new() -> Self {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.join("cilium/state")).unwrap();
        Self { scratch, bpf: None }
    }

    fn with_maps() -> Self {
        let left = Self::new();
        let bpf = bpf::mounted(&left.scratch);
        Self { bpf: Some(bpf), ..left }
    }

    fn state(&self, file: &str, content: &str) {
        self.scratch.write(&format!("cilium/state/{file}"), content);
    }

    fn map(&self, name: &str, kind: u32, sizes: (usize, usize)) -> Map {
        Map::pinned(&self.bpf.as_ref().unwrap().join("tc/globals").join(name), kind, sizes)
    }

    /// The maps as they were on the recorded node.
    fn recorded_maps(&self) {
        for (recorded, name, kind, sizes) in
            [("map-lxc", "cilium_lxc", HASH, (20, 48)), ("map-ipcache", "cilium_ipcache", LPM_TRIE, (24, 12))]
        {
            let map = self.map(name, kind, sizes);
            for entry in recording(&format!("k8s/{recorded}")).as_array().unwrap() {
                map.insert(&bytes(&entry["key"]), &bytes(&entry["value"]));
            }
        }
    }

    fn podnet(&self) -> Podnet {
        on_bpf(Podnet::with(&[("CILIUM_SOCK", self.scratch.text("cilium/cilium.sock"))]), self.bpf.as_ref())
    }
}

/// podnet that finds these maps in the usual place.
fn on_bpf(podnet: Podnet, bpf: Option<&PathBuf>) -> Podnet {
    const MOUNTED: &str = r#"mount --rbind "$0" /sys/fs/bpf && exec "$@""#;
    match bpf {
        Some(bpf) => podnet.through(&["unshare", "--mount", "sh", "-c", MOUNTED, bpf.to_str().unwrap()]),
        None => podnet,
    }
}

fn bytes(hexadecimal: &Value) -> Vec<u8> {
    let text = hexadecimal.as_str().unwrap();
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// As the agent writes an endpoint down.
fn written(id: u64, pod: &str, address: &str) -> Value {
    json!({
        "ID": id, "ContainerName": "", "dockerID": format!("{id:064x}"), "DockerNetworkID": "", "IfName": format!("lxc{id}"),
        "IfIndex": 50, "ContainerIfName": "eth0", "LXCMAC": "52:1e:f9:cb:16:47", "NodeMAC": "42:3d:83:68:7d:d1",
        "IPv4": address, "IPv6": "", "IPv4IPAMPool": "default", "IPv6IPAMPool": "",
        "SecLabel": {"id": 44460, "labels": {"app": {"key": "app", "value": "web", "source": "k8s"}}, "labelsSHA256": ""},
        "Options": {"map": {"Debug": 0}}, "K8sPodName": pod, "K8sNamespace": "demo", "DNSHistory": {},
        "DatapathConfiguration": {"require-arp-passthrough": false},
    })
}

fn header(json: &Value) -> String {
    let encoded = STANDARD.encode(json.to_string());
    format!(
        "/*\n * CILIUM_BASE64_1.15.0:{encoded}\n * \n * Container ID: {}\n */\n\n#define LXC_ID 7\n",
        json["dockerID"].as_str().unwrap()
    )
}

#[test]
fn both_forms_of_the_state_directory_are_read() {
    let left = Left::new();
    left.state("157/ep_config.json", &written(157, "web1", "10.0.0.7").to_string());
    left.state("158/ep_config.h", &header(&written(158, "web2", "10.0.0.8")));
    left.state("159/ep_config.h", "/*\n * CILIUM_BASE64_1.9.0:%%%\n * Container ID: abc\n * IPv6 address: ::\n * IPv4 address: 10.0.0.9\n * Identity: 7\n * NodeMAC: 42:3d:83:68:7d:d1\n */\n");
    left.state("158_next_fail/ep_config.h", "");
    let document = left.podnet().json(&["endpoint", "list"]);
    let items = document["items"].as_array().unwrap();
    assert_eq!(items.len(), 3, "{document:#}");
    for (item, id, pod, address) in [(&items[0], 157, "web1", "10.0.0.7"), (&items[1], 158, "web2", "10.0.0.8")] {
        assert_eq!(item["id"], id);
        assert_eq!(item["toldBy"], "state-directory");
        assert_eq!(item.get("state"), None, "no agent told a state");
        assert_eq!(item["pod"], json!({"namespace": "demo", "name": pod}));
        assert_eq!((&item["addresses"], &item["pools"]), (&json!([address]), &json!({address: "default"})));
        assert_eq!((&item["identity"], &item["labels"]), (&json!(44460), &json!(["k8s:app=web"])));
        assert_eq!(
            (&item["interface"], &item["ifindex"], &item["containerInterface"]),
            (&json!(format!("lxc{id}")), &json!(50), &json!("eth0"))
        );
        assert_eq!((&item["mac"], &item["hostMac"]), (&json!("52:1e:f9:cb:16:47"), &json!("42:3d:83:68:7d:d1")));
        assert_eq!(item["containerId"], format!("{id:064x}"));
    }
    assert!(items[1]["log"][0]["message"].as_str().unwrap().contains("158_next_fail"));
    assert_eq!(
        (&items[2]["identity"], &items[2]["addresses"], &items[2]["containerId"]),
        (&json!(7), &json!(["10.0.0.9"]), &json!("abc"))
    );
    assert_eq!(source(&document, "cilium agent")["status"], "failed");
    assert_eq!(source(&document, "cilium state")["status"], "present");
    let text = left.podnet().run(&["endpoint", "list"]).stdout;
    assert!(text.contains("(on disk)") && text.contains("failed: cannot connect to"), "{text}");
}

#[test]
fn garbage_in_the_state_directory_spoils_nothing_and_is_named() {
    let left = Left::new();
    left.state("1/ep_config.json", &written(1, "good", "10.0.0.1").to_string());
    left.state("2/ep_config.json", &written(2, "half", "10.0.0.2").to_string()[..200]);
    left.state("3/ep_config.json", "");
    left.state("4/other", "");
    left.state("5/ep_config.h", "/* nothing */");
    left.state("6/ep_config.json", "{\"brand\": \"new\"}");
    left.state("7/ep_config.h", "\u{0}\u{1}\u{2}");
    left.state("templates/ep_config.json", "{}");
    fs::create_dir(left.scratch.join("cilium/state/8")).unwrap();
    nix::unistd::mkfifo(&left.scratch.join("cilium/state/8/ep_config.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(left.scratch.join("cilium/state/9")).unwrap();
    symlink("/etc/passwd", left.scratch.join("cilium/state/9/ep_config.json")).unwrap();
    fs::create_dir_all(left.scratch.join("cilium/state/10/ep_config.json")).unwrap();
    let document = left.podnet().json(&["endpoint", "list"]);
    let ids: Vec<_> = document["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1]);
    let source = source(&document, "cilium state");
    assert_eq!(source["status"], "failed");
    let detail = source["detail"].as_str().unwrap();
    for id in 2..=10 {
        assert!(detail.contains(&format!("endpoint {id} in ")), "{id}: {detail}");
    }
}

#[test]
fn maps_are_read_as_they_were_recorded() {
    if !prerequisite::root_and(&["unshare"]) {
        return;
    }
    let left = Left::with_maps();
    left.recorded_maps();
    left.state("1408/ep_config.json", &written(1408, "web1", ADDRESS).to_string());
    let document = left.podnet().json(&["endpoint", "list"]);
    let items = document["items"].as_array().unwrap();
    let told: Vec<_> =
        items.iter().map(|item| (item["id"].as_u64().unwrap(), item["toldBy"].as_str().unwrap())).collect();
    assert_eq!(told, [(9, "map"), (49, "map"), (782, "map"), (1408, "state-directory")]);
    let expected = json!({
        "id": 49, "toldBy": "map", "identity": 43031, "labels": [], "addresses": ["10.244.1.2"], "ifindex": 54,
        "mac": "ea:a9:b2:20:c8:74", "hostMac": "aa:ea:b2:bd:a9:e1",
    });
    assert_eq!(items[1], expected);
    assert_eq!(source(&document, "cilium maps")["detail"], "7 addresses in cilium_lxc");
}

#[test]
fn unknown_layouts_are_named_and_never_misread() {
    if !prerequisite::root_and(&["unshare"]) {
        return;
    }
    for (name, kind, sizes, words) in [
        ("cilium_lxc", HASH, (24, 48), "cilium_lxc has keys of 24 and values of 48 bytes"),
        ("cilium_lxc", HASH, (20, 56), "cilium_lxc has keys of 20 and values of 56 bytes"),
        ("cilium_lxc", PERCPU_HASH, (20, 48), "of a kind that podnet does not read"),
        ("cilium_ipcache_v2", LPM_TRIE, (24, 32), "cilium_ipcache_v2 has keys of 24 and values of 32 bytes"),
    ] {
        let left = Left::with_maps();
        let map = left.map(name, kind, sizes);
        if kind == HASH {
            map.insert(&vec![1; sizes.0], &vec![1; sizes.1]);
        }
        left.state("1/ep_config.json", &written(1, "good", "10.0.0.1").to_string());
        let document = left.podnet().json(&["endpoint", "list"]);
        assert_eq!(document["items"].as_array().unwrap().len(), 1, "{name} {sizes:?}");
        let source = source(&document, "cilium maps");
        assert_eq!(source["status"], "failed");
        assert!(source["detail"].as_str().unwrap().contains(words), "{source}");
    }
}

#[test]
fn what_the_datapath_goes_by_is_compared_with_the_agent() {
    if !prerequisite::root_and(&["ip", "unshare"]) {
        return;
    }
    let pod = Pod::new();
    let endpoint = pod.endpoint();
    let left = Left::with_maps();
    left.recorded_maps();
    // A newer ipcache beside an older one: the newer counts.
    let newer = left.map("cilium_ipcache_v2", LPM_TRIE, (24, 24));
    let key = [&64u32.to_le_bytes()[..], &[0, 0, 0, 1, 10, 244, 1, 249], &[0; 12]].concat();
    newer.insert(&key, &[&23_990u32.to_le_bytes()[..], &[0; 20]].concat());
    let agent = StandIn::start(pod.agent(&endpoint));
    let podnet = on_bpf(agent.podnet(), left.bpf.as_ref());
    let document = podnet.json(&["inspect", &pod.target(), "--runtime", "none"]);
    let told = |by: &str, value: &str| json!({"by": by, "value": value});
    let differences = document["endpoint"]["disagreements"].as_array().unwrap();
    let identity = json!({"what": "identity", "told": [told("ipcache", "23990"), told("agent", "44460")]});
    assert!(differences.contains(&identity), "{differences:#?}");
    // The recorded entry has the interface that the recorded pod had.
    let ifindex = endpoint["status"]["networking"]["interface-index"].to_string();
    let ifindex = json!({"what": "ifindex", "told": [told("cilium_lxc", "50"), told("agent", &ifindex)]});
    assert!(differences.contains(&ifindex), "{differences:#?}");
}

#[test]
fn the_deletion_queue_is_shown() {
    let left = Left::new();
    left.state("1/ep_config.json", &written(1, "good", "10.0.0.1").to_string());
    let queue = |name: &str, content: &str| left.scratch.write(&format!("cilium/deleteQueue/{name}"), content);
    let batch = queue("aa.delete", r#"{"container-id":"9b2abfc29cc4"}"#);
    queue("bb.delete", "cni-attachment-id:9b2abfc29cc4:eth0");
    queue("cc.delete", "{\"container");
    queue("lockfile", "");
    let document = left.podnet().json(&["endpoint", "list"]);
    let mut queued = document["queuedDeletes"].as_array().unwrap().clone();
    queued.sort_by_key(|delete| delete["file"].as_str().unwrap().to_owned());
    assert_eq!(queued.len(), 3, "{queued:#?}");
    assert_eq!((&queued[0]["containerId"], &queued[0]["file"]), (&json!("9b2abfc29cc4"), &json!(batch)));
    assert_eq!(queued[1]["endpoint"], "cni-attachment-id:9b2abfc29cc4:eth0");
    assert!(queued[2]["problem"].is_string());
    let text = left.podnet().run(&["endpoint", "list"]).stdout;
    assert!(text.contains("DELETES THAT WAIT FOR THE AGENT"), "{text}");
}
