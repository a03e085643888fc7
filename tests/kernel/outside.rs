//! What the host's namespace tells of others, against what is seen from inside them.

use podnet::collect::kernel::{Outside, Want};
use podnet::model::address::Address;

use crate::read;
use crate::support::netns::TestNetns;
use crate::support::prerequisite;

#[test]
fn the_host_tells_the_addresses_of_those_that_it_shares_a_link_with() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    let [host, pod, other, lone] = std::array::from_fn(|_| TestNetns::new());
    for (place, namespace) in [&pod, &other].into_iter().enumerate() {
        host.ip(&format!("link add lxc{place} type veth peer name eth0 netns {}", namespace.path()));
        namespace.ip_all([
            "link set lo up",
            "link set eth0 up",
            &format!("addr add 10.9.{place}.2/32 dev eth0"),
            &format!("addr add fd09:{place}::2/64 dev eth0 nodad"),
            "link add eth1 type veth peer name eth2",
            &format!("addr add 10.8.{place}.2/32 dev eth1"),
        ]);
    }
    host.ip("addr add 10.9.0.1/24 dev lxc0");
    lone.ip_all(["link set lo up", "addr add 10.9.3.2/32 dev lo"]);

    let outside = Outside::of(host.handle());
    let [of_pod, of_lone, of_other] = [&pod, &lone, &other].map(|namespace| outside.ask(namespace.handle()));
    assert!(of_lone.is_none(), "{of_lone:?}");
    let seen = read(&[&host, &pod, &other], &[], &Want::default()).remove(0);
    let told = outside.host(host.handle());
    assert_eq!((&told.problems, &told.links), (&vec![], &seen.links));
    assert!(told.netns.is_host && told.links.iter().any(|link| !link.addresses.is_empty()), "{told:?}");
    for (told, namespace) in [(of_pod.unwrap(), &pod), (of_other.unwrap(), &other)] {
        assert_eq!(told.nsid.inode, namespace.inode());
        assert_eq!(seen.netns_of_id(told.nsid.nsid), Some(namespace.inode()));
        let inside = read(&[&host, namespace], &[], &Want::default()).remove(1);
        let inside: Vec<&Address> = inside.links.iter().flat_map(|link| &link.addresses).collect();
        assert!(inside.len() >= 4, "{inside:?}");
        assert_eq!(steady(&told.addresses.iter().collect::<Vec<_>>()), steady(&inside));
    }
}

/// Without what changes from one moment to the next: whether duplicates are still looked for.
fn steady(addresses: &[&Address]) -> Vec<Address> {
    addresses.iter().map(|address| Address { flags: Vec::new(), ..(*address).clone() }).collect()
}
