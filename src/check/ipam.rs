//! PN-IPAM: whose address it is, by the stores, by CNI and by the kernel.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::facts::Facts;
use super::hit::Hit;
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::address_store::{AddressStore, StoredAddress, StoredNetwork};
use crate::model::network::FLANNEL;

pub static LEAKED: Rule = Rule {
    code: "PN-IPAM-001",
    severity: Severity::Warning,
    sentence: "An address is held for a container that is gone.",
    meaning: "Nobody else gets it. When enough have gathered, new pods fail with «no IP addresses available», on a node \
              that looks empty.",
    origin: "the runtime or the node was killed before the pod was torn down: host-local's files survive a reboot",
    confirm: "podnet ipam show ADDRESS; podnet list --all knows no container of that id",
    fix: "podnet ipam check --report FILE, once more some minutes later, then podnet ipam release --from-report for both",
    needs: &[Need::Stores, Need::Everyone],
    follows: &[],
    run: Run::Node(leaked),
};

fn leaked(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let gone = all_leaked(facts);
    gone.into_iter()
        .map(|held| {
            about(&held)
                .saw("its container", held.address.container_id.clone().unwrap_or_default(), &held.store.kind)
                .saw("known to a runtime, or in a netns", "no", "proc")
                .saw_if("held since", held.address.since.map(|since| since.to_string()), &held.store.kind)
        })
        .collect()
}

/// An address that a store holds.
pub struct Held<'a> {
    pub store: &'a AddressStore,
    pub network: &'a StoredNetwork,
    pub address: &'a StoredAddress,
}

impl Held<'_> {
    /// Its file.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.store.directory, self.network.name, self.address.address)
    }
}

/// Everything that the stores hold.
pub fn all_held<'a>(facts: &Facts<'a>) -> impl Iterator<Item = Held<'a>> {
    facts.node.address_stores.iter().flat_map(|store| {
        store
            .networks
            .iter()
            .flat_map(move |network| network.held.iter().map(move |address| Held { store, network, address }))
    })
}

/// What is held for nobody: its container is unknown to every runtime and every process, no namespace has the address,
/// and it was so for long enough. Only where every namespace could be read is that known.
pub fn all_leaked<'a>(facts: &Facts<'a>) -> Vec<Held<'a>> {
    let in_use = facts.addresses_in_use();
    let gone = |held: &Held<'_>| {
        let Some(container) = &held.address.container_id else { return false };
        !facts.knows_container(container) && !in_use.contains(&held.address.address) && facts.is_old(held.address.since)
    };
    if facts.not_everyone().is_some() {
        return Vec::new();
    }
    all_held(facts).filter(gone).collect()
}

fn about(held: &Held<'_>) -> Hit {
    Hit::new().thing(held.path()).saw(
        format!("address of {} {}", held.store.kind, held.network.name),
        held.address.address.to_string(),
        &held.store.kind,
    )
}

pub static NOT_HELD: Rule = Rule {
    code: "PN-IPAM-002",
    severity: Severity::Error,
    sentence: "The pod has an address that its address store holds for nobody.",
    meaning: "The store believes that it is free, and will give it to the next pod that asks: then two have it.",
    origin: "the store's directory was wiped or restored while pods were running, or the address was released by hand",
    confirm: "podnet ipam show ADDRESS",
    fix: "make the pod anew; until then keep new pods off the node (kubectl cordon)",
    needs: &[Need::Stores, Need::Attachments],
    follows: &[],
    run: Run::Pod(not_held),
};

fn not_held(pod: &Pod<'_>) -> Vec<Hit> {
    let given = given_by_stores(pod);
    let free = given.iter().filter(|(network, _, address)| !network.held.iter().any(|held| held.address == *address));
    free.map(|(network, store, address)| {
        Hit::new().saw(format!("address in {}", pod.place()), address.to_string(), "kernel").saw(
            format!("held in {} {}", store.kind, network.name),
            "by nobody",
            &store.kind,
        )
    })
    .collect()
}

/// The addresses of a pod that came from a store of this node, as CNI noted, and that it still has.
fn given_by_stores<'a>(pod: &Pod<'a>) -> Vec<(&'a StoredNetwork, &'a AddressStore, IpAddr)> {
    let mut given = Vec::new();
    for attachment in &pod.attachments {
        let kind = match (attachment.ipam.as_deref(), attachment.plugins.first().map(String::as_str)) {
            (Some("host-local"), _) | (None, Some(FLANNEL)) => "host-local",
            (_, Some("podnet")) => "podnet",
            _ => continue,
        };
        let stores = pod.facts.node.address_stores.iter().filter(|store| store.kind == kind);
        // podnet's pools have names of their own; of host-local the network's is the directory's.
        let of = |network: &&StoredNetwork, address: IpAddr| match kind {
            "podnet" => network.subnets.iter().any(|subnet| subnet.contains(&address)),
            _ => network.name == attachment.network,
        };
        for store in stores {
            for address in attachment.addresses.iter().map(|address| address.address.addr()) {
                let here = pod.addresses().any(|(_, own)| own.address == address);
                let fitting = || store.networks.iter().filter(|network| of(network, address));
                // Of two pools that overlap it is the one that holds it.
                let holds = |network: &&StoredNetwork| network.held.iter().any(|held| held.address == address);
                let network = fitting().find(holds).or_else(|| fitting().next());
                given.extend(network.filter(|_| here).map(|network| (network, store, address)));
            }
        }
    }
    given
}

pub static HELD_BY_ANOTHER: Rule = Rule {
    code: "PN-IPAM-003",
    severity: Severity::Error,
    sentence: "The pod has an address that its address store holds for another container.",
    meaning: "Two containers have a claim on it. When the other one is torn down, the address of this one is released \
              while it is in use.",
    origin: "the store was wiped and the address given out again, or two runtimes share one store",
    confirm: "podnet ipam show ADDRESS",
    fix: "make this pod anew",
    needs: &[Need::Stores, Need::Attachments],
    follows: &["PN-ADDR-004"],
    run: Run::Pod(held_by_another),
};

fn held_by_another(pod: &Pod<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (network, store, address) in given_by_stores(pod) {
        let holder =
            network.held.iter().find(|held| held.address == address).and_then(|held| held.container_id.as_deref());
        if let Some(other) = holder.filter(|id| !pod.is_container(id)) {
            hits.push(Hit::new().saw(format!("address in {}", pod.place()), address.to_string(), "kernel").saw(
                format!("held in {} {}", store.kind, network.name),
                other,
                &store.kind,
            ));
        }
    }
    hits
}

pub static HELD_TWICE: Rule = Rule {
    code: "PN-IPAM-004",
    severity: Severity::Warning,
    sentence: "Two address stores of this node hold the same address.",
    meaning: "Each believes that it alone gives it out: sooner or later two pods have it at once.",
    origin: "two networks were given overlapping ranges",
    confirm: "podnet ipam list; ls /var/lib/cni/networks/*",
    fix: "give one of the networks another range, and make its pods anew",
    needs: &[Need::Stores],
    follows: &["PN-IPAM-013"],
    run: Run::Node(held_twice),
};

fn held_twice(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let mut by_address: BTreeMap<IpAddr, Vec<Held<'_>>> = BTreeMap::new();
    for held in all_held(facts) {
        by_address.entry(held.address.address).or_default().push(held);
    }
    let several = by_address.into_iter().filter(|(_, holders)| holders.len() > 1);
    several
        .map(|(address, holders)| {
            let hit = Hit::new().thing(format!("ip:{address}"));
            holders.iter().fold(hit, |hit, held| {
                let id = held.address.container_id.clone().unwrap_or_else(|| "nobody that can be told".to_owned());
                hit.saw(format!("held in {} {}", held.store.kind, held.network.name), id, &held.store.kind)
            })
        })
        .collect()
}

pub static DAMAGED: Rule = Rule {
    code: "PN-IPAM-005",
    severity: Severity::Warning,
    sentence: "A file of an address store does not tell who holds its address.",
    meaning: "The address is taken for ever: DEL of its container looks for the id in the file, and does not find it.",
    origin: "host-local was killed, or the disk full, while it wrote the file",
    confirm: "cat the file: it is empty, or no text",
    fix: "when podnet list shows nobody with that address, remove the file",
    needs: &[Need::Stores],
    follows: &[],
    run: Run::Node(damaged),
};

fn damaged(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let in_use = facts.addresses_in_use();
    let damaged = all_held(facts).filter_map(|held| held.address.problem.clone().map(|problem| (held, problem)));
    damaged
        .map(|(held, problem)| {
            let taken = if in_use.contains(&held.address.address) { "yes" } else { "no" };
            about(&held).saw("problem", problem, &held.store.kind).saw("a namespace has the address", taken, "kernel")
        })
        .collect()
}

pub static OUT_OF_RANGE: Rule = Rule {
    code: "PN-IPAM-006",
    severity: Severity::Warning,
    sentence: "An address store holds an address that is outside of its network's range.",
    meaning: "It was given out under another range: routes, firewalls and the other nodes may not know that this address is \
              here.",
    origin: "the range of the network was changed while pods were running",
    confirm: "podnet status names the network's file with its range; podnet ipam list",
    fix: "make the pods with old addresses anew",
    needs: &[Need::Stores],
    follows: &[],
    run: Run::Node(out_of_range),
};

fn out_of_range(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let outside = all_held(facts).filter(|held| {
        let (subnets, ranges) = (&held.network.subnets, &held.network.ranges);
        let address = held.address.address;
        let within = subnets.iter().any(|subnet| subnet.contains(&address))
            && (ranges.is_empty() || ranges.iter().any(|range| range.contains(address)));
        !subnets.is_empty() && !within
    });
    outside
        .map(|held| {
            let ranges: Vec<String> = match held.network.ranges.as_slice() {
                [] => held.network.subnets.iter().map(ToString::to_string).collect(),
                ranges => ranges.iter().map(|range| format!("{}-{}", range.first, range.last)).collect(),
            };
            about(&held).saw("range of the network", ranges.join(", "), "CNI configuration")
        })
        .collect()
}

pub static FILLING: Rule = Rule {
    code: "PN-IPAM-007",
    severity: Severity::Warning,
    sentence: "A pool of addresses is nearly used up.",
    meaning: "When it is, new pods on this node get no network.",
    origin: "more pods than the range was made for, or addresses that were never released",
    confirm: "podnet ipam; podnet ipam check tells which are held for nobody",
    fix: "release what is held for nobody (podnet ipam check), or give the node another range",
    needs: &[],
    follows: &[],
    run: Run::Node(filling),
};

/// In parts of a hundred.
const NEARLY: u128 = 90;
/// A range of a handful is meant to be used up.
const SMALL: u64 = 8;

fn filling(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let nearly = |pool: &Pool| u128::from(pool.used) * 100 >= u128::from(pool.size) * NEARLY;
    pools(facts).into_iter().filter(|pool| pool.used < pool.size && nearly(pool)).map(Pool::shown).collect()
}

pub static FULL: Rule = Rule {
    code: "PN-IPAM-008",
    severity: Severity::Error,
    sentence: "A pool of addresses is used up: new pods on this node get no network.",
    meaning: "ADD fails with «no IP addresses available» or «range is full», and pods stay ContainerCreating.",
    origin: "more pods than the range was made for, or addresses that were never released",
    confirm: "podnet ipam; podnet ipam check tells which are held for nobody",
    fix: "release what is held for nobody (podnet ipam check), or give the node another range",
    needs: &[],
    follows: &[],
    run: Run::Node(full),
};

fn full(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    pools(facts).into_iter().filter(|pool| pool.used >= pool.size).map(Pool::shown).collect()
}

struct Pool {
    name: String,
    source: String,
    used: u64,
    size: u64,
}

impl Pool {
    fn shown(self) -> Hit {
        let left = self.size.saturating_sub(self.used);
        Hit::new().thing(self.name.clone()).saw("used", format!("{} of {}", self.used, self.size), &self.source).saw(
            "left",
            left.to_string(),
            &self.source,
        )
    }
}

/// Of the stores, and of the agent.
fn pools(facts: &Facts<'_>) -> Vec<Pool> {
    let mut pools = Vec::new();
    for store in &facts.node.address_stores {
        for network in &store.networks {
            for family in [Family::Ipv4, Family::Ipv6] {
                let (used, size) = network.fill(family);
                let Some(size) = size.filter(|size| *size >= SMALL) else { continue };
                let name = format!("{} {} {family}", store.kind, network.name);
                pools.push(Pool { name, source: store.kind.clone(), used, size });
            }
        }
    }
    let agents = facts.node.agent.iter().filter_map(|agent| agent.ipam.as_ref()).flat_map(|ipam| &ipam.fills);
    pools.extend(agents.filter(|fill| fill.size >= SMALL).map(|fill| Pool {
        name: format!("cilium {}", fill.family),
        source: crate::model::agent::SOURCE.to_owned(),
        used: fill.used,
        size: fill.size,
    }));
    pools
}

pub static STRANGER: Rule = Rule {
    code: "PN-IPAM-009",
    severity: Severity::Info,
    sentence: "Something lies in an address store that does not belong there.",
    meaning: "It does no harm by itself; host-local passes over it.",
    origin: "an editor's backup, a file that was moved there, or a program that takes the directory for its own",
    confirm: "ls the directory",
    fix: "remove it, if nobody wants it",
    needs: &[Need::Stores],
    follows: &[],
    run: Run::Node(stranger),
};

fn stranger(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let networks =
        facts.node.address_stores.iter().flat_map(|store| store.networks.iter().map(move |network| (store, network)));
    networks
        .flat_map(|(store, network)| network.problems.iter().map(move |problem| (store, network, problem)))
        .map(|(store, network, problem)| {
            Hit::new().thing(format!("{}/{}", store.directory, network.name)).saw("in it", problem.clone(), &store.kind)
        })
        .collect()
}
