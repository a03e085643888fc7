//! Bad input: an error object of the spec, and no trace.

use std::fs;
use std::process::Stdio;

use podnet::cni::error::Code;
use podnet::cni::{Refusal, SpecVersion};
use serde_json::{Value, json};

use crate::called::{Call, Pod, host, netconf, with};

#[test]
fn each_has_its_code_and_leaves_nothing() {
    let Some(host) = host() else { return };
    let pod = Pod::new(&host, netconf(SpecVersion::V1_1_0));
    let add = || pod.call("ADD", json!({}));
    let conf = |more: Value| pod.call("ADD", more);
    let stdin = |text: &str| Call { stdin: text.as_bytes().to_vec(), ..add() };
    for (call, code, words) in [
        (stdin(""), 6, "no JSON"),
        (stdin("{\"cniVersion\": \"1.0.0\""), 6, "no JSON"),
        (stdin("[]"), 6, "no JSON object"),
        (stdin("{\"cniVersion\": \"1.0.0\", \"name\": \"\u{0}\"}"), 6, "no JSON"),
        (stdin(&"[".repeat(200_000)), 6, "no JSON"),
        (conf(json!({"cniVersion": "0.9.0"})), 1, "0.9.0"),
        (conf(json!({"cniVersion": "1.2.0"})), 1, "1.2.0"),
        (conf(json!({"cniVersion": "0.2.0"})), 1, "podnet speaks 0.3.0"),
        (conf(json!({"cniVersion": null})), 1, "none is stated"),
        (conf(json!({"cniVersion": 1})), 6, "cniVersion"),
        (conf(json!({"name": null})), 7, "no «name»"),
        (conf(json!({"name": "../etc"})), 7, "../etc"),
        (conf(json!({"mtu": 0})), 7, "mtu"),
        (conf(json!({"mtu": 70000})), 7, "mtu"),
        (conf(json!({"mtu": 1279})), 7, "1279"),
        (conf(json!({"pool": "none"})), 7, "no pool none"),
        (conf(json!({"pool": "../x"})), 7, "no pool ../x"),
        (conf(json!({"ipam": {"type": "no-such-plugin"}})), 7, "no plugin «no-such-plugin»"),
        (conf(json!({"ipam": {"type": "../sh"}})), 7, "../sh"),
        (conf(json!({"ipam": {"type": "dhcp"}})), 7, "podnet routes its pods"),
        (conf(json!({"agent": "calico"})), 2, "agent: «calico»"),
        (conf(json!({"runtimeConfig": {"ips": ["x"]}})), 7, "ips"),
        (conf(json!({"runtimeConfig": {"mac": "ff:ff:ff:ff:ff:ff"}})), 7, "mac"),
        (conf(json!({"prevResult": {"cniVersion": "9.0.0"}})), 6, "prevResult"),
        (add().set("CNI_COMMAND", "add"), 4, "CNI_COMMAND"),
        (add().set("CNI_COMMAND", ""), 4, "CNI_COMMAND"),
        (add().set("CNI_IFNAME", "0123456789abcdef"), 4, "CNI_IFNAME"),
        (add().set("CNI_IFNAME", "a/b"), 4, "CNI_IFNAME"),
        (add().set("CNI_IFNAME", "."), 4, "CNI_IFNAME"),
        (add().set("CNI_IFNAME", ""), 4, "CNI_IFNAME"),
        (add().container("../../etc/passwd"), 4, "CNI_CONTAINERID"),
        (add().container(&"x".repeat(300)), 4, "CNI_CONTAINERID"),
        (add().container(""), 4, "CNI_CONTAINERID"),
        (add().set("CNI_NETNS", ""), 4, "CNI_NETNS"),
        (add().set("CNI_NETNS", "/nowhere"), 4, "CNI_NETNS"),
        (add().set("CNI_NETNS", "/etc/passwd"), 4, "CNI_NETNS"),
        (add().set("CNI_NETNS", "/proc/self/ns/mnt"), 4, "CNI_NETNS"),
        (add().set("CNI_NETNS", "/proc/self/ns/net"), 8, "CNI_NETNS"),
        (add().set("CNI_ARGS", "FOO=BAR"), 4, "CNI_ARGS: unknown keys: FOO"),
        (add().set("CNI_ARGS", "IP=10.42.0.300"), 4, "CNI_ARGS: IP="),
        (add().set("CNI_ARGS", "IP=192.0.2.1"), 7, "192.0.2.1 lies in no subnet"),
        (add().set("CNI_ARGS", "IP=10.42.0.1"), 7, "the gateway"),
        (add().set("CNI_ARGS", "IP=10.42.0.7,10.42.0.8"), 7, "two addresses of one family"),
    ] {
        call.refuse(code, words);
        assert_eq!(pod.interfaces(), ["lo"], "{words}");
        assert_eq!(host.leftovers(), Vec::<String>::new(), "{words}");
    }
}

#[test]
fn pools_that_were_edited_wrongly_are_refused() {
    let Some(host) = host() else { return };
    let pod = Pod::new(&host, netconf(SpecVersion::V1_1_0));
    let pools = host.scratch.join("store/pools");
    fs::create_dir_all(&pools).unwrap();
    let subnet = |cidr: &str, gateway: &str| json!({"cidr": cidr, "gateway": gateway});
    let overlapping =
        json!({"name": "odd", "subnets": [subnet("10.7.0.0/24", "10.7.0.1"), subnet("10.7.0.128/25", "10.7.0.129")]});
    let mixed = json!({"name": "odd", "subnets": [subnet("fd07::/64", "10.7.0.1")]});
    for (text, words) in [
        (overlapping.to_string(), "overlaps 10.7.0.0/24"),
        (mixed.to_string(), "not of the same family"),
        ("{".to_owned(), "does not describe a pool"),
    ] {
        fs::write(pools.join("odd.json"), text).unwrap();
        pod.call("ADD", json!({"pool": "odd"})).refuse(7, words);
        assert_eq!(host.leftovers(), Vec::<String>::new());
    }
    let only_ipv6 = json!({"name": "odd", "subnets": [subnet("fd07::/64", "fd07::1")]});
    fs::write(pools.join("odd.json"), only_ipv6.to_string()).unwrap();
    pod.call("ADD", json!({"pool": "odd"})).set("CNI_ARGS", "IP=10.7.0.9").refuse(7, "10.7.0.9");
    assert_eq!(host.leftovers(), Vec::<String>::new());
    let result = pod.call("ADD", json!({"pool": "odd"})).succeed();
    assert_eq!(result["ips"].as_array().unwrap().len(), 1);
    pod.call("DEL", json!({"pool": "odd"})).succeed();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

/// The result that nobody can read is as if it had never been.
#[test]
fn a_closed_standard_output_undoes_the_add() {
    let Some(host) = host() else { return };
    let pod = Pod::new(&host, netconf(SpecVersion::V1_1_0));
    let call = pod.call("ADD", json!({}));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = call.command();
    command.stdout(full);
    let mut child = host.netns.handle().run(|| command.spawn()).unwrap().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &call.stdin).unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(pod.interfaces(), ["lo"]);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn closed_standard_streams_are_an_error_and_no_panic() {
    let Some(host) = host() else { return };
    let pod = Pod::new(&host, netconf(SpecVersion::V1_1_0));
    let call = pod.call("ADD", json!({}));
    for (closing, told) in [("<&-", true), ("<&- >&-", false), ("<&- >&- 2>&-", false)] {
        let script = format!("exec {} {closing}", env!("CARGO_BIN_EXE_podnet"));
        let mut command = host.command("sh", &["-c", &script]);
        command.envs(call.variables.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        let output = host.run(command);
        assert_eq!(output.status.code(), Some(1), "{closing}: {output:?}");
        if told {
            let refusal: Refusal = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(refusal.code, Code::DECODE);
        }
        assert_eq!(host.leftovers(), Vec::<String>::new());
    }
}

/// A person whose environment has the variable is no runtime.
#[test]
fn arguments_make_it_a_command_again() {
    let Some(host) = host() else { return };
    let mut command = host.command(env!("CARGO_BIN_EXE_podnet"), &["--version"]);
    command.env("CNI_COMMAND", "ADD");
    let output = host.run(command);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("podnet "), "{:?}", output.stderr);
    let by_hand = Call::new(&host, "VERSION", "", &with(json!({}), json!({"cniVersion": "1.0.0"})));
    let mut command = host.command(env!("CARGO_BIN_EXE_podnet"), &["cni"]);
    command.envs(by_hand.variables.iter().map(|(name, value)| (name, value)));
    assert!(host.run(command).status.success());
    let output = host.podnet(&["cni"]);
    assert_eq!(output.status.code(), Some(1));
    let refusal: Refusal = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(refusal.code, Code::INVALID_ENVIRONMENT);
}
