//! What the store gives out and takes back, on real files.

use std::fs;
use std::net::IpAddr;

use podnet::ipam::pool::Pool;
use podnet::ipam::reader::Reservation;
use podnet::ipam::{Error, Held, Lease, Store};

use crate::store::{addresses, owner, pool, request, store};

#[test]
fn gives_one_address_of_each_family_with_its_gateway() {
    let (_root, store) = store(&[]);
    let lease = store.reserve(&request("default", "c1")).unwrap();
    let shown: Vec<String> =
        lease.addresses.iter().map(|leased| format!("{} via {}", leased.address, leased.gateway)).collect();
    assert_eq!(shown, ["10.42.0.2/24 via 10.42.0.1", "fd42::2/64 via fd42::1"]);
    assert_eq!(store.lease(&owner("c1")).unwrap(), lease);
}

#[test]
fn writes_files_as_host_local_does() {
    let (root, store) = store(&[]);
    store.reserve(&request("default", "c1")).unwrap();
    let network = root.path().join("networks/default");
    for name in ["10.42.0.2", "fd42::2"] {
        assert_eq!(fs::read_to_string(network.join(name)).unwrap(), "c1\r\neth0");
    }
    assert_eq!(fs::read_to_string(network.join("last_reserved_ip.0")).unwrap(), "10.42.0.2");
    let mut names: Vec<_> = fs::read_dir(&network).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["10.42.0.2", "fd42::2", "last_reserved_ip.0", "last_reserved_ip.1", "lock"]);
}

#[test]
fn the_same_interface_asked_again_is_an_error_and_not_a_second_address() {
    let (_root, store) = store(&[pool("blue", &["10.7.0.0/29"])]);
    store.reserve(&request("default", "c1")).unwrap();
    for name in ["default", "blue"] {
        let refused = store.reserve(&request(name, "c1"));
        assert!(matches!(refused, Err(Error::AlreadyReserved { .. })), "{name}: {refused:?}");
    }
    assert_eq!(store.held().unwrap().len(), 2);
    let mut second = request("blue", "c1");
    second.owner = podnet::ipam::Owner::new("c1", "net1").unwrap();
    store.reserve(&second).unwrap();
}

#[test]
fn release_is_idempotent_and_frees_the_interface() {
    let (_root, store) = store(&[]);
    let lease = store.reserve(&request("default", "c1")).unwrap();
    assert_eq!(store.release(&owner("c1")).unwrap(), addresses(&lease));
    assert_eq!(store.release(&owner("c1")).unwrap(), Vec::<IpAddr>::new());
    assert!(store.held().unwrap().is_empty());
    store.reserve(&request("default", "c1")).unwrap();
}

#[test]
fn a_released_address_rests_until_the_search_comes_round() {
    let (_root, store) = store(&[pool("small", &["10.7.0.0/29"])]);
    let take = |container: &str| addresses(&store.reserve(&request("small", container)).unwrap())[0].to_string();
    assert_eq!([take("a"), take("b"), take("c")], ["10.7.0.2", "10.7.0.3", "10.7.0.4"]);
    store.release(&owner("c")).unwrap();
    assert_eq!(store.last_holder("small", "10.7.0.4".parse().unwrap()).unwrap().holder.unwrap().container_id, "c");
    assert_eq!([take("d"), take("e")], ["10.7.0.5", "10.7.0.6"]);
    assert_eq!(take("f"), "10.7.0.4", "nothing but the rested address is left");
    assert!(store.resting("small").unwrap().is_empty());
    assert!(matches!(store.reserve(&request("small", "g")), Err(Error::Full { size: 5, .. })));
}

#[test]
fn an_address_can_be_asked_for() {
    let (_root, store) = store(&[]);
    let ask = |container: &str, address: &str| {
        let mut request = request("default", container);
        request.wanted = vec![address.parse().unwrap()];
        store.reserve(&request)
    };
    let given = addresses(&ask("a", "10.42.0.77").unwrap());
    assert_eq!(given, ["10.42.0.77".parse::<IpAddr>().unwrap(), "fd42::2".parse().unwrap()]);
    let far = "fd42::dead:beef:0:1";
    assert_eq!(addresses(&ask("b", far).unwrap())[1], far.parse::<IpAddr>().unwrap());
    assert!(matches!(ask("c", "10.42.0.77"), Err(Error::Taken { .. })));
    assert!(matches!(ask("c", "10.42.0.1"), Err(Error::Withheld { reason: "the gateway", .. })));
    assert!(matches!(ask("c", "10.42.0.255"), Err(Error::Withheld { .. })));
    assert!(matches!(ask("c", "10.43.0.1"), Err(Error::NotInPool { .. })));
}

#[test]
fn both_families_or_none() {
    let (root, store) = store(&[pool("one", &["10.7.0.0/30", "fd07::/64"])]);
    store.reserve(&request("one", "a")).unwrap();
    assert!(matches!(store.reserve(&request("one", "b")), Err(Error::Full { .. })));
    assert_eq!(store.held().unwrap().len(), 2);
    assert!(!root.path().join("owners/b@eth0").exists());
    store.release(&owner("a")).unwrap();
    assert_eq!(store.reserve(&request("one", "b")).unwrap().addresses.len(), 2);
}

#[test]
fn a_full_subnet_is_followed_by_the_next() {
    let (_root, store) = store(&[pool("two", &["10.7.0.0/30", "10.9.0.0/30"])]);
    let take = |container: &str| addresses(&store.reserve(&request("two", container)).unwrap())[0].to_string();
    assert_eq!([take("a"), take("b")], ["10.7.0.2", "10.9.0.2"]);
}

#[test]
fn each_family_can_come_from_a_pool_of_its_own() {
    let (_root, store) = store(&[pool("four", &["10.7.0.0/29"]), pool("six", &["fd07::/120"])]);
    let mut both = request("four", "a");
    both.ipv6 = Some("six".to_owned());
    let pools = |lease: &Lease| lease.addresses.iter().map(|leased| leased.pool.clone()).collect::<Vec<_>>();
    assert_eq!(pools(&store.reserve(&both).unwrap()), ["four", "six"]);
    assert_eq!(store.release(&owner("a")).unwrap().len(), 2);
    both.ipv4 = None;
    assert_eq!(pools(&store.reserve(&both).unwrap()), ["six"]);
}

#[test]
fn an_unknown_pool_is_named_with_those_that_exist_and_nothing_is_made() {
    let (root, store) = store(&[]);
    let refused = store.reserve(&request("blu", "a")).unwrap_err();
    assert_eq!(refused.to_string(), "there is no pool blu (there are: default)");
    assert!(fs::read_dir(root.path()).unwrap().next().is_none());
}

#[test]
fn pools_are_added_and_removed_but_not_while_in_use() {
    let (root, store) = store(&[pool("blue", &["10.7.0.0/29"])]);
    let reopened = Store::open(root.path());
    assert_eq!(reopened.pool("blue").unwrap(), pool("blue", &["10.7.0.0/29"]));
    assert!(matches!(store.add_pool(&pool("blue", &["10.9.0.0/29"])), Err(Error::PoolExists { .. })));
    assert!(matches!(store.add_pool(&pool("red", &["10.7.0.0/24"])), Err(Error::Pool { .. })));
    assert!(matches!(store.add_pool(&pool("red", &["10.42.0.0/16"])), Err(Error::Pool { .. })));
    store.reserve(&request("blue", "a")).unwrap();
    assert!(matches!(store.remove_pool("blue"), Err(Error::PoolInUse { held: 1, .. })));
    store.release(&owner("a")).unwrap();
    store.remove_pool("blue").unwrap();
    assert!(matches!(store.remove_pool("blue"), Err(Error::NoSuchPool { .. })));
    assert!(matches!(store.remove_pool("default"), Err(Error::BuiltIn { .. })));
    store.add_pool(&pool("default", &["10.9.0.0/24"])).unwrap();
    assert_eq!(store.pools().unwrap(), [pool("default", &["10.9.0.0/24"])]);
    store.remove_pool("default").unwrap();
    assert_eq!(store.pools().unwrap(), [Pool::built_in()]);
}

#[test]
fn files_of_others_count_as_held_and_can_be_released() {
    let (root, store) = store(&[pool("blue", &["10.7.0.0/28"])]);
    let network = root.path().join("networks/blue");
    fs::write(network.join("10.7.0.2"), "old-host-local-container").unwrap();
    fs::write(network.join("10.7.0.3"), "").unwrap();
    fs::write(network.join("10.7.0.4"), "c4\r\neth0").unwrap();
    fs::write(network.join("10.7.0.5"), [0xff, 0xfe]).unwrap();
    fs::write(network.join("notes.txt"), "of an operator").unwrap();
    fs::write(network.join("last_reserved_ip.0"), "").unwrap();
    assert_eq!(addresses(&store.reserve(&request("blue", "a")).unwrap())[0].to_string(), "10.7.0.6");
    assert_eq!(store.listing("blue").unwrap().strangers, ["notes.txt"]);
    for (container, address) in [("old-host-local-container", "10.7.0.2"), ("c4", "10.7.0.4")] {
        assert_eq!(store.release(&owner(container)).unwrap(), [address.parse::<IpAddr>().unwrap()]);
    }
    let empty: IpAddr = "10.7.0.3".parse().unwrap();
    let release = || {
        let unclear = |held: &[Held]| -> Result<(), Error> {
            assert!(held.iter().all(|held| held.reservation.holder.is_err()), "{held:?}");
            Ok(())
        };
        store.release_unless(|found| found.address == empty, unclear).unwrap()
    };
    assert_eq!(release(), [empty]);
    assert!(release().is_empty());
}

#[test]
fn what_is_objected_to_is_not_released_nor_what_was_chosen_with_it() {
    let (_root, store) = store(&[pool("blue", &["10.7.0.0/28", "fd07::/120"])]);
    let mut both = request("blue", "a");
    both.ipv4 = Some("default".to_owned());
    store.reserve(&both).unwrap();
    store.reserve(&request("blue", "b")).unwrap();
    let of_a = |found: &Reservation| found.holder.as_ref().is_ok_and(|holder| holder.container_id == "a");
    let refused =
        store.release_unless(of_a, |held| Err(Error::NoSuchPool { pool: held[0].pool.clone(), known: vec![] }));
    assert!(refused.is_err());
    let held: Vec<String> = store.held().unwrap().iter().map(|held| held.reservation.address.to_string()).collect();
    assert_eq!(held, ["10.7.0.2", "fd07::2", "fd07::3", "10.42.0.2"], "all is held as before");
}

#[test]
fn a_record_without_addresses_stands_in_nobodys_way() {
    let (root, store) = store(&[pool("blue", &["10.7.0.0/28"])]);
    fs::create_dir_all(root.path().join("owners")).unwrap();
    std::os::unix::fs::symlink("blue/10.7.0.9", root.path().join("owners/a@eth0")).unwrap();
    assert_eq!(addresses(&store.reserve(&request("blue", "a")).unwrap())[0].to_string(), "10.7.0.2");
    std::os::unix::fs::symlink("gone/10.7.0.9,..//,x", root.path().join("owners/b@eth0")).unwrap();
    assert!(store.release(&owner("b")).unwrap().is_empty());
    store.reserve(&request("blue", "b")).unwrap();
}
