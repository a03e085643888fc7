//! Half a name is nobody's where something would be changed.

use serde_json::Value;

use crate::host::{Host, names, text};
use crate::support::fake_docker::{FakeDocker, container, container_of_pod};
use crate::support::prerequisite::root_and;

#[test]
fn the_beginning_of_a_name_deletes_nobody() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let names = ["client-1", "client-2"].map(|name| host.name(name));
    for name in &names {
        host.json(&["create", name, "--runtime", "none"]);
    }
    for half in ["client-", "client"].map(|name| host.name(name)) {
        let deleted = host.podnet(&["delete", &half, "--yes", "--runtime", "none"]);
        assert_eq!(text(&deleted.stdout), format!("nothing of {half} is left\n"), "{}", text(&deleted.stderr));
    }
    for name in &names {
        assert!(host.leftovers().contains(&format!("netns {name}")), "{name} is gone");
        host.json(&["delete", name, "--runtime", "none"]);
    }
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_new_name_is_new_beside_a_container_or_a_pod_that_begins_so() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let (redis, web) = (container("redis"), container_of_pod(&host.name("web-0"), "app"));
    let id = redis["Id"].as_str().unwrap().to_owned();
    let docker = FakeDocker::new(&host.scratch, vec![redis, web]);
    let podnet = |args: &[&str]| {
        let mut command = host.command(env!("CARGO_BIN_EXE_podnet"), args);
        command.args(["--yes", "-o", "json"]).env("DOCKER_HOST", docker.host());
        host.run(command)
    };
    for name in [&id[..5], &host.name("web"), &host.name("web-")] {
        let created = podnet(&["create", name]);
        assert!(created.status.success(), "{name}: {}", text(&created.stderr));
        let created: Value = serde_json::from_slice(&created.stdout).unwrap();
        assert_eq!(created["netns"]["path"], format!("/run/netns/{name}"));
        assert!(podnet(&["delete", name]).status.success(), "{name}");
    }
    // What somebody surely meant is not made anew: it does not run.
    for name in [&id[..12], &host.name("web-0"), "redis"] {
        let refused = podnet(&["create", name]);
        assert!(text(&refused.stderr).contains(name) && !refused.status.success(), "{name}: {refused:?}");
    }
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn enough_of_an_id_deletes_one_container_and_never_two() {
    if !root_and(&["ip", "nft"]) {
        return;
    }
    let host = Host::new();
    let ids = ["5eed0000a", "5eed0000b"].map(|begin| format!("{begin:f<64}"));
    for id in &ids {
        host.json(&["create", id, "--runtime", "none"]);
    }
    let delete = |text: &str| host.podnet(&["delete", text, "--yes", "--runtime", "none"]);
    let of_both = delete("5eed0000");
    assert_eq!(of_both.status.code(), Some(4), "{of_both:?}");
    assert!(ids.iter().all(|id| text(&of_both.stderr).contains(&format!("container:{id}"))), "{of_both:?}");
    let left = || names(&host.scratch.join("run/attachments")).count();
    assert_eq!(left(), 2);
    assert!(delete("5eed0000b").status.success());
    assert_eq!(left(), 1);
    assert!(delete(&format!("container:{}", ids[0])).status.success());
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
