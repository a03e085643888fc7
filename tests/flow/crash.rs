//! Killed at every point where it changes something: gc finds all of it, removes it, and then finds nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::host::{Host, text};
use crate::support::prerequisite::root_and;
use crate::support::shell::wait_for;

/// The system calls that change something. Whatever lies between two of them is the same to whoever comes after.
const CALLS: [&str; 11] = [
    "sendto",
    "write",
    "mount",
    "umount2",
    "unshare",
    "unlink",
    "link,linkat",
    "symlink,symlinkat",
    "rename,renameat",
    "mkdir",
    "flock",
];

/// Runs podnet until its `nth` call of that kind, which kills it; `false` when there are fewer.
fn killed_at(host: &Host, args: &[&str], calls: &str, nth: usize) -> bool {
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={nth}"));
    let strace = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, env!("CARGO_BIN_EXE_podnet")];
    let output = host.run(host.command("strace", &[&strace[..], args].concat()));
    assert!(output.status.code() != Some(1), "{calls} {nth}: {}{}", text(&output.stdout), text(&output.stderr));
    !output.status.success()
}

fn collect(host: &Host, point: &str) {
    let collect = host.podnet(&["gc", "--apply", "--grace", "0.01", "--runtime", "none", "-o", "json"]);
    assert!(collect.status.success(), "{point}: {}{}", text(&collect.stdout), text(&collect.stderr));
    assert_eq!(host.leftovers(), Vec::<String>::new(), "{point}: {}", text(&collect.stdout));
    let again = host.json(&["gc", "--runtime", "none"]);
    assert_eq!(again["items"], serde_json::json!([]), "{point}");
}

/// Several hosts at once, each taking the next point.
fn at_every_point(killed: impl Fn(&Host, &str, usize) -> bool + Sync) {
    let points: Vec<(&str, usize)> = CALLS.iter().flat_map(|calls| (1..=60).map(move |nth| (*calls, nth))).collect();
    let next = AtomicUsize::new(0);
    let ended: Vec<AtomicUsize> = CALLS.iter().map(|_| AtomicUsize::new(usize::MAX)).collect();
    let kills = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let host = Host::new();
                while let Some((calls, nth)) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let kind = CALLS.iter().position(|kind| kind == calls).unwrap();
                    if *nth > ended[kind].load(Ordering::Relaxed) {
                        continue;
                    }
                    if killed(&host, calls, *nth) {
                        kills.fetch_add(1, Ordering::Relaxed);
                    } else {
                        ended[kind].fetch_min(*nth, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(kills.into_inner() > 40, "the points were reached");
}

#[test]
fn a_creation_that_is_killed_anywhere() {
    if !root_and(&["strace", "ip", "nft"]) {
        return;
    }
    at_every_point(|host, calls, nth| {
        let name = host.name("a");
        let killed = killed_at(host, &["create", &name, "--yes", "--runtime", "none"], calls, nth);
        // Killed while it told of it, all is made, and stays until it is deleted.
        let journal = std::fs::read_to_string(host.scratch.join(&format!("run/attachments/{name}@eth0")));
        if journal.is_ok_and(|journal| journal.trim_end().rsplit('\n').next().unwrap().contains("\"phase\":\"ready\""))
        {
            host.json(&["delete", &name]);
        }
        collect(host, &format!("create killed at {calls} {nth}"));
        killed
    });
}

#[test]
fn a_deletion_that_is_killed_anywhere() {
    if !root_and(&["strace", "ip", "nft"]) {
        return;
    }
    at_every_point(|host, calls, nth| {
        let name = host.name("a");
        host.json(&["create", &name, "--runtime", "none"]);
        let killed = killed_at(host, &["delete", &name, "--yes", "--runtime", "none"], calls, nth);
        let point = format!("delete killed at {calls} {nth}");
        // It may have been killed before it began: then nothing is left over, and all still stands.
        let again = host.podnet(&["delete", &name, "--yes", "--runtime", "none"]);
        assert!(again.status.success(), "{point}: {}", text(&again.stderr));
        collect(host, &point);
        killed
    });
}

#[test]
fn a_second_try_finishes_what_a_killed_one_left() {
    if !root_and(&["strace", "ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let name = host.name("a");
    for nth in [12, 20, 28] {
        assert!(killed_at(&host, &["create", &name, "--yes", "--runtime", "none"], "write", nth));
        host.json(&["create", &name, "--runtime", "none"]);
        host.json(&["delete", &name]);
        assert_eq!(host.leftovers(), Vec::<String>::new(), "write {nth}");
    }
}

#[test]
fn what_is_in_use_or_not_podnets_is_not_collected() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let name = host.name("a");
    let creation = host.json(&["create", &name, "--runtime", "none"]);
    let link = creation["result"]["interfaces"][0]["name"].as_str().unwrap();
    host.netns.ip("link add lxcsomebody type veth peer name other");
    let collected = host.json(&["gc", "--apply", "--grace", "0.01", "--runtime", "none"]);
    assert_eq!(collected["items"], serde_json::json!([]));
    // Its journal was lost, but somebody lives in the pod.
    let path = format!("--net=/run/netns/{name}");
    let mut lodger = std::process::Command::new("nsenter").args([&path, "sleep", "60"]).spawn().unwrap();
    std::fs::remove_dir_all(host.scratch.join("run/attachments")).unwrap();
    let kept = host.json(&["gc", "--apply", "--grace", "0.01", "--runtime", "none"]);
    lodger.kill().unwrap();
    lodger.wait().unwrap();
    let kinds = |document: &serde_json::Value| -> Vec<String> {
        document["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert!(
        !kinds(&kept).contains(&"interface".to_owned()) && !kinds(&kept).contains(&"address".to_owned()),
        "{kept:#}"
    );
    // Now nobody does, but for those who have it open while they look around, as gc itself.
    wait_for("the interface to be collected", Duration::from_secs(30), || {
        let collected = host.json(&["gc", "--apply", "--grace", "0.01", "--runtime", "none"]);
        kinds(&collected).contains(&"interface".to_owned()).then_some(())
    });
    let links = host.netns.ip_json("link");
    let names: Vec<&str> = links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap()).collect();
    assert!(names.contains(&"lxcsomebody") && !names.contains(&link), "{names:?}");
}
