//! Pods: several containers in one netns, and those in the host's.

use serde_json::Value;

use crate::support::containerd::Containerd;
use crate::support::cri::Pod;
use crate::support::facts;
use crate::support::podnet::{interface, on_containerd};

#[test]
fn two_containers_share_one_netns() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_pod("default", "pair");
    let ids = ["app", "envoy"].map(|name| cri.run_container(&pod, name, &[]));
    let podnet = on_containerd(containerd.socket());
    let netns = facts::inode(cri.netns_path(&pod).unwrap());
    for (id, name) in ids.iter().zip(["app", "envoy"]) {
        assert_eq!(facts::netns(cri.pid(id)), netns);
        let document = podnet.inspect(&format!("default/pair/{name}"));
        assert_eq!(document["workload"]["id"], **id);
        assert_eq!(document["netns"]["inode"], netns);
        assert_eq!(podnet.listed(id)["netns"]["inode"], netns);
        let others = document["sharedWith"].as_array().unwrap();
        let other = ids.iter().find(|other| other != &id).unwrap();
        assert!(others.iter().any(|workload| workload["id"] == **other), "{others:#?}");
    }
    let paths = podnet.inspect("default/pair")["netns"]["paths"].clone();
    assert_eq!(paths[0], cri.netns_path(&pod).unwrap().to_str().unwrap().trim_start_matches("/var"));
}

#[test]
fn a_host_network_pod_is_a_normal_answer() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_host_pod("kube-system", "proxy");
    let id = cri.run_container(&pod, "proxy", &[]);
    let podnet = on_containerd(containerd.socket());
    let document = podnet.inspect("kube-system/proxy");
    assert_eq!(document["workload"]["id"], id);
    assert_eq!(document["netns"]["isHost"], true);
    assert_eq!(document["netns"]["inode"], facts::inode("/proc/self/ns/net"));
    interface(&document, "lo");
    assert_eq!(podnet.listed(&id)["addresses"], Value::Array(vec![]), "the node's addresses are not the pod's");
}

#[test]
fn a_host_network_pod_is_listed_and_entered_as_the_host() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_host_pod("kube-system", "proxy");
    let id = cri.run_container(&pod, "kube-proxy", &[]);
    let podnet = on_containerd(containerd.socket());
    let item = podnet.listed(&id);
    assert_eq!((&item["netns"]["isHost"], &item["hostInterface"]), (&true.into(), &Value::Null), "{item:#}");
    let list = podnet.run(&["list", "-n", "kube-system"]);
    let row: Vec<&str> = list.stdout.lines().next().unwrap().split_whitespace().collect();
    let pid = cri.pid(&id).to_string();
    assert_eq!(row[..6], ["kube-system", "proxy", "kube-proxy", &id[..12], &pid, "host"], "{list:?}");
    let host = format!("net:[{}]\n", facts::inode("/proc/self/ns/net"));
    for target in ["kube-system/proxy", "kube-proxy", &id] {
        let ran = podnet.run(&["exec", target, "--", "readlink", "/proc/self/ns/net"]);
        assert_eq!((ran.status, &ran.stdout), (0, &host), "{target}: {}", ran.stderr);
    }
    // It has no network of its own to run something in.
    let ran = podnet.run(&["exec", "--all", "-o", "json", "--", "readlink", "/proc/self/ns/net"]);
    assert!(!ran.stdout.contains(host.trim()), "{ran:?}");
}

#[test]
fn a_pod_that_anothers_name_begins_with_is_still_that_pod() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let podnet = on_containerd(containerd.socket());
    let pods = ["front", "front-1", "front-12"].map(|name| cri.run_pod("shop", name));
    for pod in &pods {
        cri.run_container(pod, "app", &[]);
    }
    let inode = |pod: &Pod| facts::inode(cri.netns_path(pod).unwrap());
    for pod in &pods {
        for target in [pod.name.clone(), format!("shop/{}", pod.name), format!("pod:{}", pod.name)] {
            assert_eq!(podnet.inspect(&target)["netns"]["inode"], inode(pod), "{target}");
        }
    }
    let ran = podnet.run(&["inspect", "shop/fron", "-o", "json"]);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    let candidates = error["error"]["candidates"].as_array().unwrap();
    let picked = candidates.iter().map(|candidate| podnet.inspect(candidate["spelling"].as_str().unwrap()));
    let picked: Vec<Value> = picked.map(|document| document["netns"]["inode"].clone()).collect();
    assert_eq!((ran.status, picked), (4, pods.iter().map(|pod| inode(pod).into()).collect()), "{error:#}");
}

#[test]
fn a_container_that_stopped_is_said_to_be_so() {
    let Some(containerd) = Containerd::start_with_images() else { return };
    let cri = containerd.cri();
    let pod = cri.run_pod("default", "done");
    let id = cri.run_container(&pod, "job", &[]);
    cri.stop_container(&id);
    let podnet = on_containerd(containerd.socket());
    assert_eq!(podnet.inspect(&id)["workload"]["state"], "stopped");
    assert_eq!(podnet.listed(&id)["state"], "stopped");
    let running = podnet.json(&["list"]);
    assert!(running["items"].as_array().unwrap().iter().all(|item| item["workload"]["id"] != id), "{running:#}");
}
