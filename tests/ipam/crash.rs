//! Processes that are killed while they reserve and release: every file whole, no address twice,
//! none lost.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use podnet::ipam::{Error, Owner, Store};

use crate::store::{owner, pool, request, store};

/// What the children below are told by.
const ROOT: &str = "PODNET_TEST_IPAM_ROOT";
const NAME: &str = "PODNET_TEST_IPAM_NAME";

/// Not a test of its own: the child that `spawn` starts. It reserves from two pools in turn,
/// says each reservation that was completed, releases every second one, until it is killed or is
/// through. Without its variables it is nothing.
#[test]
fn child() {
    let (Ok(root), Ok(name)) = (std::env::var(ROOT), std::env::var(NAME)) else { return };
    let store = Store::open(Path::new(&root));
    for round in 0..120 {
        let container = format!("{name}-{round}");
        let pool = if round % 2 == 0 { "blue" } else { "red" };
        match store.reserve(&request(pool, &container)) {
            Ok(lease) => println!("\n+ {container} {}", lease.addresses[0].address.addr()),
            Err(Error::Full { .. }) => break,
            Err(error) => panic!("{error:?}"),
        }
        if round % 4 >= 2 {
            println!("\n- {container}");
            store.release(&owner(&container)).unwrap();
        }
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(root: &Path, name: &str) -> Killed {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child", "--nocapture"]).env(ROOT, root).env(NAME, name);
    Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

/// The containers that said they have an address and did not begin to give it back.
fn said(children: Vec<Killed>) -> BTreeMap<String, IpAddr> {
    let mut holding = BTreeMap::new();
    for mut child in children {
        for line in BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["+", container, address] => drop(holding.insert((*container).to_owned(), address.parse().unwrap())),
                ["-", container] => drop(holding.remove(*container)),
                _ => {}
            }
        }
    }
    holding
}

/// Every file whole, every owner in one place, every address that was told of still there.
fn check(store: &Store, said: &BTreeMap<String, IpAddr>) {
    let mut by_container = BTreeMap::new();
    for held in store.held().unwrap() {
        let holder = held.reservation.holder.expect("a file that is not whole");
        assert_eq!(holder.ifname.as_deref(), Some("eth0"));
        let twice = by_container.insert(holder.container_id.clone(), held.reservation.address);
        assert_eq!(twice, None, "{} holds two addresses", holder.container_id);
    }
    for (container, address) in said {
        assert_eq!(by_container.get(container), Some(address), "{container} lost its address");
    }
}

/// What a DEL of every container leaves: nothing.
fn release_all(store: &Store) {
    for held in store.held().unwrap() {
        let container = held.reservation.holder.unwrap().container_id;
        assert_eq!(store.release(&Owner::new(&container, "eth0").unwrap()).unwrap(), [held.reservation.address]);
    }
    assert!(store.held().unwrap().is_empty());
}

#[test]
fn killed_at_any_moment_it_leaves_whole_files() {
    let (root, store) = store(&[pool("blue", &["10.7.0.0/24"]), pool("red", &["10.8.0.0/24"])]);
    for round in 0..12_u64 {
        let mut child = spawn(root.path(), &format!("r{round}"));
        let network = root.path().join("networks/blue/last_reserved_ip.0");
        let begun = || fs::metadata(&network).and_then(|metadata| metadata.modified()).ok();
        let before = begun();
        let deadline = Instant::now() + Duration::from_secs(20);
        while begun() == before && child.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the child never reserved");
            std::thread::yield_now();
        }
        // Moments spread over the steps of the reservations that follow.
        std::thread::sleep(Duration::from_micros(round * 797 % 9_000));
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        check(&store, &said(vec![child]));
        release_all(&store);
    }
}

#[test]
fn sixteen_processes_and_kills_among_them_give_no_address_twice_and_lose_none() {
    let (root, store) = store(&[pool("blue", &["10.7.0.0/22"]), pool("red", &["10.8.0.0/22", "10.9.0.0/24"])]);
    let mut children: Vec<Killed> = (0..16).map(|n| spawn(root.path(), &format!("p{n}"))).collect();
    for (nth, child) in children.iter_mut().enumerate().filter(|(nth, _)| nth % 4 == 0) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let wanted = 20 * (nth + 1);
        while store.listing("blue").unwrap().reservations.len() < wanted && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.0.kill().unwrap();
        child.0.wait().unwrap();
    }
    let said = said(children);
    assert!(said.len() > 200, "only {} reservations", said.len());
    check(&store, &said);
    release_all(&store);
}
