//! Deleting a pair: gone when podnet says so, though the kernel is not done with its memory.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use podnet::collect::kernel::Want;
use podnet::collect::kernel::netlink::Netlink;
use podnet::flow::Error;
use podnet::flow::kernel::{deletion, link};

use crate::support::netns::TestNetns;
use crate::support::scratch::Scratch;
use crate::support::shell::wait_for;
use crate::{read_one, support::prerequisite};

fn delete(host: &TestNetns, ifindex: u32) -> Result<bool, Error> {
    let order = || deletion::delete(&mut Netlink::open(netlink_sys::protocols::NETLINK_ROUTE).unwrap(), ifindex);
    host.handle().run(order).unwrap()
}

fn names(namespace: &TestNetns) -> Vec<String> {
    read_one(namespace, &Want::default()).links.into_iter().map(|link| link.name).collect()
}

#[test]
fn both_ends_are_gone_at_once_and_their_names_are_free() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (host, pod) = (TestNetns::new(), TestNetns::new());
    for _ in 0..10 {
        host.ip(&format!("link add lxc1 index 77 type veth peer name eth0 netns {}", pod.path()));
        host.ip_all(["link set lxc1 up", "addr add 192.0.2.1/24 dev lxc1"]);
        assert!(delete(&host, 77).unwrap());
        assert_eq!((names(&host), names(&pod)), (vec!["lo".to_owned()], vec!["lo".to_owned()]));
        let left = || Path::new("/proc/thread-self/net/dev_snmp6/lxc1").exists();
        assert!(!host.handle().run(left).unwrap(), "its files are still there");
        assert!(!delete(&host, 77).unwrap(), "it was there a second time");
    }
}

#[test]
fn what_podnet_locks_is_free_when_podnet_lets_go() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let (host, scratch) = (TestNetns::new(), Scratch::new());
    let free = (0..10).filter(|_| {
        host.ip("link add lxc1 index 77 type veth peer name eth0");
        let lock = File::create(scratch.join("lock")).unwrap();
        lock.try_lock().unwrap();
        assert!(delete(&host, 77).unwrap());
        // Closed, as at the end of a process: it stays locked if another one has it open, too (flock(2)).
        drop(lock);
        let again = || File::create(scratch.join("lock")).unwrap().try_lock();
        again().inspect_err(|_| wait_for("the lock", Duration::from_secs(5), || again().ok())).is_ok()
    });
    // Other tests of this process start programs, which have it open until they begin.
    assert!(free.count() >= 5);
}

#[test]
fn a_refusal_is_told_in_the_kernels_words() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let host = TestNetns::new();
    let loopback = host.handle().run(|| link::find(&mut Netlink::open(0).unwrap(), "lo")).unwrap().unwrap().unwrap();
    let refused = delete(&host, loopback.ifindex).unwrap_err();
    assert!(refused.to_string().contains("delete interface 1"), "{refused}");
    assert_eq!(names(&host), ["lo"]);
}
