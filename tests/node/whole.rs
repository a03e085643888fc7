//! What is told of one running container, against what there is.

use std::net::{IpAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::docker::{Docker, NETWORK};
use crate::support::facts;
use crate::support::image;
use crate::support::podnet::{interface, on_docker};
use crate::support::scratch::Scratch;
use crate::support::shell::{self, run, wait_for};

const OPTIONS: [&str; 8] =
    ["--network", NETWORK, "--label", "team=net", "--dns-search", "svc.test", "--add-host", "db.test:192.0.2.7"];

#[test]
fn a_container_that_serves() {
    let Some(docker) = Docker::start() else { return };
    let id = docker.run_with("whole", &OPTIONS, &["/bin/busybox", "httpd", "-f", "-p", "8080"]);
    let pid = docker.pid("whole");
    let podnet = on_docker(docker.socket());
    let document = podnet.inspect("whole");
    let address: IpAddr = interface(&document, "eth0")["addresses"][0]["address"].as_str().unwrap().parse().unwrap();
    let connect = || TcpStream::connect_timeout(&(address, 8080).into(), Duration::from_secs(1)).ok();
    let client = wait_for("an answer", Duration::from_secs(10), connect);

    let document = podnet.inspect("whole");
    let workload = &document["workload"];
    let version = docker.cli(&["version", "--format", "{{.Server.Version}}"]);
    assert_eq!((&workload["image"], &workload["runtimeVersion"]), (&json!(image::BUSYBOX), &json!(version.trim())));
    assert_eq!((&workload["id"], &workload["pid"]), (&json!(id), &json!(pid)));
    assert_eq!(document["netns"]["nsid"], id_by_the_host(&document));
    assert_eq!(document["dns"]["nameservers"], json!(["127.0.0.11"]), "Docker's own resolver");
    assert_eq!(document["dns"]["search"], json!(["svc.test"]));
    let hosts = document["dns"]["hosts"].as_array().unwrap();
    assert!(hosts.contains(&json!({"address": "192.0.2.7", "names": ["db.test"]})), "{hosts:#?}");
    let net = format!("--net=/proc/{pid}/ns/net");
    let limit = run("nsenter", &[&net, "cat", "/proc/sys/net/netfilter/nf_conntrack_max"]);
    assert_eq!(document["sysctls"]["conntrack"]["max"].to_string(), limit.trim());
    let listeners = document["sockets"]["listeners"].as_array().unwrap();
    let serving = |socket: &&Value| socket["local"].as_str().unwrap().ends_with(":8080");
    let server = &listeners.iter().find(serving).unwrap_or_else(|| panic!("{listeners:#?}"))["process"];
    assert_eq!(*server, json!({"pid": pid, "name": "busybox"}));

    let wide = podnet.run(&["inspect", "whole", "-o", "wide"]).stdout;
    let line = |parts: &[&str]| wide.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    let remote = client.local_addr().unwrap().to_string();
    assert!(line(&["team=net"]) && line(&["established", &remote]), "{remote} in\n{wide}");
    assert!(line(&["nsid "]), "{wide}");
}

/// As `ip link` tells of the host's end.
fn id_by_the_host(document: &Value) -> Value {
    let end = interface(document, "eth0")["peer"]["name"].as_str().unwrap().to_owned();
    shell::json("ip", &["-json", "link", "show", "dev", &end])[0]["link_netnsid"].clone()
}

#[test]
fn a_list_in_every_order_and_by_names() {
    let Some(docker) = Docker::start() else { return };
    let ids: Vec<String> = ["web-c", "web-a", "web-b"].iter().map(|name| docker.run(name)).collect();
    let podnet = on_docker(docker.socket());
    let sorted = |by: &str, key: &dyn Fn(&Value) -> Value| {
        let list = podnet.json(&["list", "--runtime", "docker", "--sort", by]);
        let items = list["items"].as_array().unwrap().clone();
        let ours = items.into_iter().filter(|item| ids.iter().any(|id| item["workload"]["id"] == **id));
        ours.map(|item| key(&item)).collect::<Vec<Value>>()
    };
    assert_eq!(sorted("name", &|item| item["workload"]["name"].clone()), ["web-a", "web-b", "web-c"]);
    for (by, key) in [("pid", "/workload/pid"), ("netns", "/netns/inode")] {
        let keys = sorted(by, &|item| item.pointer(key).unwrap().clone());
        assert!(keys.len() == 3 && keys.is_sorted_by_key(|key| key.as_u64()), "{by}: {keys:?}");
    }
    let names = podnet.run(&["list", "--runtime", "docker", "-o", "name"]).stdout;
    for id in &ids {
        let spelling = format!("docker://{id}");
        assert!(names.lines().any(|line| line == spelling), "{spelling} in\n{names}");
        assert_eq!(podnet.inspect(&spelling)["workload"]["id"], **id);
    }
}

#[test]
fn inside_with_its_own_hosts_and_the_users_own_shell() {
    let Some(docker) = Docker::start() else { return };
    docker.run_with("inside", &OPTIONS, &[]);
    let podnet = on_docker(docker.socket());
    let hosts = podnet.run(&["exec", "inside", "--dns", "--", "cat", "/etc/hosts"]).stdout;
    assert!(hosts.contains("db.test"), "{hosts}");
    let scratch = Scratch::new();
    let shell = scratch.write("shell", "#!/bin/sh\nreadlink /proc/self/ns/net\n");
    std::fs::set_permissions(&shell, std::fs::Permissions::from_mode(0o755)).unwrap();
    let podnet = podnet.env("SHELL", shell.to_str().unwrap().to_owned());
    let ran = podnet.run(&["exec", "inside"]);
    assert_eq!(ran.stdout, format!("net:[{}]\n", facts::netns(docker.pid("inside"))), "{ran:?}");
}
