//! containerd with podnet as its plugin, put in place by `install-cni`, and Debian's portmap chained behind it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use podnet::cni::cache::{Cache, Entry};
use podnet::netns::Handle;

use crate::host::names;
use crate::support::containerd::{Containerd, Plugins};
use crate::support::cri::{Cri, Pod};
use crate::support::prerequisite;
use crate::support::scratch::Scratch;
use crate::support::shell::{json, run, succeed, wait_for};
use crate::support::subnet::Subnet;

const HOST_PORT: i32 = 18_080;
const PORT: i32 = 8080;

/// The plugin's places are below the scratch directory, and its addresses are the test's own; the network is that of
/// `install-cni`, with a log, under a name of the test's own.
fn install(scratch: &Scratch, subnet: &Subnet) -> Plugins {
    let directory = scratch.join("bin");
    fs::create_dir(&directory).unwrap();
    for kind in ["loopback", "portmap"] {
        symlink(Path::new("/usr/lib/cni").join(kind), directory.join(kind)).unwrap();
    }
    let (bin, networks) = (scratch.text("bin"), scratch.text("cni"));
    run(env!("CARGO_BIN_EXE_podnet"), &["install-cni", "--bin-dir", &bin, "--conf-dir", &networks]);
    let file = scratch.join("cni/10-podnet.conflist");
    let mut network: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(network["plugins"][1]["type"], "portmap");
    network["plugins"][0]["logFile"] = scratch.text("podnet.log").into();
    network["name"] = subnet.bridge().into();
    fs::write(file, network.to_string()).unwrap();
    let ipv6 = subnet.address(0).split('.').nth(2).map(|number| format!("fd77:{number}::/64")).unwrap();
    let root = scratch.text("store");
    run(env!("CARGO_BIN_EXE_podnet"), &["ipam", "pool", "add", "default", &subnet.cidr(), &ipv6, "--root", &root]);
    let place = |variable: &str, name: &str| format!("{variable}={}", scratch.text(name));
    Plugins { directory, environment: vec![place("PODNET_ROOT", "store"), place("PODNET_RUN", "run-podnet")] }
}

fn start() -> Option<Containerd> {
    if !prerequisite::root_and(&["ip", "iptables", "nsenter", "busybox"]) {
        return None;
    }
    Containerd::start_with_images_on(install)
}

fn address(cri: &Cri, pod: &Pod) -> String {
    let netns = cri.netns_path(pod).unwrap();
    let netns = format!("--net={}", netns.display());
    let link = &json("nsenter", &[&netns, "ip", "-j", "-4", "addr", "show", "eth0"])[0];
    link["addr_info"][0]["local"].as_str().unwrap().to_owned()
}

/// What a web server says, asked from a netns, or from the host.
fn fetch(netns: Option<&Path>, server: &str) -> std::io::Result<String> {
    let ask = || {
        let patience = Duration::from_secs(3);
        let mut stream = TcpStream::connect_timeout(&server.parse().unwrap(), patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(b"GET /passwd HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match netns {
        Some(path) => Handle::open(path).unwrap().run(ask).unwrap(),
        None => ask(),
    }
}

fn served(netns: Option<&Path>, server: &str) {
    let answer = wait_for(server, Duration::from_secs(20), || fetch(netns, server).ok());
    assert!(answer.contains("root:x:0:0"), "{answer}");
}

fn web_server(cri: &Cri, pod: &Pod, name: &str) -> String {
    cri.run_container(pod, name, &["/bin/httpd", "-f", "-p", &PORT.to_string(), "-h", "/etc"])
}

fn held(containerd: &Containerd) -> Vec<String> {
    let pool = containerd.scratch.join("store/networks/default");
    names(&pool).filter(|name| name.parse::<std::net::IpAddr>().is_ok()).collect()
}

fn nothing_is_left(containerd: &Containerd) {
    assert_eq!(held(containerd), Vec::<String>::new());
    assert_eq!(names(&containerd.scratch.join("run-podnet/attachments")).count(), 0);
    let routes = json("ip", &["-j", "route"]);
    let routes =
        routes.as_array().unwrap().iter().filter(|route| containerd.subnet.contains(route["dst"].as_str().unwrap()));
    assert_eq!(routes.count(), 0, "with them, the interfaces are gone");
    let cached = Cache::open(Path::new("/var/lib/cni")).entries().unwrap();
    let own = |entry: &&Entry| entry.cached.as_ref().is_ok_and(|cached| cached.network == containerd.subnet.bridge());
    assert_eq!(cached.iter().filter(own).count(), 0);
}

#[test]
fn pods_come_up_talk_restart_and_go() {
    let Some(mut containerd) = start() else { return };
    let cri = containerd.cri();
    let server = cri.run_pod_publishing("default", "server", HOST_PORT, PORT);
    let client = cri.run_pod("default", "client");
    let container = web_server(&cri, &server, "web");
    let in_client = cri.netns_path(&client).unwrap();
    let at_pod = format!("{}:{PORT}", address(&cri, &server));
    let at_host = format!("{}:{HOST_PORT}", containerd.subnet.address(1));
    served(Some(&in_client), &at_pod);
    served(Some(&in_client), &at_host);
    served(None, &at_pod);

    // The container restarts; the network is the pod's and stays.
    cri.stop_container(&container);
    fetch(Some(&in_client), &at_pod).unwrap_err();
    web_server(&cri, &server, "again");
    served(Some(&in_client), &at_pod);

    // The daemon is killed and comes again; pods go on without it, and it can remove them.
    containerd.daemon.kill();
    served(Some(&in_client), &at_pod);
    containerd.revive();
    let cri = containerd.cri();
    let third = cri.run_pod("default", "third");
    for server in [&at_pod, &at_host] {
        served(cri.netns_path(&third).as_deref(), server);
    }
    for pod in [&server, &client, &third] {
        cri.remove_pod(&pod.sandbox);
    }
    fetch(None, &at_host).unwrap_err();
    nothing_is_left(&containerd);

    let log = fs::read_to_string(containerd.scratch.join("podnet.log")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let adds: Vec<_> = lines.iter().filter(|line| line["command"] == "ADD").map(|line| &line["podName"]).collect();
    assert_eq!(adds, ["server", "client", "third"]);
}

#[test]
fn twenty_pods_come_and_go_at_once() {
    const PODS: usize = 20;
    let Some(containerd) = start() else { return };
    let one = |nth: usize| {
        let cri = containerd.cri();
        let pod = cri.run_pod("default", &format!("pod-{nth}"));
        (address(&cri, &pod), pod)
    };
    let pods: Vec<(String, Pod)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PODS).map(|nth| scope.spawn(move || one(nth))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let addresses: BTreeSet<&String> = pods.iter().map(|(address, _)| address).collect();
    assert_eq!(addresses.len(), PODS, "each has an address of its own");
    for (address, _) in &pods {
        succeed(Command::new("busybox").args(["ping", "-c", "1", "-W", "5", address]));
    }
    std::thread::scope(|scope| {
        for (_, pod) in &pods {
            let containerd = &containerd;
            scope.spawn(move || containerd.cri().remove_pod(&pod.sandbox));
        }
    });
    nothing_is_left(&containerd);
}

/// What a reboot leaves: the store and libcni's cache, but no process, no netns and nothing in /run.
#[test]
fn after_a_reboot_the_pods_of_before_can_be_removed() {
    let Some(mut containerd) = start() else { return };
    let cri = containerd.cri();
    let pods = [cri.run_pod("default", "a"), cri.run_pod("default", "b")];
    let netns: Vec<PathBuf> = pods.iter().map(|pod| cri.netns_path(pod).unwrap()).collect();
    let processes: Vec<u32> = pods.iter().map(|pod| cri.sandbox_pid(pod)).collect();
    containerd.daemon.kill();
    for pid in processes {
        let pid = nix::unistd::Pid::from_raw(pid as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        wait_for("the pod's process to end", Duration::from_secs(10), || {
            let state = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            (state.is_empty() || state.contains("State:\tZ")).then_some(())
        });
    }
    for path in netns {
        nix::mount::umount2(&path, nix::mount::MntFlags::MNT_DETACH).unwrap();
        fs::remove_file(path).unwrap();
    }
    fs::remove_dir_all(containerd.scratch.join("run-podnet")).unwrap();
    assert_eq!(held(&containerd).len(), 4, "an address of each family for each");
    containerd.revive();
    let cri = containerd.cri();
    pods.iter().for_each(|pod| cri.remove_pod(&pod.sandbox));
    nothing_is_left(&containerd);
    let pod = cri.run_pod("default", "new");
    assert!(containerd.subnet.contains(&address(&cri, &pod)));
}
