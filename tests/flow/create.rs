//! What a person does with `create` and `delete`.

use serde_json::Value;

use crate::host::{Host, text};
use crate::support::fake_docker::FakeDocker;
use crate::support::namespace::Namespace;
use crate::support::prerequisite::root_and;
use crate::support::shell;

const TOOLS: [&str; 4] = ["ip", "nft", "ping", "nsenter"];

fn addresses(creation: &Value) -> Vec<String> {
    let ips = creation["result"]["ips"].as_array().unwrap().iter();
    ips.map(|ip| ip["address"].as_str().unwrap().split('/').next().unwrap().to_owned()).collect()
}

fn pings(netns: &str, address: &str) -> bool {
    let args = [&format!("--net=/run/netns/{netns}"), "ping", "-c", "3", "-i", "0.2", "-W", "2", address];
    std::process::Command::new("nsenter").args(args).output().unwrap().status.success()
}

#[test]
fn pods_reach_each_other_the_host_and_the_outside_and_nothing_is_left() {
    if !root_and(&TOOLS) {
        return;
    }
    let host = Host::new();
    // An outside that knows nothing of pods, and routes only back to the host.
    let outside = Namespace::new();
    host.netns.ip_all([
        format!("link add uplink mtu 1400 type veth peer name up netns {}", outside.name).as_str(),
        "link set uplink up",
        "addr add 198.51.100.2/24 dev uplink",
        "addr add 2001:db8:9::2/64 dev uplink nodad",
        "route add default via 198.51.100.1",
        "route add default via 2001:db8:9::1",
    ]);
    for words in ["link set dev up up", "addr add 198.51.100.1/24 dev up", "addr add 2001:db8:9::1/64 dev up nodad"] {
        shell::run("ip", &[&["-n", &outside.name][..], &words.split(' ').collect::<Vec<_>>()].concat());
    }
    let (one, two) = (host.name("a"), host.name("b"));
    let first = host.json(&["create", &one]);
    let second = host.json(&["create", &two]);
    assert_eq!(first["result"]["interfaces"][1]["mtu"], 1400, "the uplink's");
    for address in addresses(&second) {
        assert!(pings(&one, &address), "pod to pod {address}");
        let ping = host.run(host.command("ping", &["-c", "1", "-W", "2", &address]));
        assert!(ping.status.success(), "host to pod {address}");
    }
    for address in ["10.42.0.1", "fd42::1", "198.51.100.2", "198.51.100.1", "2001:db8:9::1"] {
        assert!(pings(&one, address), "pod to {address}");
    }
    for name in [&one, &two] {
        let deletion = host.json(&["delete", name]);
        assert_ne!(deletion["interfaces"][0]["steps"], serde_json::json!([]));
    }
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn the_result_is_what_the_kernel_holds() {
    if !root_and(&TOOLS) {
        return;
    }
    let host = Host::new();
    let name = host.name("a");
    let creation = host.json(&["create", &name, "--mac", "02:00:5e:00:53:01", "--mtu", "1300", "--ip", "10.42.0.77"]);
    assert!(addresses(&creation).contains(&"10.42.0.77".to_owned()));
    let link = &shell::json("ip", &["-n", &name, "-j", "addr", "show", "eth0"])[0];
    assert_eq!((&link["address"], &link["mtu"]), (&"02:00:5e:00:53:01".into(), &1300.into()));
    let inside: Vec<&str> = link["addr_info"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|info| info["scope"] == "global")
        .map(|info| info["local"].as_str().unwrap())
        .collect();
    assert_eq!(inside, addresses(&creation));
    let host_end = creation["result"]["interfaces"][0]["name"].as_str().unwrap();
    let outside = &host.netns.ip_json(&format!("link show {host_end}"))[0];
    assert_eq!(outside["ifalias"], format!("podnet {name}@eth0"));
    let route = &shell::json("ip", &["-n", &name, "-j", "route", "show", "default"])[0];
    assert_eq!((&route["gateway"], &route["dev"]), (&"10.42.0.1".into(), &"eth0".into()));
}

#[test]
fn a_host_that_got_its_way_out_by_advertisements_keeps_listening() {
    if !root_and(&TOOLS) {
        return;
    }
    let host = Host::new();
    for link in ["uplink", "other"] {
        host.netns.ip(&format!("link add {link} type veth peer name {link}-peer"));
        host.netns.ip(&format!("link set {link} up"));
        host.netns.ip(&format!("addr add 2001:db8:{}::2/64 dev {link} nodad", link.len()));
    }
    host.netns.ip("route add default via 2001:db8:6::1 dev uplink proto ra");
    host.json(&["create", &host.name("a"), "--mtu", "1400"]);
    let accepts = |link: &str| {
        let path = format!("/proc/sys/net/ipv6/conf/{link}/accept_ra");
        text(&host.run(host.command("cat", &[&path])).stdout).trim().to_owned()
    };
    assert_eq!((accepts("uplink"), accepts("other")), ("2".to_owned(), "1".to_owned()));
}

#[test]
fn a_step_that_fails_undoes_those_before_it() {
    if !root_and(&TOOLS) {
        return;
    }
    for step in podnet::flow::steps::ALL.into_iter().filter(|step| !step.name().starts_with("agent")) {
        let host = Host::new();
        let output = host.podnet(&["create", &host.name("a"), "--yes", "--fail-at", step.name()]);
        assert_eq!(output.status.code(), Some(1), "{}", step.name());
        assert!(text(&output.stderr).contains("all is undone"), "{}: {}", step.name(), text(&output.stderr));
        assert_eq!(host.leftovers(), Vec::<String>::new(), "after {}", step.name());
    }
}

#[test]
fn twice_is_refused_and_harms_nothing() {
    if !root_and(&TOOLS) {
        return;
    }
    let host = Host::new();
    let name = host.name("a");
    let first = host.json(&["create", &name]);
    let again = host.podnet(&["create", &name, "--yes"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains(&addresses(&first)[0]), "{}", text(&again.stderr));
    assert!(pings(&name, "10.42.0.1"), "the first still works");
    // Also when the journal was lost: the interface itself is in the way, and stays as it is.
    std::fs::remove_dir_all(host.scratch.join("run")).unwrap();
    let again = host.podnet(&["create", &name, "--yes"]);
    assert!(text(&again.stderr).contains("eth0"), "{}", text(&again.stderr));
    assert!(pings(&name, "10.42.0.1"), "the first still works");
    assert!(host.leftovers().iter().any(|left| left.contains(&addresses(&first)[0])), "its address is still its own");
}

#[test]
fn a_netns_that_is_there_is_given_a_network_and_stays() {
    if !root_and(&TOOLS) {
        return;
    }
    let host = Host::new();
    let there = Namespace::new();
    let creation = host.json(&["create", &there.path(), "--no-ipv6", "--no-masq"]);
    assert_eq!(addresses(&creation), ["10.42.0.2"]);
    assert!(!creation["steps"].as_array().unwrap().iter().any(|step| step["step"] == "masquerade"));
    host.json(&["delete", &there.path()]);
    assert_eq!(host.leftovers(), Vec::<String>::new());
    assert!(std::path::Path::new(&there.path()).exists(), "podnet did not make it");
    assert_eq!(shell::json("ip", &["-n", &there.name, "-j", "link"]).as_array().unwrap().len(), 1, "only lo");
}

#[test]
fn what_is_gone_already_is_no_error_to_delete() {
    if !root_and(&TOOLS) {
        return;
    }
    let host = Host::new();
    let name = host.name("a");
    assert!(text(&host.podnet(&["delete", &name, "--yes"]).stdout).contains("nothing"));
    let creation = host.json(&["create", &name]);
    let link = creation["result"]["interfaces"][0]["name"].as_str().unwrap();
    host.netns.ip(&format!("link del {link}"));
    shell::run("ip", &["netns", "delete", &name]);
    let deleted = host.podnet(&["delete", &name, "--yes"]);
    assert!(deleted.status.success(), "{}", text(&deleted.stderr));
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_netns_that_podnet_did_not_make_is_left_alone_and_told_of() {
    if !root_and(&TOOLS) {
        return;
    }
    let (host, there) = (Host::new(), Namespace::new());
    let (name, path) = (&there.name, format!("/run/netns/{}", there.name));
    let told = format!("podnet did not make the netns {path}, and left it alone");
    let delete = || text(&host.podnet(&["delete", name, "--yes"]).stdout);
    let said = delete();
    assert!(said.contains(&format!("nothing of podnet's is in {name}\n{told}")), "{said}");
    host.json(&["create", name]);
    let again = host.podnet(&["create", name, "--yes"]);
    let next = format!("podnet delete {name} --ifname eth0");
    assert!(!again.status.success() && text(&again.stderr).contains(&next), "{}", text(&again.stderr));
    let said = delete();
    assert!(said.contains(&format!("gone {name}\n{told}")), "{said}");
    assert_eq!(host.json(&["delete", name])["interfaces"][0]["netns"], path);
    assert!(std::path::Path::new(&path).exists());
    assert_eq!(host.leftovers(), Vec::<String>::new());
    let own = host.name("a");
    host.json(&["create", &own]);
    assert!(host.json(&["delete", &own])["interfaces"][0].get("netns").is_none(), "podnet made that one");
    let said = text(&host.podnet(&["delete", &own, "--yes"]).stdout);
    assert!(said.ends_with(&format!("nothing of {own} is left\n")), "{said}");
}

#[test]
fn a_plan_changes_nothing() {
    if !root_and(&TOOLS) {
        return;
    }
    let host = Host::new();
    let plan = host.json(&["create", &host.name("a"), "--dry-run"]);
    assert_eq!(plan["dryRun"], true);
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 11);
    let veth = steps.iter().find(|step| step["step"] == "veth").unwrap();
    assert!(veth["commands"][0].as_str().unwrap().starts_with("ip link add lxc"));
    assert_eq!(host.leftovers(), Vec::<String>::new());
    assert!(!host.scratch.join("run").exists() && !host.scratch.join("store").exists());
}

#[test]
fn a_new_name_that_a_silent_runtime_may_have_is_told() {
    if !root_and(&TOOLS) {
        return;
    }
    let host = Host::new();
    let docker = FakeDocker::hung(&host.scratch);
    let name = host.name("a");
    let args = ["create", &name, "--dry-run", "--timeout", "0.2"];
    let mut command = host.command(env!("CARGO_BIN_EXE_podnet"), &args);
    command.env("DOCKER_HOST", docker.host());
    let told = text(&host.run(command).stderr);
    assert!(told.starts_with("podnet: docker may have a") && told.contains(&name), "{told}");
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    if !root_and(&TOOLS) {
        return;
    }
    let host = Host::new();
    let name = host.name("a");
    let cases: [(&[&str], &str); 9] = [
        (&["--mtu", "0"], "MTU"),
        (&["--mtu", "70000"], "MTU"),
        (&["--mac", "01:00:5e:00:00:01"], "group"),
        (&["--ifname", "sixteen-letters-"], "interface name"),
        (&["--ifname", "a/b"], "interface name"),
        (&["--pool", "nowhere"], "no pool nowhere"),
        (&["--ip", "192.0.2.7"], "no subnet"),
        (&["--ip", "10.42.0.1"], "gateway"),
        (&["--ip", "10.42.0.7", "--ip", "10.42.0.8"], "two addresses"),
    ];
    for (args, said) in cases {
        let output = host.podnet(&[&["create", &name, "--yes"], args].concat());
        assert!(!output.status.success(), "{args:?}");
        assert!(text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
    }
    for target in ["/proc/self/ns/net", "/etc/passwd", "/run/netns/none-such", "../x", "12345678"] {
        let output = host.podnet(&["create", target, "--yes"]);
        assert!(!output.status.success(), "{target}");
    }
    host.netns.ip("route add 10.42.0.0/16 dev lo");
    let output = host.podnet(&["create", &name, "--yes"]);
    assert!(text(&output.stderr).contains("overlaps a route"), "{}", text(&output.stderr));
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
