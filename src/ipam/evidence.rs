//! What the address stores of this node hold, as plain data to look at beside what the kernel shows.

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

use super::reader::{self, Listing, Reservation};
use super::{Error, Store};
use crate::collect::kernel::problem::chain;
use crate::collect::log;
use crate::model::address::Family;
use crate::model::address_store::{AddressStore, StoredAddress, StoredNetwork};
use crate::model::count::counted;
use crate::model::source::{Asked, Status};

/// Their names under «sources».
pub const SOURCES: [&str; 2] = ["host-local", "podnet's addresses"];

/// Both stores, with a line under «sources» for each.
pub fn stores(host_local_root: &Path, own_root: &Path) -> (Vec<AddressStore>, Vec<Asked>) {
    let questions: [(&str, &Path, Reader); 2] =
        [(SOURCES[0], host_local_root, host_local), (SOURCES[1], own_root, own)];
    let (mut stores, mut sources) = (Vec::new(), Vec::new());
    for (name, root, read) in questions {
        let start = Instant::now();
        let (status, detail) = match read(root) {
            Ok(Some(store)) => {
                let held: usize = store.networks.iter().map(|network| network.held.len()).sum();
                stores.push(store);
                (Status::Present, counted(held, "address", "addresses"))
            }
            Ok(None) => (Status::Absent, format!("nothing in {}", root.display())),
            Err(error) => (Status::Failed, chain(&error)),
        };
        let elapsed_ms = start.elapsed().as_secs_f64() * 1000.0;
        sources.push(log::told(Asked { name: name.to_owned(), status, detail: Some(detail), elapsed_ms }));
    }
    (stores, sources)
}

type Reader = fn(&Path) -> Result<Option<AddressStore>, Error>;

/// host-local's networks under `root`; None where there are none.
pub fn host_local(root: &Path) -> Result<Option<AddressStore>, Error> {
    let network = |name: String| network(name.clone(), reader::read(&root.join(name)));
    let networks: Vec<StoredNetwork> = reader::networks(root)?.into_iter().map(network).collect();
    let directory = root.to_string_lossy().into_owned();
    let store = AddressStore { kind: "host-local".to_owned(), directory, networks };
    Ok(Some(store).filter(|store| !store.networks.is_empty()))
}

/// podnet's own; None where it never gave an address.
pub fn own(root: &Path) -> Result<Option<AddressStore>, Error> {
    let directory = root.join("networks");
    if !directory.is_dir() {
        return Ok(None);
    }
    let store = Store::open(root);
    let pools = store.pools()?.into_iter().map(|pool| {
        let subnets = pool.subnets.iter().map(|subnet| subnet.cidr).collect();
        let size = |family| Some(pool.size(family) as u64).filter(|size| *size > 0);
        StoredNetwork {
            subnets,
            size_ipv4: size(Family::Ipv4),
            size_ipv6: size(Family::Ipv6),
            ..network(pool.name.clone(), store.listing(&pool.name))
        }
    });
    let networks = pools.collect();
    Ok(Some(AddressStore { kind: "podnet".to_owned(), directory: directory.to_string_lossy().into_owned(), networks }))
}

fn network(name: String, listing: Result<Listing, Error>) -> StoredNetwork {
    match listing {
        Ok(listing) => {
            let problems = listing.strangers.iter().map(|name| format!("{name}: no file of an address store"));
            let held = listing.reservations.iter().map(stored).collect();
            StoredNetwork { name, held, problems: problems.collect(), ..StoredNetwork::default() }
        }
        Err(error) => StoredNetwork { name, problems: vec![chain(&error)], ..StoredNetwork::default() },
    }
}

fn stored(reservation: &Reservation) -> StoredAddress {
    let holder = reservation.holder.as_ref();
    StoredAddress {
        address: reservation.address,
        container_id: holder.ok().map(|holder| holder.container_id.clone()),
        ifname: holder.ok().and_then(|holder| holder.ifname.clone()),
        since: reservation.since.and_then(|since| Timestamp::try_from(since).ok()),
        problem: holder.err().map(|error| chain(error)),
    }
}
