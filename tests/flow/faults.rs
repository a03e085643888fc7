//! A node that is full, read-only or short of descriptors: a clear word, nothing lost, nothing left.

use std::process::Command;

use crate::host::{Host, text};
use crate::support::prerequisite::root_and;

/// Runs `podnet create` after `before`, in a mount namespace of its own.
fn create_after(host: &Host, before: &str) -> std::process::Output {
    let script = format!("{before}\nexec \"$@\"");
    let podnet = [env!("CARGO_BIN_EXE_podnet"), "create", &host.name("a"), "--yes", "--runtime", "none"];
    let unshare = ["--mount", "--propagation", "private", "sh", "-ec", &script, "sh"];
    host.run(host.command("unshare", &[&unshare[..], &podnet[..]].concat()))
}

#[test]
fn no_room_and_no_leave_to_write() {
    if !root_and(&["ip", "nft", "unshare", "mount"]) {
        return;
    }
    let read_only = |place: &str| format!("mkdir -p {place}; mount -t tmpfs -o ro none {place}");
    // Room for the directories and no more.
    let full = |place: &str| {
        format!(
            "mkdir -p {place}; mount -t tmpfs -o size=4k,nr_inodes=200 none {place}; head -c 4096 /dev/zero >{place}/full"
        )
    };
    let host = Host::new();
    let (run, store) = (host.scratch.text("run"), host.scratch.text("store"));
    for (before, place, said) in [
        (read_only(&run), &run, "Read-only file system"),
        (read_only(&store), &store, "Read-only file system"),
        (full(&run), &run, "No space left on device"),
        (full(&store), &store, "No space left on device"),
        (
            "mount -o remount,ro,bind /proc/sys 2>/dev/null || mount --bind -o ro /proc/sys /proc/sys".to_owned(),
            &"/proc/sys".to_owned(),
            "Read-only file system",
        ),
    ] {
        let output = create_after(&host, &before);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{before}: {}{errors}", text(&output.stdout));
        assert!(errors.contains(said) && errors.contains(place.as_str()), "{before}: {errors}");
        assert_eq!(host.leftovers(), Vec::<String>::new(), "{before}: {errors}");
    }
}

#[test]
fn too_few_descriptors() {
    if !root_and(&["ip", "nft", "unshare"]) {
        return;
    }
    let host = Host::new();
    let mut refused = 0;
    for limit in (5..48).step_by(3) {
        let output = create_after(&host, &format!("ulimit -n {limit}"));
        let errors = text(&output.stderr);
        match output.status.code() {
            Some(0) => drop(host.json(&["delete", &host.name("a")])),
            Some(1) => {
                assert!(errors.contains("Too many open files"), "{limit}: {errors}");
                refused += 1;
            }
            other => panic!("{limit}: {other:?} {errors}"),
        }
        assert_eq!(host.leftovers(), Vec::<String>::new(), "{limit}: {errors}");
    }
    assert!(refused > 3);
}

#[test]
fn a_full_pool_fails_before_anything_exists() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    host.json(&["ipam", "pool", "add", "tiny", "10.43.0.0/30"]);
    host.json(&["create", &host.name("a"), "--pool", "tiny"]);
    let before = host.leftovers();
    let output = host.podnet(&["create", &host.name("b"), "--pool", "tiny", "--yes"]);
    assert!(text(&output.stderr).contains("pool tiny is full"), "{}", text(&output.stderr));
    assert_eq!(host.leftovers(), before);
}

#[test]
fn a_plain_user_is_told_what_he_lacks() {
    if !root_and(&["setpriv"]) {
        return;
    }
    let host = Host::new();
    let mut command = Command::new("setpriv");
    let binary = host.scratch.join("podnet");
    // By another process: a copy of our own may be busy while a test beside this one starts something.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_podnet")).arg(&binary).status().unwrap().success());
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(host.scratch.path(), open).unwrap();
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary);
    let output = host.run({
        command.args(["create", &host.name("a"), "--yes", "--runtime", "none", "--run", "/proc/podnet"]);
        command
    });
    assert!(matches!(output.status.code(), Some(1 | 5)), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("/proc/podnet"), "{}", text(&output.stderr));
}

#[test]
fn two_at_once_on_one_pod_take_turns() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let name = host.name("a");
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let create = || host.podnet(&["create", &name, "--yes", "--runtime", "none"]);
        let workers: Vec<_> = (0..6).map(|_| scope.spawn(create)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let made = outputs.iter().filter(|output| output.status.success()).count();
    assert_eq!(made, 1, "{outputs:#?}");
    host.json(&["delete", &name]);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn many_pods_at_once_get_addresses_of_their_own() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let bench = host.json(&["bench", "add", "-n", "40", "-j", "8"]);
    assert_eq!((&bench["failed"], &bench["pods"]), (&0.into(), &40.into()), "{bench:#}");
    assert!(bench["create"]["p99Ms"].as_f64().unwrap() >= bench["create"]["p50Ms"].as_f64().unwrap());
    let shares: f64 = bench["steps"].as_array().unwrap().iter().map(|step| step["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 0.01, "{shares}");
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
