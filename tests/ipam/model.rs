//! The store against a model of it, and beside files that nobody meant to be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use podnet::ipam::Error;
use podnet::ipam::pool::Pool;
use proptest::prelude::*;

use crate::store::{addresses, owner, request, store};

#[derive(Clone, Debug)]
enum Step {
    Take(u8),
    Ask(u8, u8),
    Release(u8),
}

/// Twenty containers over two small subnets: they fill, and wrap around.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..20u8).prop_map(Step::Take),
        1 => (0..20u8, 0..16u8).prop_map(|(container, host)| Step::Ask(container, host)),
        3 => (0..20u8).prop_map(Step::Release),
    ]
}

fn ipv4(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// 10.7.0.0/28 but for network, gateway, broadcast and two excluded; 10.8.0.0/30 likewise.
fn small() -> (Pool, BTreeSet<IpAddr>) {
    let cidrs = ["10.7.0.0/28", "10.8.0.0/30"].map(|cidr| cidr.parse().unwrap());
    let pool = Pool::new("small", &cidrs, &[], vec!["10.7.0.5-10.7.0.6".parse().unwrap()]).unwrap();
    let usable = (2..15).filter(|host| ![5, 6].contains(host)).map(|host| ipv4(&format!("10.7.0.{host}")));
    (pool, usable.chain([ipv4("10.8.0.2")]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// No address twice, none that is withheld, none lost, and full only when all are held.
    #[test]
    fn does_what_a_map_would(steps in proptest::collection::vec(step(), 1..60)) {
        let (pool, usable) = small();
        let (_root, store) = store(&[pool]);
        let mut model: BTreeMap<String, IpAddr> = BTreeMap::new();
        for step in steps {
            let name = |container: u8| format!("c{container}");
            let free = |model: &BTreeMap<String, IpAddr>, address| !model.values().any(|held| *held == address);
            match step {
                Step::Take(container) => match store.reserve(&request("small", &name(container))) {
                    Ok(lease) => {
                        let given = addresses(&lease)[0];
                        prop_assert!(usable.contains(&given) && free(&model, given), "{} was given", given);
                        prop_assert!(model.insert(name(container), given).is_none());
                    }
                    Err(Error::AlreadyReserved { .. }) => prop_assert!(model.contains_key(&name(container))),
                    Err(Error::Full { .. }) => prop_assert_eq!(model.len(), usable.len()),
                    Err(error) => prop_assert!(false, "{}", error),
                },
                Step::Ask(container, host) => {
                    let wanted = ipv4(&format!("10.7.0.{host}"));
                    let mut request = request("small", &name(container));
                    request.wanted = vec![wanted];
                    match store.reserve(&request) {
                        Ok(lease) => {
                            prop_assert_eq!(addresses(&lease), [wanted]);
                            prop_assert!(usable.contains(&wanted) && free(&model, wanted));
                            prop_assert!(model.insert(name(container), wanted).is_none());
                        }
                        Err(error) => prop_assert!(
                            model.contains_key(&name(container)) || !free(&model, wanted) || !usable.contains(&wanted),
                            "{}", error
                        ),
                    }
                }
                Step::Release(container) => {
                    let released = store.release(&owner(&name(container))).unwrap();
                    prop_assert_eq!(released, model.remove(&name(container)).into_iter().collect::<Vec<_>>());
                }
            }
            let held: BTreeSet<IpAddr> = store.held().unwrap().iter().map(|held| held.reservation.address).collect();
            prop_assert_eq!(held, model.values().copied().collect::<BTreeSet<_>>());
        }
    }

    /// Whatever a file says, its address is not given away, and nothing panics.
    #[test]
    fn files_of_any_content_are_taken_or_refused(
        files in proptest::collection::vec(
            (prop_oneof!["10\\.7\\.0\\.[2-9]", "last_reserved_ip\\.[01]", "\\PC{1,12}"], proptest::collection::vec(any::<u8>(), 0..64)),
            1..8,
        ),
    ) {
        let (pool, _) = small();
        let (root, store) = store(&[pool]);
        let directory = root.path().join("networks/small");
        fs::create_dir_all(&directory).unwrap();
        let fits = |name: &str| !name.contains(['/', '\0']) && ![".", ".."].contains(&name);
        let mut taken = BTreeSet::new();
        for (name, content) in files.iter().filter(|(name, _)| fits(name)) {
            fs::write(directory.join(name), content).unwrap();
            taken.extend(name.parse::<IpAddr>());
        }
        let _ = store.listing("small");
        let _ = store.lease(&owner("one"));
        for container in ["one", "two"] {
            if let Ok(lease) = store.reserve(&request("small", container)) {
                prop_assert!(!taken.contains(&addresses(&lease)[0]), "{:?} of {:?}", lease, taken);
                store.release(&owner(container)).unwrap();
            }
        }
        taken.iter().for_each(|address| {
            let _ = store.holder(*address);
        });
    }
}
