//! `podnet ipam check` and `podnet ipam release --from-report`: what is held for nobody is freed, and nothing else, whatever
//! happens in between and whoever wrote the report.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::{Kind, Node};
use crate::support::podnet::Ran;
use crate::support::schema;
use crate::support::shell::wait_for;

pub const STORE: &str = "/var/lib/cni/networks/net";
const CONF: &str = r#"{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge",
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/24"}]]}}]}"#;

/// A node with two pods, and an address that a container holds which is gone since an hour.
pub fn leaky() -> Option<Node> {
    let node = Node::new(Kind::Bridge)?;
    node.machine
        .run(&format!("mkdir -p {STORE} /etc/cni/net.d; cat >/etc/cni/net.d/10-net.conflist <<'END'\n{CONF}\nEND"));
    node.machine.run("printf 0123456789abcdef0123456789abcdef >/etc/machine-id");
    leak(&node, "10.88.0.50", "ghost");
    Some(node)
}

fn leak(node: &Node, address: &str, container: &str) {
    node.run(&format!(
        r#"printf '%s\r\neth0' "$(container_id {container})" >{STORE}/{address}; touch -d '1 hour ago' {STORE}/{address}"#
    ));
}

pub fn report(node: &Node, name: &str) -> String {
    let file = node.machine.scratch().text(name);
    let ran = node.machine.podnet(&["ipam", "check", "--report", &file]);
    assert!(matches!(ran.status, 0 | 6), "{}{}", ran.stdout, ran.stderr);
    schema::check(&serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap());
    file
}

pub fn release(node: &Node, reports: &[&str], apply: bool) -> Ran {
    let mut words = vec!["ipam", "release", "-o", "json"];
    reports.iter().for_each(|report| words.extend(["--from-report", report]));
    words.extend(apply.then_some("--apply"));
    node.machine.podnet(&words)
}

/// Addresses that were freed, and the reasons why the others were not.
pub fn outcome(ran: &Ran) -> (Vec<String>, Vec<String>) {
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    schema::check(&document);
    let items = document["items"].as_array().unwrap();
    let free =
        items.iter().filter(|item| item["free"] == true).map(|item| item["address"].as_str().unwrap().to_owned());
    let left = items.iter().filter_map(|item| item["why"].as_str().map(str::to_owned));
    (free.collect(), left.collect())
}

pub fn is_there(node: &Node, address: &str) -> bool {
    node.machine.root(&format!("{STORE}/{address}")).symlink_metadata().is_ok()
}

/// Nothing is freed, whatever was said.
pub fn refuses(node: &Node, reports: &[&str], why: &str) {
    let ran = release(node, reports, true);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(is_there(node, "10.88.0.50"), "it was freed: {said}");
    assert!(said.contains(why), "{why} in {said}");
    if ran.status == 0 {
        assert_eq!(outcome(&ran).0, Vec::<String>::new());
        assert_eq!(
            outcome(&release(node, reports, false)).0,
            Vec::<String>::new(),
            "nor does a mere look say otherwise"
        );
    }
}

#[test]
fn counts_go_both_ways_and_only_what_leaked_is_freed() {
    let Some(node) = leaky() else { return };
    node.run("pod ip addr add 10.88.0.60/24 dev eth0");
    leak(&node, "10.88.0.51", "young");
    node.run(&format!("touch {STORE}/10.88.0.51"));
    let first = report(&node, "first.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&first).unwrap()).unwrap();
    let network = document["networks"].as_array().unwrap().iter().find(|network| network["network"] == "net").unwrap();
    let counts = ["absent", "leaked", "unallocated"].map(|count| network[count].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 1], "{network}");
    assert_eq!(document["unallocated"][0]["address"], "10.88.0.60");
    let people = node.machine.podnet(&["ipam", "check"]).stdout;
    assert!(
        people.contains("10.88.0.50 of net leaked: held for") && people.contains("10.88.0.60 of net unallocated"),
        "{people}"
    );
    // A report is not written over another.
    let again = node.machine.podnet(&["ipam", "check", "--report", &first]);
    assert_eq!(again.status, 1);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let second = report(&node, "second.json");
    let before = node.machine.run(&format!("cd {STORE}; ls | sort"));
    assert_eq!(outcome(&release(&node, &[&first, &second], false)), (vec!["10.88.0.50".to_owned()], vec![]));
    assert_eq!(node.machine.run(&format!("cd {STORE}; ls | sort")), before, "looking changes nothing");
    assert_eq!(outcome(&release(&node, &[&first, &second], true)), (vec!["10.88.0.50".to_owned()], vec![]));
    let after = node.machine.run(&format!("cd {STORE}; ls | grep -v '^lock$' | sort"));
    let rest: Vec<&str> = before.lines().filter(|name| !["10.88.0.50", "lock"].contains(name)).collect();
    assert_eq!(after.lines().collect::<Vec<_>>(), rest);
    let (free, left) = outcome(&release(&node, &[&first], true));
    assert_eq!((free, left), (vec![], vec!["it is in use now, or held no more".to_owned()]));
}

#[test]
fn what_happened_since_the_report_keeps_it() {
    let Some(node) = leaky() else { return };
    let old = report(&node, "old.json");
    // Somebody has it now.
    node.run("pod ip addr add 10.88.0.50/24 dev eth0");
    refuses(&node, &[&old], "it is in use now");
    node.run("pod ip addr del 10.88.0.50/24 dev eth0");
    // Its container is back.
    node.run("netns ghost");
    refuses(&node, &[&old], "not known to be held for nobody");
    node.run("kill $(cat /run/pid.ghost); ip netns del ghost");
    // The file was written anew, with the same bytes, and looks as old.
    node.run(&format!(
        "cp {STORE}/10.88.0.50 /run/copy; cp /run/copy {STORE}/10.88.0.50; touch -d '1 hour ago' {STORE}/10.88.0.50"
    ));
    refuses(&node, &[&old], "its file is another one now");
    let after = report(&node, "after.json");
    refuses(&node, &[&old, &after], "the reports do not agree");
    refuses(&node, &[&after, &old], "the reports do not agree");
    // Another file of that name and content.
    node.run(&format!("cp -p {STORE}/10.88.0.50 {STORE}/../copy; mv {STORE}/../copy {STORE}/10.88.0.50"));
    refuses(&node, &[&after], "its file is another one now");
    // A runtime that set it up again, and has not got to its address yet.
    node.run(&format!(r#"printf '%s\r\neth0' "$(container_id ghost)" >{STORE}/10.88.0.50"#));
    refuses(&node, &[&after], "not known to be held for nobody");
    node.run(&format!("touch -d '1 hour ago' {STORE}/10.88.0.50"));
    let last = report(&node, "last.json");
    assert_eq!(outcome(&release(&node, &[&last], true)).0, ["10.88.0.50"]);
}

/// Releases it; once podnet waits for the lock, which somebody holds, that is done, and the lock let go.
fn release_while(node: &Node, report: &str, done: &str) -> Ran {
    let [go, held] = ["go", "held"].map(|name| node.machine.scratch().text(name));
    let _ = (std::fs::remove_file(&go), std::fs::remove_file(&held));
    node.machine.leave(&format!("flock {STORE}/lock sh -c 'touch {held}; until [ -e {go} ]; do sleep 0.02; done'"));
    let exists = |path: &str| std::path::Path::new(path).exists().then_some(());
    wait_for("the lock to be held", Duration::from_secs(20), || exists(&held));
    let mut command = node.machine.command(env!("CARGO_BIN_EXE_podnet"));
    command.args(["ipam", "release", "-o", "json", "--from-report", report, "--apply"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Its thread that waits for the lock is called so.
    let waits = || {
        let nsenter = child.id();
        let children = std::fs::read_to_string(format!("/proc/{nsenter}/task/{nsenter}/children")).ok()?;
        let tasks = std::fs::read_dir(format!("/proc/{}/task", children.split_whitespace().next()?)).ok()?;
        let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.into_iter().any(|name| name.trim() == "flock").then_some(())
    };
    wait_for("podnet to wait for the lock", Duration::from_secs(60), waits);
    node.run(done);
    std::fs::write(&go, "").unwrap();
    Ran::new(child.wait_with_output().unwrap(), Duration::ZERO)
}

#[test]
fn whoever_takes_it_under_the_lock_is_faster() {
    let Some(node) = leaky() else { return };
    let report = report(&node, "report.json");
    let look = format!("cd {STORE}; stat -c '%i %s %y %z' 10.88.0.50; cat 10.88.0.50");
    let before = node.run(&look);
    let taken = release_while(&node, &report, "pod ip addr add 10.88.0.50/24 dev eth0");
    assert_eq!(outcome(&taken).0, Vec::<String>::new());
    assert_eq!(node.run(&look), before, "it is not touched");
    node.run("pod ip addr del 10.88.0.50/24 dev eth0");
    let given = release_while(&node, &report, &format!(r#"printf 'other\r\neth0' >{STORE}/10.88.0.50"#));
    assert_eq!(outcome(&given).0, Vec::<String>::new());
    assert!(is_there(&node, "10.88.0.50"));
}

#[test]
fn reports_of_others_and_forged_ones_free_nothing() {
    let Some(node) = leaky() else { return };
    let scratch = node.machine.scratch();
    let good = report(&node, "good.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&good).unwrap()).unwrap();
    let forge = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut forged = document.clone();
        change(&mut forged);
        let file = scratch.write(name, &forged.to_string());
        file.to_str().unwrap().to_owned()
    };
    refuses(&node, &[&forge("boot", &|report| report["bootId"] = json!("another"))], "before its last boot");
    refuses(&node, &[&good, &forge("machine", &|report| report["machineId"] = json!("another"))], "another machine");
    refuses(
        &node,
        &[&forge("nobody", &|report| drop(report.as_object_mut().unwrap().remove("machineId")))],
        "another machine",
    );
    refuses(&node, &[&forge("kind", &|report| report["kind"] = json!("List"))], "is no report");
    refuses(&node, &[scratch.write("text", "hello").to_str().unwrap()], "is no report");
    // Victims that are like an address file in every way, where a path of the report would lead.
    let victim = format!("{}/victims/net", scratch.path().display());
    node.run(&format!("mkdir -p {victim}; cp -p {STORE}/10.88.0.50 {victim}/10.88.0.50"));
    let up = "../".repeat(12);
    for (nth, (directory, network)) in [
        (json!("/var/lib/cni/networks"), json!(format!("{up}{}", &victim[1..]))),
        (json!(format!("{}/victims", scratch.path().display())), json!("net")),
        (json!(format!("/var/lib/cni/networks/{up}{}/victims", &scratch.text("")[1..])), json!("net")),
        (json!(STORE), json!("..")),
        (json!("/var/lib/cni/networks"), json!("./net")),
        (json!("/var/lib/cni/networks/"), json!("net/")),
    ]
    .into_iter()
    .enumerate()
    {
        let forged = forge(&format!("path{nth}"), &|report| {
            let all = report["absent"].as_array_mut().unwrap();
            let leaked = all.iter_mut().find(|absent| absent["leaked"] == true).unwrap();
            leaked["directory"] = directory.clone();
            leaked["network"] = network.clone();
        });
        refuses(&node, &[&forged], "it is in use now, or held no more");
        assert!(std::path::Path::new(&format!("{victim}/10.88.0.50")).exists(), "{directory} {network}");
    }
    // One whose file is young, called leaked, with its true fingerprint.
    let file = format!("{STORE}/10.88.0.50");
    node.run(&format!("touch {file}"));
    let young = report(&node, "young.json");
    let mut forged: Value = serde_json::from_str(&std::fs::read_to_string(&young).unwrap()).unwrap();
    let young = forged["absent"].as_array_mut().unwrap().iter_mut().find(|absent| absent["address"] == "10.88.0.50");
    let young = young.unwrap();
    young["leaked"] = json!(true);
    young["file"] =
        document["absent"].as_array().unwrap().iter().find(|absent| absent["leaked"] == true).unwrap()["file"].clone();
    for (field, format) in [("modified", "%.9Y"), ("changed", "%.9Z")] {
        young["file"][field] = json!(node.run(&format!("stat -c {format} {file}")).trim().replace('.', ""));
    }
    let young = scratch.write("forged", &forged.to_string());
    refuses(&node, &[young.to_str().unwrap()], "not known to be held for nobody");
    node.run(&format!("touch -d '1 hour ago' {file}"));
    // An address that a pod has, called leaked, with its file's true fingerprint.
    let in_use = document["absent"][0].clone();
    let pods_own = forge("inuse", &|report| {
        let mut forged = in_use.clone();
        forged["address"] = json!("10.88.0.7");
        report["absent"].as_array_mut().unwrap().push(forged);
        report["absent"].as_array_mut().unwrap().remove(0);
    });
    assert_eq!(outcome(&release(&node, &[&pods_own], true)).0, Vec::<String>::new());
    assert!(is_there(&node, "10.88.0.7"));
}

#[test]
fn links_in_a_store_lead_nowhere() {
    let Some(node) = leaky() else { return };
    let report = report(&node, "report.json");
    // The network's directory is a link to one that has the very same file.
    node.run(&format!("mv {STORE} /var/lib/cni/moved; ln -s /var/lib/cni/moved {STORE}"));
    let ran = release(&node, &[&report], true);
    assert!(node.machine.root("var/lib/cni/moved/10.88.0.50").exists(), "{}{}", ran.stdout, ran.stderr);
    node.run(&format!("rm {STORE}; mv /var/lib/cni/moved {STORE}"));
    // The lock is a link.
    node.run(&format!("rm -f {STORE}/lock; ln -s /run/victim {STORE}/lock"));
    let ran = release(&node, &[&report], true);
    assert!(is_there(&node, "10.88.0.50") && ran.status == 1, "{}{}", ran.stdout, ran.stderr);
    assert!(!node.machine.root("run/victim").exists());
    // The address is a link.
    node.run(&format!("rm {STORE}/lock; mv {STORE}/10.88.0.50 {STORE}/../target; ln -s ../target {STORE}/10.88.0.50"));
    assert_eq!(outcome(&release(&node, &[&report], true)).0, Vec::<String>::new());
    assert!(node.machine.root("var/lib/cni/networks/target").exists() && is_there(&node, "10.88.0.50"));
}

#[test]
fn podnets_own_store_and_a_run_that_is_under_way() {
    let Some(node) = leaky() else { return };
    let own = "/var/lib/podnet/networks/default";
    node.run(&format!("mkdir -p {own} /run/podnet/attachments; printf 'demo\\r\\neth0' >{own}/10.42.0.9; touch -d '1 hour ago' {own}/10.42.0.9"));
    let idle = report(&node, "idle.json");
    // Somebody reads the dialogue of `podnet create demo`.
    node.run("touch /run/podnet/attachments/demo@eth0");
    let (free, left) = outcome(&release(&node, &[&idle], true));
    assert_eq!(free, ["10.88.0.50"]);
    assert!(left[0].contains("not known to be held for nobody"), "{left:?}");
    node.run("rm /run/podnet/attachments/demo@eth0");
    assert_eq!(outcome(&release(&node, &[&idle], true)).0, ["10.42.0.9"]);
    assert!(!node.machine.root(&format!("{own}/10.42.0.9")).exists());
}
