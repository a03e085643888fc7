//! `podnet create --conf` and its like: what `cnitool` does, step by step.

use std::fs;
use std::path::Path;

use rexpect::session::{PtySession, spawn_command};
use serde_json::{Value, json};

use crate::called::host;
use crate::host::{Host, names, text};
use crate::plugins::Plugins;
use crate::support::netns::TestNetns;
use crate::support::prerequisite;
use crate::support::subnet::Subnet;

/// A network in a file of the host's scratch directory.
fn conflist(host: &Host, version: &str, plugins: Value) -> String {
    let list = json!({"cniVersion": version, "name": "testnet", "plugins": plugins});
    host.scratch.write("10-test.conflist", &list.to_string()).to_str().unwrap().to_owned()
}

fn run(host: &Host, path: &str, args: &[&str]) -> std::process::Output {
    let cache = host.scratch.text("cni-cache");
    host.podnet(&[args, &["--cni-path", path, "--cni-cache", &cache]].concat())
}

fn document(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn nothing_left(host: &Host) {
    assert_eq!(host.leftovers(), Vec::<String>::new());
    assert_eq!(names(&host.scratch.join("cni-cache/results")).count(), 0);
    assert_eq!(names(&host.scratch.join("run/guests")).count(), 0);
}

#[test]
fn a_network_of_real_plugins_comes_is_checked_and_goes() {
    let (Some(host), subnet) = (host(), Subnet::claim()) else { return };
    if !Path::new("/usr/lib/cni/ptp").exists() {
        prerequisite::skip("/usr/lib/cni has no plugins: install containernetworking-plugins");
        return;
    }
    let ipam = json!({"type": "host-local", "dataDir": host.scratch.text("addresses"), "ranges": [[{"subnet": subnet.cidr()}]]});
    let conf = conflist(
        &host,
        "1.0.0",
        json!([{"type": "ptp", "ipam": ipam}, {"type": "portmap", "capabilities": {"portMappings": true}}]),
    );
    let (name, path) = (host.name("pod"), "/usr/lib/cni");
    let created = run(&host, path, &["create", &name, "--conf", &conf, "-o", "json"]);
    assert!(created.status.success(), "{created:?}");
    let created = document(&created);
    let turns: Vec<&str> =
        created["turns"].as_array().unwrap().iter().map(|turn| turn["plugin"].as_str().unwrap()).collect();
    assert_eq!(turns, ["ptp", "portmap"]);
    assert!(created["turns"][0]["elapsedMs"].as_f64().unwrap() > 0.0);
    assert!(subnet.contains(created["result"]["ips"][0]["address"].as_str().unwrap().split('/').next().unwrap()));
    let again = run(&host, path, &["create", &name, "--conf", &conf, "--yes"]);
    assert!(!again.status.success() && text(&again.stderr).contains("is attached"), "{again:?}");
    let checked = run(&host, path, &["cni", "check", &name, "--conf", &conf]);
    assert!(checked.status.success() && text(&checked.stdout).contains("✔ CHECK   portmap"), "{checked:?}");
    crate::support::shell::run("ip", &["-n", &name, "addr", "flush", "dev", "eth0"]);
    let checked = run(&host, path, &["cni", "check", &name, "--conf", &conf]);
    assert!(
        !checked.status.success() && text(&checked.stderr).contains("/usr/lib/cni/ptp refused CHECK"),
        "{checked:?}"
    );
    let deleted = run(&host, path, &["delete", &name, "--conf", &conf]);
    assert!(deleted.status.success() && text(&deleted.stdout).contains("✔ DEL     ptp"), "{deleted:?}");
    nothing_left(&host);
    assert!(run(&host, path, &["delete", &name, "--conf", &conf]).status.success(), "again");
}

/// Podnet raises its own to look for who is meant. Of a plugin that closes whatever it may have open, a million of them are seconds.
#[test]
fn a_plugin_has_the_limit_of_open_files_that_podnet_was_started_with() {
    let (Some(host), plugins) = (host(), Plugins::new()) else { return };
    let path = plugins.scratch.text("bin");
    let answer = r#"[ $CNI_COMMAND != ADD ] || echo '{"cniVersion": "1.0.0"}'"#;
    plugins.write("a", &format!("echo $CNI_COMMAND $(ulimit -Sn) >>$LOG; {answer}"));
    let conf = conflist(&host, "1.0.0", json!([{"type": "a"}]));
    let podnet = ["-c", r#"ulimit -Sn 200 && exec "$@""#, "sh", env!("CARGO_BIN_EXE_podnet")];
    let cache = host.scratch.text("cni-cache");
    for verb in ["create", "delete"] {
        let args = [verb, &host.name("pod"), "--conf", &conf, "--yes", "--cni-path", &path, "--cni-cache", &cache];
        let ran = host.run(host.command("sh", &[&podnet[..], &args].concat()));
        assert!(ran.status.success(), "{ran:?}");
    }
    assert_eq!(plugins.log(), ["ADD 200", "DEL 200"]);
}

#[test]
fn podnets_own_plugin_needs_no_installation_and_a_failure_is_undone() {
    let (Some(host), Some(plugins)) = (host(), Plugins::noting(&["after"])) else { return };
    let (name, path) = (host.name("pod"), plugins.scratch.text("bin"));
    let conf = conflist(&host, "1.1.0", json!([{"type": "podnet"}, {"type": "after"}]));
    let create = ["create", &name, "--conf", &conf, "--yes"];
    let created = run(&host, &path, &create);
    assert!(created.status.success(), "{created:?}");
    assert!(text(&created.stdout).contains("address 10.42.0.2/32"), "{created:?}");
    assert!(run(&host, &path, &["delete", &name, "--conf", &conf]).status.success());
    nothing_left(&host);
    plugins.write("after", r#"[ $CNI_COMMAND = ADD ] || exit 0; echo '{"code": 100, "msg": "no"}'; exit 1"#);
    let failed = run(&host, &path, &create);
    assert!(!failed.status.success() && text(&failed.stderr).contains("refused ADD: no"), "{failed:?}");
    assert!(text(&failed.stdout).contains("✔ DEL     podnet"), "{failed:?}");
    nothing_left(&host);
}

#[test]
fn a_plan_calls_no_plugin() {
    let (Some(host), Some(plugins)) = (host(), Plugins::noting(&["a", "b"])) else { return };
    let (name, path) = (host.name("pod"), plugins.scratch.text("bin"));
    let kinds = json!([{"type": "b", "capabilities": {"mac": true}}, {"type": "a", "own": 7}]);
    let conf = conflist(&host, "1.0.0", kinds);
    let plan = ["create", &name, "--conf", &conf, "--cap-args", r#"{"mac": "02:00:00:00:00:01"}"#, "--dry-run"];
    let planned = run(&host, &path, &[&plan[..], &["-o", "json"]].concat());
    assert!(planned.status.success(), "{planned:?}");
    let planned = document(&planned);
    assert_eq!((&planned["network"]["source"], &planned["turns"]), (&json!(conf), &json!([])));
    let told = json!({"newNetns": true, "plugins": [
        {"plugin": "b", "program": format!("{path}/b"), "config": {
            "cniVersion": "1.0.0", "name": "testnet", "type": "b", "runtimeConfig": {"mac": "02:00:00:00:00:01"}}},
        {"plugin": "a", "program": format!("{path}/a"), "config": {
            "cniVersion": "1.0.0", "name": "testnet", "type": "a", "own": 7}},
    ]});
    assert_eq!(planned["plan"], told);
    let shown = text(&run(&host, &path, &plan).stdout);
    assert!(
        shown.contains(&format!("a new netns /run/netns/{name}")) && shown.contains("no plugin was called"),
        "{shown}"
    );
    fs::remove_file(plugins.program("a")).unwrap();
    let missing = run(&host, &path, &plan);
    assert!(!missing.status.success() && text(&missing.stdout).contains("2/2  ✖ a"), "{missing:?}");
    plugins.write_noting(&["a"]);
    assert_eq!(plugins.calls(), Vec::<String>::new());
    nothing_left(&host);
    // As the ADD itself would be.
    assert!(run(&host, &path, &["create", &name, "--conf", &conf, "--yes"]).status.success());
    is_refused(&host, &plugins, &plan, "is attached", &format!("podnet delete {name} --conf {conf}"));
    assert!(run(&host, &path, &["delete", &name, "--conf", &conf]).status.success());
    let made = host.podnet(&["create", &name, "--yes"]);
    assert!(made.status.success(), "{made:?}");
    let hint = format!("podnet delete {name} --ifname eth0 takes that down");
    is_refused(&host, &plugins, &plan, "podnet made its eth0", &hint);
    assert!(host.podnet(&["delete", &name, "--yes"]).status.success());
    nothing_left(&host);
}

/// The same again is refused before any plugin is called.
fn is_refused(host: &Host, plugins: &Plugins, create: &[&str], words: &str, hint: &str) {
    plugins.clear();
    let refused = run(host, &plugins.scratch.text("bin"), create);
    let told = text(&refused.stderr);
    assert!(!refused.status.success() && told.contains(words) && told.contains(hint), "{refused:?}");
    assert_eq!(plugins.calls(), Vec::<String>::new());
}

#[test]
fn what_is_attached_already_is_left_alone() {
    let (Some(host), Some(plugins)) = (host(), Plugins::noting(&["a"])) else { return };
    let (name, path) = (host.name("pod"), plugins.scratch.text("bin"));
    let conf = conflist(&host, "1.0.0", json!([{"type": "a"}]));
    let create = ["create", &name, "--conf", &conf, "--yes"];
    assert!(run(&host, &path, &create).status.success());
    let hint = format!("podnet delete {name} --conf {conf}");
    let cached = || names(&host.scratch.join("cni-cache/results")).collect::<Vec<_>>();
    let before = (host.leftovers(), cached());
    is_refused(&host, &plugins, &create, "libcni's cache has eth0 of the network testnet", &hint);
    assert_eq!((host.leftovers(), cached()), before);
    // Without the cache the interface itself tells.
    fs::remove_dir_all(host.scratch.join("cni-cache")).unwrap();
    crate::support::shell::run("ip", &["-n", &name, "link", "add", "eth0", "type", "veth", "peer", "name", "other"]);
    is_refused(&host, &plugins, &create, "has an interface eth0 already", &hint);
    assert!(Path::new("/run/netns").join(&name).exists());
    crate::support::shell::run("ip", &["-n", &name, "link", "show", "eth0"]);
    // Every netns has that one, and the plugin «loopback» is for it.
    let loopback = run(&host, &path, &[&create[..], &["--ifname", "lo"]].concat());
    assert!(loopback.status.success(), "{loopback:?}");
    // podnet made the netns for eth0.
    assert!(run(&host, &path, &["delete", &name, "--conf", &conf, "--ifname", "lo"]).status.success());
    assert!(run(&host, &path, &["delete", &name, "--conf", &conf]).status.success());
    nothing_left(&host);
}

/// `podnet create TARGET` on a terminal, at its first question.
fn asked(host: &Host, path: &str, target: &str, conf: &str) -> PtySession {
    let cache = host.scratch.text("cni-cache");
    let args = ["create", target, "--conf", conf, "--cni-path", path, "--cni-cache", &cache];
    let mut command = host.on_terminal(env!("CARGO_BIN_EXE_podnet"), &args);
    command.env("LC_ALL", "C.UTF-8").env("NO_COLOR", "1");
    let mut session = host.netns.handle().run(|| spawn_command(command, Some(60_000)).unwrap()).unwrap();
    session.exp_string("[q] quit").unwrap();
    session
}

fn press(session: &mut PtySession, key: &str) {
    session.send(key).unwrap();
    session.flush().unwrap();
}

#[test]
fn who_quits_before_the_first_plugin_undoes_nothing_of_theirs() {
    let (Some(host), Some(plugins)) = (host(), Plugins::noting(&["a", "b"])) else { return };
    let (name, path) = (host.name("pod"), plugins.scratch.text("bin"));
    let conf = conflist(&host, "1.0.0", json!([{"type": "a"}, {"type": "b"}]));
    let there = TestNetns::new();
    for target in [&name, &there.path()] {
        let mut session = asked(&host, &path, target, &conf);
        press(&mut session, "q");
        session.exp_eof().unwrap();
        assert_eq!(plugins.calls(), Vec::<String>::new());
        nothing_left(&host);
    }
    assert!(Path::new(&there.path()).exists());
    let mut session = asked(&host, &path, &there.path(), &conf);
    press(&mut session, "\r");
    session.exp_string("[q] quit").unwrap();
    press(&mut session, "q");
    session.exp_eof().unwrap();
    assert_eq!(plugins.calls(), ["a ADD", "b DEL", "a DEL"], "it was begun");
}

#[test]
fn gc_shows_first_and_never_takes_an_empty_list_for_the_truth() {
    let (Some(host), Some(plugins)) = (host(), Plugins::noting(&["a"])) else { return };
    let path = plugins.scratch.text("bin");
    let conf = conflist(&host, "1.1.0", json!([{"type": "a"}]));
    let gc = ["cni", "gc", "--conf", &conf, "--runtime", "none"];
    let refused = run(&host, &path, &gc);
    assert!(
        !refused.status.success() && text(&refused.stderr).contains("no runtime told what runs here"),
        "{refused:?}"
    );
    let (alive, gone) = (host.name("alive"), host.name("gone"));
    for name in [&alive, &gone] {
        assert!(run(&host, &path, &["create", name, "--conf", &conf, "--yes"]).status.success());
    }
    crate::support::shell::run("ip", &["netns", "delete", &gone]);
    plugins.clear();
    let shown = run(&host, &path, &gc);
    assert!(text(&shown.stdout).contains(&format!("gone  {gone} eth0")) && plugins.log().is_empty(), "{shown:?}");
    let applied = run(&host, &path, &[&gc[..], &["--apply"]].concat());
    assert!(applied.status.success(), "{applied:?}");
    assert_eq!(plugins.calls(), ["a DEL", "a GC"]);
    assert!(
        plugins.log()[1]
            .contains(&format!(r#""cni.dev/valid-attachments":[{{"containerID":"{alive}","ifname":"eth0"}}]"#))
    );
    let status = run(&host, &path, &["cni", "status", "--conf", &conf]);
    assert!(status.status.success() && text(&status.stdout).contains("✔ STATUS  a"), "{status:?}");
    for name in [&alive, &gone] {
        assert!(run(&host, &path, &["delete", name, "--conf", &conf]).status.success());
    }
    nothing_left(&host);
}

#[test]
fn bad_configurations_are_refused_before_anything_is_made() {
    let Some(host) = host() else { return };
    let name = host.name("pod");
    fs::write(host.scratch.join("bad.conflist"), "{").unwrap();
    let bad = host.scratch.text("bad.conflist");
    let missing = conflist(&host, "1.0.0", json!([{"type": "no-such-plugin"}]));
    for (conf, words) in
        [(bad.as_str(), "no JSON"), ("/nowhere", "cannot be read"), (missing.as_str(), "no plugin «no-such-plugin»")]
    {
        let refused = run(&host, "/usr/lib/cni", &["create", &name, "--conf", conf, "--yes"]);
        assert!(!refused.status.success() && text(&refused.stderr).contains(words), "{conf}: {refused:?}");
        nothing_left(&host);
    }
}
