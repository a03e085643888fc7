//! Many calls at once, some of them killed: no address twice, none lost, nothing left.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use podnet::cni::SpecVersion;
use serde_json::{Value, json};

use crate::called::{Call, Pod, host, netconf};
use crate::host::Host;
use crate::support::netns::TestNetns;

fn add_pools(host: &Host) {
    for pool in [["blue", "10.77.0.0/24", "fd77::/64"], ["green", "10.78.0.0/24", "fd78::/64"]] {
        let output = host.podnet(&["ipam", "pool", "add", pool[0], pool[1], pool[2]]);
        assert!(output.status.success(), "{output:?}");
    }
}

fn ips(result: &Value) -> Vec<String> {
    result["ips"].as_array().unwrap().iter().map(|ip| ip["address"].as_str().unwrap().to_owned()).collect()
}

/// Starts a call and kills it after a while; whether it ended before.
fn killed(call: &Call, after: Duration) -> Option<Value> {
    let mut child = call.host.netns.handle().run(|| call.command().spawn()).unwrap().unwrap();
    let _ = child.stdin.take().unwrap().write_all(&call.stdin);
    std::thread::sleep(after);
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn two_hundred_adds_over_two_pools_from_sixteen_callers_with_kills_among_them() {
    const CALLERS: usize = 16;
    const ADDS: usize = 200;
    let Some(host) = host() else { return };
    add_pools(&host);
    let (next, given) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let pods: Vec<TestNetns> = (0..ADDS).map(|_| TestNetns::new()).collect();
    let call = |verb: &str, nth: usize| {
        let pool = if nth.is_multiple_of(2) { "blue" } else { "green" };
        let mut conf = netconf(SpecVersion::V1_0_0);
        conf["pool"] = pool.into();
        Call::new(&host, verb, &pods[nth].path(), &conf).container(&format!("c{nth}"))
    };
    let caller = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= ADDS {
                return;
            }
            // Every fifth is killed, at moments that spread over the steps; a runtime then calls DEL, and ADD again.
            let result = if (nth + 1).is_multiple_of(5) {
                let done = killed(&call("ADD", nth), Duration::from_millis((nth as u64 * 7) % 60));
                done.unwrap_or_else(|| {
                    call("DEL", nth).succeed();
                    call("ADD", nth).succeed()
                })
            } else {
                call("ADD", nth).succeed()
            };
            given.lock().unwrap().insert(nth, ips(&result));
        }
    };
    std::thread::scope(|scope| (0..CALLERS).for_each(|_| drop(scope.spawn(caller))));
    let given = given.into_inner().unwrap();
    assert_eq!(given.len(), ADDS);
    let mut holders = BTreeMap::new();
    for (nth, addresses) in &given {
        assert_eq!(addresses.len(), 2, "c{nth}");
        for address in addresses {
            assert_eq!(holders.insert(address.clone(), nth), None, "{address} was given twice");
        }
    }
    let held = host.json(&["ipam", "list"]);
    let held = held["items"].as_array().unwrap();
    assert_eq!(held.len(), holders.len(), "the store holds what was given, and nothing else");
    for item in held {
        let address = item["address"].as_str().unwrap();
        let length = if address.contains(':') { 128 } else { 32 };
        assert_eq!(item["containerId"], format!("c{}", holders[&format!("{address}/{length}")]));
    }
    let next = AtomicUsize::new(0);
    let remover = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= ADDS {
                return;
            }
            call("DEL", nth).succeed();
        }
    };
    std::thread::scope(|scope| (0..CALLERS).for_each(|_| drop(scope.spawn(remover))));
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_del_during_an_add_leaves_all_or_nothing() {
    let Some(host) = host() else { return };
    for round in 0..24_u64 {
        let pod = Pod::new(&host, netconf(SpecVersion::V1_0_0));
        let (add, del) = (pod.call("ADD", json!({})), pod.call("DEL", json!({})));
        let added = std::thread::scope(|scope| {
            let adding = scope.spawn(|| add.run());
            std::thread::sleep(Duration::from_millis(round * 2));
            del.succeed();
            adding.join().unwrap()
        });
        // Whichever came first: what there is afterwards is whole, or nothing.
        assert_eq!(added.status, 0, "{added:?}");
        let left = host.leftovers();
        if pod.interfaces() == ["lo"] {
            assert_eq!(left, Vec::<String>::new());
        } else {
            pod.call("CHECK", json!({"prevResult": added.document})).succeed();
        }
        pod.del();
        assert_eq!(host.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn of_many_adds_of_one_attachment_one_succeeds() {
    let Some(host) = host() else { return };
    let pod = Pod::new(&host, netconf(SpecVersion::V1_1_0));
    let add = pod.call("ADD", json!({}));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..12).map(|_| scope.spawn(|| add.run())).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 0);
    assert_eq!((done.len(), refused.len()), (1, 11));
    assert!(refused.iter().all(|answer| answer.document["code"] == 101), "{refused:#?}");
    pod.call("CHECK", json!({"prevResult": done[0].document})).succeed();
    pod.del();
    assert_eq!(host.leftovers(), Vec::<String>::new());
}
