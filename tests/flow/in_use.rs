//! What somebody uses is neither freed by `ipam release` nor torn down by `gc`.

use std::process::{Child, Command};
use std::time::Duration;

use crate::host::{Host, text};
use crate::support::namespace::Namespace;
use crate::support::prerequisite::root_and;
use crate::support::shell;

/// A host with a pool that no other test has addresses of.
fn host(cidr: &str) -> Host {
    let host = Host::new();
    host.json(&["ipam", "pool", "add", "mine", cidr]);
    host
}

fn create(host: &Host) -> (String, String) {
    let name = host.name("u");
    let creation = host.json(&["create", &name, "--pool", "mine", "--no-ipv6", "--runtime", "none"]);
    let address = creation["result"]["ips"][0]["address"].as_str().unwrap().split('/').next().unwrap().to_owned();
    (name, address)
}

fn refused(host: &Host, args: &[&str], address: &str, said: &[&str]) {
    let output = host.podnet(&[&["ipam", "release"], args].concat());
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}{told}", text(&output.stdout));
    for word in said {
        assert!(told.contains(word), "{args:?}: «{word}» is not in {told}");
    }
    assert!(host.scratch.join("store/networks/mine").join(address).exists(), "{args:?}: it is held as before");
}

/// A file of a holder that podnet did not write.
fn hold(host: &Host, address: &str, holder: &str) {
    let pool = host.scratch.join("store/networks/mine");
    std::fs::create_dir_all(&pool).unwrap();
    std::fs::write(pool.join(address), format!("{holder}\r\neth0")).unwrap();
}

struct Lodger(Child);

impl Lodger {
    fn of(name: &str) -> Self {
        let path = format!("--net=/run/netns/{name}");
        let lodger = Self(Command::new("nsenter").args([&path, "sleep", "300"]).spawn().unwrap());
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        shell::wait_for("the lodger to be in", Duration::from_secs(30), || {
            let there = std::fs::read_link(format!("/proc/{}/ns/net", lodger.0.id())).ok()?;
            (there != own).then_some(())
        });
        lodger
    }
}

impl Drop for Lodger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_address_whose_owner_stands_is_not_released() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = host("10.143.1.0/24");
    let (name, address) = create(&host);
    let delete = format!("podnet delete {name}");
    let ways: [&[&str]; 3] = [&[&address], &["--container", &name], &["--container", &name, "--ifname", "eth0"]];
    for way in ways {
        refused(&host, way, &address, &[&address, "is in use", &name, "journal", &delete]);
    }
    // The journal was lost: its interface tells.
    std::fs::remove_dir_all(host.scratch.join("run/attachments")).unwrap();
    for way in ways {
        refused(&host, way, &address, &[&address, "is in use", &name, "interface lxc", &delete]);
    }
}

#[test]
fn an_address_that_an_interface_has_is_not_released_whoever_is_said_to_hold_it() {
    if !root_and(&["ip"]) {
        return;
    }
    let host = host("10.143.2.0/24");
    let there = Namespace::new();
    shell::run("ip", &["-n", &there.name, "addr", "add", "10.143.2.9/32", "dev", "lo"]);
    hold(&host, "10.143.2.9", "longgone");
    hold(&host, "10.143.2.10", "longgone");
    refused(&host, &["10.143.2.9"], "10.143.2.9", &["10.143.2.9 is in use", "lo", &there.name]);
    refused(&host, &["--container", "longgone"], "10.143.2.9", &["10.143.2.9 is in use"]);
    assert!(host.scratch.join("store/networks/mine/10.143.2.10").exists(), "all or nothing");
}

#[test]
fn where_not_every_namespace_can_be_read_nothing_is_released() {
    if !root_and(&["ip", "setpriv"]) {
        return;
    }
    let host = host("10.143.3.0/24");
    let _there = Namespace::new();
    hold(&host, "10.143.3.9", "longgone");
    let podnet = env!("CARGO_BIN_EXE_podnet");
    let args = ["--bounding-set", "-sys_admin", podnet, "ipam", "release", "10.143.3.9"];
    let output = host.run(host.command("setpriv", &args));
    let told = text(&output.stderr);
    assert!(!output.status.success() && told.contains("cannot tell whether 10.143.3.9 is in use"), "{told}");
    assert!(host.scratch.join("store/networks/mine/10.143.3.9").exists());
}

#[test]
fn addresses_of_a_container_that_is_gone_are_released() {
    if !root_and(&["ip"]) {
        return;
    }
    let host = host("10.143.4.0/24");
    hold(&host, "10.143.4.9", "longgone");
    hold(&host, "10.143.4.10", "longgone");
    hold(&host, "10.143.4.11", "another");
    let released = host.json(&["ipam", "release", "10.143.4.9"]);
    assert_eq!(released["addresses"], serde_json::json!(["10.143.4.9"]), "{released:#}");
    let released = host.json(&["ipam", "release", "--container", "longgone"]);
    assert_eq!(released["addresses"], serde_json::json!(["10.143.4.10"]), "{released:#}");
    assert!(host.scratch.join("store/networks/mine/10.143.4.11").exists());
}

#[test]
fn a_netns_that_a_process_lives_in_is_not_collected() {
    if !root_and(&["ip", "nft", "nsenter"]) {
        return;
    }
    let host = host("10.143.5.0/24");
    let (name, address) = create(&host);
    let lodger = Lodger::of(&name);
    shell::run("ip", &["-n", &name, "link", "del", "eth0"]);
    let gc = ["gc", "--apply", "--grace", "0.01", "--runtime", "none"];
    let kept = host.json(&gc);
    assert_eq!(kept["items"], serde_json::json!([]));
    assert!(std::path::Path::new("/run/netns").join(&name).exists());
    assert!(host.scratch.join("store/networks/mine").join(&address).exists());
    drop(lodger);
    let collected = host.json(&gc);
    assert_eq!(collected["items"][0]["kind"], "attachment", "{collected:#}");
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
