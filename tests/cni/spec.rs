//! What the CNI spec demands of a plugin: a test for each, over every version that has it.

use std::fs;

use podnet::cni::error::Code;
use podnet::cni::{AddResult, SpecVersion};
use serde_json::{Value, json};

use crate::called::{Call, Pod, VERSIONS, host, netconf, with};
use crate::host::Host;
use crate::plugins::Plugins;

fn versions(wanted: impl Fn(SpecVersion) -> bool) -> impl Iterator<Item = SpecVersion> {
    VERSIONS.into_iter().filter(move |version| wanted(*version))
}

fn nothing_left(host: &Host) {
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

/// «VERSION: must output cniVersion: the value of cniVersion specified on input; supportedVersions».
#[test]
fn version_answers_in_the_version_that_it_is_asked_in() {
    let Some(host) = host() else { return };
    for asked in ["0.1.0", "0.3.1", "1.0.0", "1.1.0", "9.9.9"] {
        let call = Call::new(&host, "VERSION", "", &json!({"cniVersion": asked}));
        let answer = call.succeed();
        let supported = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
        assert_eq!(answer, json!({"cniVersion": asked, "supportedVersions": supported}));
    }
    let mut silent = Call::new(&host, "VERSION", "", &json!({}));
    silent.stdin.clear();
    assert_eq!(silent.succeed()["cniVersion"], "1.1.0");
}

/// «ADD: must output a result structure on standard out»; «cniVersion: the same version supplied on input»;
/// «sandbox: the value passed via CNI_NETNS».
#[test]
fn add_makes_the_interface_and_says_so_in_the_version_asked_for() {
    let Some(host) = host() else { return };
    for version in VERSIONS {
        let pod = Pod::new(&host, netconf(version));
        let document = pod.add();
        assert_eq!(document["cniVersion"], version.as_str());
        assert_eq!(document["ips"][0].get("version").is_some(), version < SpecVersion::V1_0_0, "{document:#}");
        assert_eq!(document["interfaces"][1].get("mtu").is_some(), version == SpecVersion::V1_1_0);
        let result = AddResult::decode(document, version).unwrap();
        assert_eq!(result.addresses_of("eth0", &pod.netns.path()).count(), 2);
        let link = &pod.netns.ip_json("addr show dev eth0")[0];
        assert_eq!(link["address"], result.interfaces[1].mac);
        for ip in &result.ips {
            let held = link["addr_info"].as_array().unwrap();
            assert!(held.iter().any(|info| info["local"] == ip.address.addr().to_string()), "{ip:?} in {link:#}");
        }
        assert!(result.interfaces[0].sandbox.is_empty(), "an interface of the host");
        pod.del();
        nothing_left(&host);
    }
}

/// «ADD: If an interface of the requested name already exists in the container, the CNI plugin MUST return with an error.»
#[test]
fn add_refuses_an_interface_that_exists() {
    let Some(host) = host() else { return };
    for version in VERSIONS {
        let pod = Pod::new(&host, netconf(version));
        pod.netns.ip("link add eth0 type veth peer name other");
        let before = pod.netns.ip_json("link show eth0");
        pod.call("ADD", json!({})).refuse(Code::EXISTS.0, "eth0");
        assert_eq!(pod.netns.ip_json("link show eth0"), before, "it is another's");
        nothing_left(&host);
    }
}

/// The same attachment again, without a DEL between: an error, and the first stays as it is.
#[test]
fn add_twice_is_an_error_and_changes_nothing() {
    let Some(host) = host() else { return };
    for version in VERSIONS {
        let pod = Pod::new(&host, netconf(version));
        pod.add();
        let (links, left) = (pod.netns.ip_json("addr"), host.leftovers());
        pod.call("ADD", json!({})).refuse(Code::EXISTS.0, "10.42.0.");
        assert_eq!((pod.netns.ip_json("addr"), host.leftovers()), (links, left));
        pod.del();
    }
    nothing_left(&host);
}

/// «ADD: If the plugin was supplied a prevResult, it MUST handle prevResult by either passing it through, or modifying it.»
#[test]
fn add_passes_the_previous_result_on() {
    let Some(host) = host() else { return };
    for version in VERSIONS {
        let pod = Pod::new(&host, netconf(version));
        let family = if version < SpecVersion::V1_0_0 { json!({"version": "4"}) } else { json!({}) };
        let ip = with(json!({"address": "192.0.2.9/24", "interface": 0}), family);
        let previous = json!({
            "cniVersion": version.as_str(), "interfaces": [{"name": "net0", "sandbox": pod.netns.path()}], "ips": [ip],
            "routes": [{"dst": "192.0.2.0/24"}], "dns": {"nameservers": ["192.0.2.53"]}, "x-unknown": [1],
        });
        let result = pod.call("ADD", json!({"prevResult": previous})).succeed();
        for (key, count) in [("interfaces", 3), ("ips", 3), ("routes", 5)] {
            assert_eq!(result[key].as_array().unwrap().len(), count, "{result:#}");
            assert_eq!(result[key][0], previous[key][0]);
        }
        assert_eq!((&result["dns"], &result["x-unknown"]), (&previous["dns"], &json!([1])));
        assert_eq!(result["ips"][1]["interface"], 2, "the index counts those before");
        pod.del();
    }
    nothing_left(&host);
}

/// podnet makes the interface, so no plugin before it can have.
#[test]
fn add_after_a_plugin_that_made_the_interface_is_refused() {
    let Some(host) = host() else { return };
    let pod = Pod::new(&host, netconf(SpecVersion::V1_0_0));
    let previous = json!({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": pod.netns.path()}]});
    pod.call("ADD", json!({"prevResult": previous})).refuse(7, "comes first in a chain");
    nothing_left(&host);
}

/// «DEL: Plugins MUST accept multiple DEL calls for the same pair, and return success if the interface in question, or any
/// modifications added, are missing»; «still return without error if prevResult is empty»; «even if the netns is gone».
#[test]
fn del_succeeds_whatever_is_missing() {
    let Some(host) = host() else { return };
    for version in VERSIONS {
        let pod = Pod::new(&host, netconf(version));
        pod.del();
        let result = pod.add();
        pod.call("DEL", json!({"prevResult": result})).succeed();
        pod.call("DEL", json!({"prevResult": {"cniVersion": version.as_str()}})).succeed();
        nothing_left(&host);

        pod.add();
        pod.netns.ip("link del eth0");
        pod.del();
        nothing_left(&host);

        pod.add();
        fs::remove_dir_all(host.scratch.join("run")).unwrap();
        pod.del();
        nothing_left(&host);

        pod.add();
        let gone = pod.call("DEL", json!({}));
        drop(pod);
        gone.succeed();
        gone.set("CNI_NETNS", "").succeed();
        nothing_left(&host);
    }
}

/// «CHECK: must consult prevResult»; «return an error if a resource created by the plugin, listed in prevResult, is missing or in
/// an invalid state»; «must handle CHECK being called immediately after an ADD».
#[test]
fn check_sees_what_is_missing() {
    let Some(host) = host() else { return };
    for version in versions(SpecVersion::has_check) {
        let pod = Pod::new(&host, netconf(version));
        pod.call("CHECK", json!({})).refuse(7, "prevResult");
        for (breakage, words) in [
            ("link del eth0", "is gone"),
            ("link set eth0 down", "is down"),
            ("link set eth0 address 02:00:00:00:00:99", "MAC 02:00:00:00:00:99"),
            ("link set eth0 mtu 9000", "MTU 9000"),
            ("addr del 10.42.0.0/32 dev eth0", "has no address"),
            ("route del default", "default route"),
            ("route del ::/0 dev eth0", "default route"),
        ] {
            let result = pod.add();
            let check = pod.call("CHECK", json!({"prevResult": result}));
            assert_eq!(check.succeed(), Value::Null);
            let address = result["ips"].as_array().unwrap().iter().find_map(|ip| {
                ip["address"].as_str().filter(|address| address.starts_with("10.42.")).map(str::to_owned)
            });
            pod.netns.ip(&breakage.replace("10.42.0.0/32", &address.unwrap()));
            check.refuse(Code::NOT_AS_EXPECTED.0, words);
            pod.del();
        }
        let result = pod.add();
        let check = pod.call("CHECK", json!({"prevResult": result}));
        let name = result["interfaces"][0]["name"].as_str().unwrap();
        host.netns.ip(&format!("route flush dev {name}"));
        check.refuse(Code::NOT_AS_EXPECTED.0, "route to 10.42.0.");
        pod.del();
        let result = pod.add();
        fs::remove_dir_all(host.scratch.join("store/owners")).unwrap();
        pod.call("CHECK", json!({"prevResult": result})).refuse(Code::NOT_AS_EXPECTED.0, "not reserved");
        pod.del();
    }
    nothing_left(&host);
}

/// «CHECK: must allow for a later chained plugin to have modified networking resources».
#[test]
fn check_allows_what_later_plugins_changed_and_said() {
    let Some(host) = host() else { return };
    for version in versions(SpecVersion::has_check) {
        let pod = Pod::new(&host, netconf(version));
        let mut result = pod.add();
        pod.netns.ip("link set eth0 address 02:00:00:00:00:99");
        pod.netns.ip("link set eth0 mtu 1300");
        result["interfaces"][1]["mac"] = "02:00:00:00:00:99".into();
        if version == SpecVersion::V1_1_0 {
            pod.call("CHECK", json!({"prevResult": result})).refuse(Code::NOT_AS_EXPECTED.0, "MTU 1300");
            result["interfaces"][1]["mtu"] = 1300.into();
        }
        result["interfaces"].as_array_mut().unwrap().push(json!({"name": "ifb0"}));
        pod.netns.ip("route del default");
        result["routes"].as_array_mut().unwrap().retain(|route| route["dst"] != "0.0.0.0/0");
        pod.call("CHECK", json!({"prevResult": result})).succeed();
        pod.del();
    }
}

/// CHECK is of 0.4.0; GC and STATUS are of 1.1.0.
#[test]
fn a_verb_that_a_version_has_not_is_refused() {
    let Some(host) = host() else { return };
    for version in VERSIONS {
        let pod = Pod::new(&host, netconf(version));
        if !version.has_check() {
            pod.call("CHECK", json!({"prevResult": {}})).refuse(1, "has no CHECK");
        }
        if !version.has_gc() {
            pod.call("GC", json!({"cni.dev/valid-attachments": []})).refuse(1, "has no GC");
            pod.call("STATUS", json!({})).refuse(1, "has no STATUS");
        }
    }
}

/// «STATUS: must exit with zero if ready to service ADD requests», else 50.
#[test]
fn status_tells_whether_an_add_would_succeed() {
    let Some(host) = host() else { return };
    let pod = Pod::new(&host, netconf(SpecVersion::V1_1_0));
    assert_eq!(pod.call("STATUS", json!({})).succeed(), Value::Null);
    assert!(!host.scratch.join("store").exists() && !host.scratch.join("run").exists(), "it only looks");
    pod.call("STATUS", json!({"pool": "none"})).refuse(50, "no pool none");
    let output = host.podnet(&["ipam", "pool", "add", "tiny", "10.77.0.0/30", "--root", &host.scratch.text("store")]);
    assert!(output.status.success(), "{output:?}");
    pod.call("STATUS", json!({"pool": "tiny"})).succeed();
    pod.call("ADD", json!({"pool": "tiny"})).succeed();
    pod.call("STATUS", json!({"pool": "tiny"})).refuse(50, "is full");
    let second = Pod::new(&host, netconf(SpecVersion::V1_1_0));
    second.call("ADD", json!({"pool": "tiny"})).container("c2").refuse(Code::NO_ADDRESS.0, "full");
    pod.del();
    nothing_left(&host);
}

/// «GC: should remove as many stale resources as possible»; what is valid, or another network's, stays.
#[test]
fn gc_removes_what_is_not_valid_and_nothing_else() {
    let Some(host) = host() else { return };
    let conf = netconf(SpecVersion::V1_1_0);
    let pods: Vec<Pod> = (0..3).map(|_| Pod::new(&host, conf.clone())).collect();
    for (pod, container) in pods.iter().zip(["valid", "stale", "other"]) {
        let more = if container == "other" { json!({"name": "othernet"}) } else { json!({}) };
        pod.call("ADD", more).container(container).succeed();
    }
    let valid = json!({"cni.dev/valid-attachments": [{"containerID": "valid", "ifname": "eth0"}]});
    pods[0].call("GC", json!({})).refuse(7, "cni.dev/valid-attachments is missing");
    assert_eq!(pods[1].interfaces(), ["lo", "eth0"], "nothing was removed");
    for _ in 0..2 {
        assert_eq!(pods[0].call("GC", valid.clone()).succeed(), Value::Null);
        let interfaces: Vec<usize> = pods.iter().map(|pod| pod.interfaces().len()).collect();
        assert_eq!(interfaces, [2, 1, 2]);
    }
    assert!(!host.leftovers().iter().any(|left| left.contains("stale")), "{:?}", host.leftovers());
    pods[0].call("DEL", json!({})).container("valid").succeed();
    pods[2].call("DEL", json!({"name": "othernet"})).container("other").succeed();
    nothing_left(&host);
}

/// Section 4: «the same environment variables»; «the complete network configuration»; «if any of the delegated plugins return
/// error, error should be returned by the upper plugin»; «if, on ADD, a delegated plugin fails, execute again with DEL».
#[test]
fn a_delegated_plugin_gets_all_and_is_told_every_verb() {
    let (Some(host), Some(plugins)) = (host(), Plugins::noting(&[])) else { return };
    let noting = r#"input=$(cat)
echo "$CNI_COMMAND $(env | grep -E '^CNI_(CONTAINERID|IFNAME|NETNS|ARGS|PATH)=' | sort | tr '\n' ' ')| $input" >>$LOG
if [ -e $LOG.fail ] && [ $CNI_COMMAND != DEL ]; then echo '{"code": 123, "msg": "not today"}'; exit 1; fi
echo "of $CNI_COMMAND" >&2
[ $CNI_COMMAND != ADD ] || echo '{"ips": [{"address": "10.66.0.9/24", "gateway": "10.66.0.1"}], "dns": {"domain": "x"}}'"#;
    plugins.write("notary", noting);
    let path = plugins.scratch.text("bin");
    for version in VERSIONS {
        let conf = with(netconf(version), json!({"ipam": {"type": "notary", "x": [1.5]}, "own": {"unknown": true}}));
        let pod = Pod::new(&host, conf);
        let call = |verb: &str, more: Value| {
            pod.call(verb, more).set("CNI_PATH", &path).set("CNI_ARGS", "IgnoreUnknown=1;MORE=2")
        };
        let answer = call("ADD", json!({})).run();
        assert_eq!((answer.status, answer.stderr.as_str()), (0, "of ADD\n"), "{answer:?}");
        let result = answer.document;
        assert_eq!((&result["ips"][0]["address"], &result["dns"]["domain"]), (&"10.66.0.9/32".into(), &"x".into()));
        let mut verbs = vec!["ADD"];
        if version.has_check() {
            call("CHECK", json!({"prevResult": result})).succeed();
            verbs.push("CHECK");
        }
        if version.has_gc() {
            call("STATUS", json!({})).succeed();
            let valid = json!([{"containerID": "c1", "ifname": "eth0"}]);
            call("GC", json!({"cni.dev/valid-attachments": valid})).succeed();
            verbs.extend(["STATUS", "GC"]);
        }
        call("DEL", json!({})).succeed();
        verbs.push("DEL");
        let log = plugins.log();
        let told: Vec<&str> = log.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(told, verbs, "{version}");
        for line in &log {
            let (environment, input) = line.split_once("| ").unwrap();
            let input: Value = serde_json::from_str(input).unwrap();
            assert_eq!((&input["own"], &input["ipam"]["x"]), (&json!({"unknown": true}), &json!([1.5])));
            assert!(environment.contains(&format!("CNI_PATH={path}")), "{environment}");
            if !line.starts_with("STATUS") && !line.starts_with("GC") {
                for variable in
                    ["CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_NETNS=/proc/", "CNI_ARGS=IgnoreUnknown=1;MORE=2"]
                {
                    assert!(environment.contains(variable), "{variable} in {environment}");
                }
            }
        }
        fs::remove_file(plugins.scratch.join("log")).unwrap();

        fs::write(plugins.scratch.join("log.fail"), "").unwrap();
        call("ADD", json!({})).refuse(123, "notary: not today");
        let told: Vec<String> = plugins.log().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(told, ["ADD", "DEL"]);
        if version.has_gc() {
            call("STATUS", json!({})).refuse(123, "not today");
            call("GC", json!({"cni.dev/valid-attachments": []})).refuse(123, "not today");
        }
        for file in ["log", "log.fail"] {
            fs::remove_file(plugins.scratch.join(file)).unwrap();
        }
        nothing_left(&host);
    }
}

/// Debian's own address plugins.
#[test]
fn host_local_and_static_give_addresses() {
    let Some(host) = host() else { return };
    if !std::path::Path::new("/usr/lib/cni/host-local").exists() {
        crate::support::prerequisite::skip("/usr/lib/cni has no plugins: install containernetworking-plugins");
        return;
    }
    let ranges = json!([[{"subnet": "10.66.0.0/24"}], [{"subnet": "fd66::/64"}]]);
    let directory = host.scratch.text("host-local");
    let fixed = json!({"type": "static", "addresses": [{"address": "10.67.0.5/24"}]});
    for (ipam, addresses) in [
        (json!({"type": "host-local", "dataDir": directory, "ranges": ranges}), vec!["10.66.0.2/32", "fd66::2/128"]),
        (fixed, vec!["10.67.0.5/32"]),
    ] {
        let pod = Pod::new(&host, with(netconf(SpecVersion::V1_0_0), json!({"ipam": ipam})));
        let result = pod.add();
        let given: Vec<&str> =
            result["ips"].as_array().unwrap().iter().map(|ip| ip["address"].as_str().unwrap()).collect();
        assert_eq!(given, addresses);
        pod.call("CHECK", json!({"prevResult": result})).succeed();
        pod.del();
        nothing_left(&host);
    }
    let held = crate::host::names(&host.scratch.join("host-local/testnet"))
        .filter(|name| name.parse::<std::net::IpAddr>().is_ok());
    assert_eq!(held.count(), 0);
}

/// `runtimeConfig`, `CNI_ARGS`, `args.cni`, the pod's annotations: what is asked for is what comes.
#[test]
fn wishes_are_granted_from_wherever_they_come() {
    let Some(host) = host() else { return };
    let root = host.scratch.text("store");
    for pool in [["blue", "10.77.0.0/24"], ["green", "10.78.0.0/24"]] {
        assert!(host.podnet(&["ipam", "pool", "add", pool[0], pool[1], "--root", &root]).status.success());
    }
    let annotation =
        json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"ipam.cilium.io/ip-pool": "green"}}});
    for (more, args, expected) in [
        (json!({"runtimeConfig": {"ips": ["10.42.0.77/24"], "mac": "02:00:00:00:00:77"}}), "", "10.42.0.77/32"),
        (json!({"args": {"cni": {"ips": ["10.42.0.78"]}}}), "MAC=02:00:00:00:00:77", "10.42.0.78/32"),
        (json!({}), "IP=10.42.0.79;MAC=02:00:00:00:00:77;POOL=default", "10.42.0.79/32"),
        (json!({"pool": "blue"}), "MAC=02:00:00:00:00:77;IP=10.77.0.5", "10.77.0.5/32"),
        (json!({}), "MAC=02:00:00:00:00:77;POOL=blue;IP=10.77.0.6", "10.77.0.6/32"),
        (annotation, "MAC=02:00:00:00:00:77;IP=10.78.0.6", "10.78.0.6/32"),
    ] {
        let pod = Pod::new(&host, with(netconf(SpecVersion::V1_0_0), json!({"mtu": 1390, "ipv6": false})));
        let result = pod.call("ADD", more).set("CNI_ARGS", args).succeed();
        assert_eq!(result["ips"].as_array().unwrap().len(), 1, "ipv6 is false");
        assert_eq!(
            (&result["ips"][0]["address"], &result["interfaces"][1]["mac"]),
            (&expected.into(), &"02:00:00:00:00:77".into())
        );
        assert_eq!(pod.netns.ip_json("link show eth0")[0]["mtu"], 1390);
        pod.del();
    }
    nothing_left(&host);
}

/// `logFile`: a line a call, with the time of each step.
#[test]
fn each_call_leaves_a_line_in_the_log() {
    let Some(host) = host() else { return };
    let log = host.scratch.join("log");
    let pod = Pod::new(&host, with(netconf(SpecVersion::V1_1_0), json!({"logFile": log})));
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0";
    pod.call("ADD", json!({})).set("CNI_ARGS", args).succeed();
    pod.call("ADD", json!({})).refuse(Code::EXISTS.0, "already");
    pod.del();
    let lines: Vec<Value> =
        fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["command"], &lines[0]["podName"]), (&"ADD".into(), &"web-0".into()));
    let steps = lines[0]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), podnet::flow::steps::ALL.iter().filter(|step| !step.name().starts_with("agent")).count());
    assert!(steps.iter().all(|step| step["elapsedMs"].as_f64().is_some() && step["status"] == "done"));
    assert_eq!(lines[1]["error"]["code"], Code::EXISTS.0);
    assert_eq!(lines[2]["command"], "DEL");
    // A log that cannot be written fails no pod.
    let nowhere = Pod::new(&host, with(netconf(SpecVersion::V1_1_0), json!({"logFile": "/nowhere/log"})));
    nowhere.add();
    nowhere.del();
}
