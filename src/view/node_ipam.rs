//! Which subnets this node gives addresses from, and whether it can take another pod: by the agent, the stores of
//! address plugins and podnet's own, and the CNI configuration in force.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::API_VERSION;
use super::ipam::{AddressList, FamilyUse, HeldAddress, OWN, PoolList, PoolUse, UncountedUse};
use crate::model::address::Family;
use crate::model::agent::{Agent, Allocation, Ipam, SOURCE};
use crate::model::kube::cilium::CiliumNode;
use crate::model::network::{NetworkFile, Standing};
use crate::model::node::Node;

const HOST_LOCAL: &str = "host-local";
const CILIUM_CNI: &str = "cilium-cni";
/// The agent's pool where none is named.
const DEFAULT_POOL: &str = "default";

/// The pools of whoever gives addresses here, whose word counts first. `own` are podnet's.
pub fn pools(node: &Node, mut own: Vec<PoolUse>) -> PoolList {
    let ruler = ruler(node, &own);
    // The pool that podnet has from the start is nobody's concern where another gives the addresses.
    if ruler.as_deref().is_some_and(|ruler| ruler != OWN) {
        own.retain(|pool| pool.name != DEFAULT_POOL || pool.families.iter().any(|family| family.used > 0));
    }
    let mut items = agents(node);
    items.extend(host_locals(node));
    items.extend(own);
    items.sort_by_key(|pool| Some(pool.by.as_str()) != ruler.as_deref());
    let network = in_force(node).and_then(|file| file.network.as_deref());
    let ruling = |pool: &&PoolUse| {
        Some(pool.by.as_str()) == ruler.as_deref() && (pool.by != HOST_LOCAL || Some(pool.name.as_str()) == network)
    };
    let ruling: Vec<&PoolUse> = items.iter().filter(ruling).collect();
    let mode = node.agent.as_ref().and_then(|agent| agent.mode.ipam.clone());
    let (answer, can_take_another) = answer(node, ruler.as_deref(), mode.as_deref(), &ruling);
    PoolList {
        api_version: API_VERSION.to_owned(),
        kind: "PoolList".to_owned(),
        node: Some(node.hostname.clone()),
        ruled_by: ruler,
        mode,
        answer: Some(answer),
        can_take_another,
        items,
        sources: node.sources.clone(),
    }
}

/// Who gives the next pod its addresses.
fn ruler(node: &Node, own: &[PoolUse]) -> Option<String> {
    let file = in_force(node);
    if let Some(agent) = &node.agent {
        let delegated = agent.mode.ipam.as_deref() == Some("delegated-plugin");
        let chained = agent.mode.chaining.as_deref().is_some_and(|mode| !matches!(mode, "none" | "portmap" | ""));
        if !delegated && !chained && agent.ipam.is_some() {
            return Some(SOURCE.to_owned());
        }
    }
    if let Some(file) = file {
        let first = file.plugins.first().map(String::as_str);
        return match (file.ipam.as_deref(), first) {
            (Some(ipam), _) => Some(ipam.to_owned()),
            (None, Some(CILIUM_CNI)) => Some(SOURCE.to_owned()),
            (None, Some(plugin)) => Some(plugin.to_owned()),
            (None, None) => None,
        };
    }
    let used = own.iter().any(|pool| pool.families.iter().any(|family| family.used > 0));
    used.then(|| OWN.to_owned())
}

/// The network that the first runtime takes.
fn in_force(node: &Node) -> Option<&NetworkFile> {
    node.networks.iter().flatten().find_map(|reader| reader.picked())
}

fn answer(node: &Node, ruler: Option<&str>, mode: Option<&str>, pools: &[&PoolUse]) -> (String, Option<bool>) {
    let Some(ruler) = ruler else {
        let why = "no agent answers, no CNI configuration is in force, and no address of podnet's is held";
        return (format!("nobody gives pods addresses here: {why}"), None);
    };
    if ruler == SOURCE && node.agent.is_none() {
        let why = node.sources.iter().find(|source| source.name == SOURCE).and_then(|source| source.detail.clone());
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        let left: usize = node.endpoints.iter().map(|endpoint| endpoint.addresses.len()).sum();
        let answer = format!(
            "the Cilium agent gives pods their addresses and does not answer{why}: no further pod gets one; {left} are in use by what it left"
        );
        return (answer, Some(false));
    }
    if pools.is_empty() {
        return (format!("{ruler} gives pods their addresses; podnet does not read its books"), None);
    }
    let counted = || pools.iter().flat_map(|pool| &pool.families);
    let uncounted = || pools.iter().flat_map(|pool| &pool.uncounted);
    let subnets = counted().flat_map(|family| &family.subnets).chain(uncounted().flat_map(|family| &family.subnets));
    let subnets: BTreeSet<String> = subnets.map(ToString::to_string).collect();
    let from = match subnets.is_empty() {
        true => String::new(),
        false => format!(" from {}", subnets.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let by = mode.filter(|_| ruler == SOURCE).map_or_else(|| ruler.to_owned(), |mode| format!("{ruler}, {mode}"));
    let name = |pool: &PoolUse| if pools.len() > 1 { format!("{} ", pool.name) } else { String::new() };
    let used = pools.iter().flat_map(|pool| {
        let counted = pool.families.iter().map(|family| format!("{} of {}", family.used, family.size));
        let figures = counted.chain(pool.uncounted.iter().map(|family| family.used.to_string()));
        figures.map(|figure| format!("{}{figure} used", name(pool))).collect::<Vec<_>>()
    });
    let used: Vec<String> = used.collect();
    // Of a pod that names no pool.
    let usual = pools.iter().find(|pool| pool.name == DEFAULT_POOL && !is_empty(pool)).or(pools.first());
    let can = usual.and_then(|pool| can_take(pool));
    let full: Vec<&str> =
        pools.iter().filter(|pool| can_take(pool) == Some(false)).map(|pool| pool.name.as_str()).collect();
    let grows = ruler == SOURCE && !mode.is_some_and(|mode| FIXED.contains(&mode));
    let verdict = match can {
        Some(true) if full.is_empty() => "it can take another pod".to_owned(),
        Some(true) => format!("it can take another pod, but none of the full pool {}", full.join(", ")),
        Some(false) if grows => "it cannot take another pod until Cilium's operator gives it more".to_owned(),
        Some(false) => "it cannot take another pod: delete pods, or give it another subnet".to_owned(),
        None => "how many more, nobody here tells (--kube asks the CiliumNode)".to_owned(),
    };
    (format!("pods get addresses{from} ({by}): {}; {verdict}", used.join(", ")), can)
}

/// Modes of the agent whose pools are what the node was given when it joined.
const FIXED: [&str; 2] = ["kubernetes", "cluster-pool"];

fn is_empty(pool: &PoolUse) -> bool {
    pool.families.is_empty() && pool.uncounted.is_empty()
}

/// A pod needs an address of each family.
fn can_take(pool: &PoolUse) -> Option<bool> {
    if pool.families.iter().any(|family| family.free == 0) {
        return Some(false);
    }
    (!pool.families.is_empty() && pool.uncounted.is_empty()).then_some(true)
}

/// The agent's pools: what it says of itself, and of their sizes the CiliumNode where that was read.
fn agents(node: &Node) -> Vec<PoolUse> {
    let Some((agent, ipam)) = node.agent.as_ref().and_then(|agent| Some((agent, agent.ipam.as_ref()?))) else {
        return Vec::new();
    };
    let resource = node.kubernetes.as_ref().and_then(|told| told.cilium_node.as_ref());
    let mut names: BTreeSet<&str> = ipam.allocations.iter().map(|held| held.pool.as_str()).collect();
    names.extend(resource.iter().flat_map(|node| &node.allocated).map(|pool| pool.pool.as_str()));
    if !ipam.fills.is_empty() {
        names.insert(DEFAULT_POOL);
    }
    let mut pools: Vec<PoolUse> = names.into_iter().map(|name| agents_pool(agent, ipam, resource, name)).collect();
    let error = resource.and_then(|node| node.operator_error.as_ref());
    if let (Some(error), Some(first)) = (error, pools.first_mut()) {
        first.problems.push(format!("Cilium's operator: {error}"));
    }
    pools
}

fn agents_pool(agent: &Agent, ipam: &Ipam, resource: Option<&CiliumNode>, name: &str) -> PoolUse {
    let held: Vec<&Allocation> = ipam.allocations.iter().filter(|held| held.pool == name).collect();
    let blocks: Vec<IpNet> = resource
        .iter()
        .flat_map(|node| &node.allocated)
        .filter(|pool| pool.pool == name)
        .flat_map(|pool| pool.cidrs.iter().filter_map(|cidr| cidr.parse().ok()))
        .collect();
    let family = |family: Family| {
        let used = held.iter().filter(|held| Family::of(&held.address) == family).count();
        let fill = ipam.fills.iter().find(|fill| fill.family == family && name == DEFAULT_POOL);
        let routed = agent.families.iter().find(|each| each.family == family);
        let own = |net: &&IpNet| net.addr().is_ipv4() == (family == Family::Ipv4);
        let mut subnets: Vec<IpNet> = blocks.iter().filter(own).copied().collect();
        let given = subnets.iter().map(|net| usable(*net)).fold(0, usize::saturating_add);
        let mut size = Some(given).filter(|given| *given > 0);
        if let Some(fill) = fill {
            size = usize::try_from(fill.size).ok();
            subnets.extend(fill.cidrs.iter().filter(|cidr| !blocks.contains(cidr)));
            if subnets.is_empty() {
                subnets.extend(routed.and_then(|routed| routed.allocation_range).filter(|_| has_range(agent)));
            }
        }
        let used = fill.and_then(|fill| usize::try_from(fill.used).ok()).unwrap_or(used);
        Count { family, subnets, gateways: routed.and_then(|routed| routed.router).into_iter().collect(), size, used }
    };
    pool_use(name, SOURCE, [Family::Ipv4, Family::Ipv6].map(family), Vec::new())
}

/// Cloud modes number pods from the subnets of interfaces, whatever range the agent announces.
fn has_range(agent: &Agent) -> bool {
    matches!(agent.mode.ipam.as_deref(), Some("kubernetes" | "cluster-pool" | "cluster-pool-v2beta") | None)
}

/// As the agent's allocators have it: of more than two addresses all but the first and the last.
fn usable(net: IpNet) -> usize {
    let bits = u32::from(net.max_prefix_len() - net.prefix_len());
    let all = 1usize.checked_shl(bits).unwrap_or(usize::MAX);
    if all > 2 { all - 2 } else { all }
}

fn host_locals(node: &Node) -> Vec<PoolUse> {
    let files: Vec<&NetworkFile> = node
        .networks
        .iter()
        .flatten()
        .flat_map(|reader| &reader.files)
        .filter(|file| {
            matches!(file.standing, Standing::Picked | Standing::Also) && file.ipam.as_deref() == Some(HOST_LOCAL)
        })
        .collect();
    let stores =
        || node.address_stores.iter().filter(|store| store.kind == HOST_LOCAL).flat_map(|store| &store.networks);
    let mut names: BTreeSet<&str> = stores().map(|network| network.name.as_str()).collect();
    names.extend(files.iter().filter_map(|file| file.network.as_deref()));
    let pool = |name: &str| {
        let stored = stores().find(|network| network.name == name);
        let file = files.iter().find(|file| file.network.as_deref() == Some(name));
        let ranges = file.map(|file| file.ranges.as_slice()).filter(|ranges| !ranges.is_empty());
        let ranges = ranges.or(stored.map(|network| network.ranges.as_slice())).unwrap_or_default();
        let family = |family: Family| {
            let of_family = |address: &IpAddr| Family::of(address) == family;
            let held = stored.iter().flat_map(|network| &network.held).filter(|held| of_family(&held.address));
            let used = held.count();
            let ranges: Vec<_> = ranges.iter().filter(|range| of_family(&range.subnet.addr())).collect();
            let size = ranges.iter().map(|range| usize::try_from(range.size()).unwrap_or(usize::MAX));
            let size = Some(size.fold(0, usize::saturating_add)).filter(|_| !ranges.is_empty());
            let subnets = ranges.iter().map(|range| range.subnet).collect();
            Count { family, subnets, gateways: Vec::new(), size, used }
        };
        let mut problems = stored.map(|network| network.problems.clone()).unwrap_or_default();
        let backwards = ranges.iter().filter(|range| range.is_backwards());
        problems.extend(backwards.map(|range| {
            format!("the range {}-{} ends before it begins: host-local refuses the network", range.first, range.last)
        }));
        pool_use(name, HOST_LOCAL, [Family::Ipv4, Family::Ipv6].map(family), problems)
    };
    names.into_iter().map(pool).collect()
}

/// What is known of one family of a pool of another than podnet.
struct Count {
    family: Family,
    subnets: Vec<IpNet>,
    gateways: Vec<IpAddr>,
    size: Option<usize>,
    used: usize,
}

fn pool_use(name: &str, by: &str, counts: [Count; 2], problems: Vec<String>) -> PoolUse {
    let mut pool = PoolUse {
        name: name.to_owned(),
        by: by.to_owned(),
        families: Vec::new(),
        uncounted: Vec::new(),
        exclude: Vec::new(),
        problems,
    };
    for Count { family, subnets, gateways, size, used } in counts {
        match size {
            Some(size) => pool.families.push(FamilyUse {
                family,
                subnets,
                gateways,
                size,
                used,
                resting: 0,
                free: size.saturating_sub(used),
                last_reserved: None,
            }),
            None if used > 0 => pool.uncounted.push(UncountedUse { family, subnets, used }),
            None => {}
        }
    }
    pool
}

/// Every address that anybody says he gave: the agent, the stores, and libcni's cache for what none of them has.
pub fn addresses(node: &Node, only: Option<&str>) -> AddressList {
    let mut items: Vec<HeldAddress> = Vec::new();
    let allocations = node.agent.iter().filter_map(|agent| agent.ipam.as_ref()).flat_map(|ipam| &ipam.allocations);
    items.extend(allocations.map(by_agent));
    for store in &node.address_stores {
        for network in &store.networks {
            items.extend(network.held.iter().map(|held| HeldAddress {
                address: held.address,
                by: store.kind.clone(),
                pool: network.name.clone(),
                owner: None,
                container_id: held.container_id.clone(),
                ifname: held.ifname.clone(),
                since: held.since,
                problem: held.problem.clone(),
            }));
        }
    }
    let known: BTreeSet<IpAddr> = items.iter().map(|held| held.address).collect();
    for attachment in node.attachments.iter().flatten() {
        // Nobody gives those of lo.
        let given = |address: &IpAddr| !known.contains(address) && !address.is_loopback();
        let unknown = attachment.addresses.iter().filter(|each| given(&each.address.addr()));
        items.extend(unknown.map(|each| HeldAddress {
            address: each.address.addr(),
            by: attachment.kept_by.source().to_owned(),
            pool: attachment.ipam.clone().unwrap_or_else(|| attachment.network.clone()),
            owner: attachment.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name)),
            container_id: Some(attachment.container_id.clone()),
            ifname: Some(attachment.ifname.clone()),
            since: attachment.since,
            problem: None,
        }));
    }
    items.retain(|held| only.is_none_or(|only| held.pool == only));
    super::ipam::addresses(items)
}

fn by_agent(held: &Allocation) -> HeldAddress {
    HeldAddress {
        address: held.address,
        by: SOURCE.to_owned(),
        pool: held.pool.clone(),
        owner: held.owner.clone(),
        container_id: None,
        ifname: None,
        since: None,
        problem: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(mut node: Value) -> PoolList {
        for (key, value) in [
            ("hostname", json!("n")),
            ("collectedAt", json!("2026-11-24T00:00:00Z")),
            ("hostNetns", json!(1)),
            ("workloads", json!([])),
            ("namespaces", json!([])),
        ] {
            node[key] = value;
        }
        if node.get("sources").is_none() {
            node["sources"] = json!([]);
        }
        pools(&serde_json::from_value(node).unwrap(), Vec::new())
    }

    fn agent(mode: &str, fills: Value, allocations: Value) -> Value {
        json!({"agent": {"socket": "", "mode": {"ipam": mode}, "ipam": {"fills": fills, "allocations": allocations}}})
    }

    fn reader(plugins: Value, ipam: Option<&str>, ranges: Value) -> Value {
        let file = json!({"path": "/c", "network": "net", "plugins": plugins, "standing": "picked", "ipam": ipam, "ranges": ranges});
        json!([{"directory": "/etc/cni/net.d", "pluginDirectories": [], "files": [file]}])
    }

    #[test]
    fn the_agents_fill_is_the_answer() {
        for (used, can) in [(5, true), (254, false)] {
            let fills = json!([{"family": "ipv4", "used": used, "size": 254, "cidrs": ["10.244.1.0/24"]}]);
            let list = told(agent("kubernetes", fills, json!([])));
            assert_eq!(list.can_take_another, Some(can));
            let begin =
                format!("pods get addresses from 10.244.1.0/24 (cilium agent, kubernetes): {used} of 254 used; it can");
            assert!(list.answer.as_ref().unwrap().starts_with(&begin), "{:?}", list.answer);
        }
    }

    #[test]
    fn pools_have_the_size_that_the_operator_gave_them() {
        let held = json!([{"address": "10.246.0.2", "pool": "default"}, {"address": "10.20.0.11", "pool": "blue"}]);
        let mut node = agent("multi-pool", json!([]), held);
        assert_eq!(told(node.clone()).can_take_another, None, "the agent alone does not tell");
        node["kubernetes"] = json!({"server": "", "credentials": "", "nodeName": "n", "nodeNameFrom": "",
            "ciliumNode": {"name": "n", "addresses": [], "podCIDRs": [], "allocated": [
                {"pool": "default", "cidrs": ["10.246.0.0/27"]}, {"pool": "blue", "cidrs": ["10.20.0.8/32", "10.20.0.11/32"]}]}});
        let list = told(node);
        let sizes: Vec<_> =
            list.items.iter().map(|pool| (pool.name.as_str(), pool.families[0].size, pool.families[0].used)).collect();
        assert_eq!(sizes, [("blue", 2, 1), ("default", 30, 1)]);
        assert_eq!(list.can_take_another, Some(true));
    }

    #[test]
    fn a_pool_that_is_full_is_not_made_up_for_by_another() {
        let told = |default: &str, blue: &str| {
            let held = json!([{"address": "10.246.0.2", "pool": "default"}, {"address": "10.20.0.11", "pool": "blue"}]);
            let mut node = agent("multi-pool", json!([]), held);
            node["kubernetes"] = json!({"server": "", "credentials": "", "nodeName": "n", "nodeNameFrom": "",
                "ciliumNode": {"name": "n", "addresses": [], "podCIDRs": [], "allocated": [
                    {"pool": "default", "cidrs": [default]}, {"pool": "blue", "cidrs": [blue]}]}});
            told(node)
        };
        let blue_is_full = told("10.246.0.0/27", "10.20.0.11/32");
        assert_eq!(blue_is_full.can_take_another, Some(true));
        assert!(blue_is_full.answer.unwrap().ends_with("it can take another pod, but none of the full pool blue"));
        let default_is_full = told("10.246.0.2/32", "10.20.0.0/27");
        assert_eq!(default_is_full.can_take_another, Some(false));
        assert!(default_is_full.answer.unwrap().ends_with("until Cilium's operator gives it more"));
    }

    #[test]
    fn the_store_of_another_network_is_no_room() {
        let held: Vec<Value> = (2..7).map(|nth| json!({"address": format!("10.1.0.{nth}")})).collect();
        let networks = json!([{"name": "net", "held": held}, {"name": "other", "held": [{"address": "10.9.0.2"}]}]);
        let ranges = json!([{"subnet": "10.1.0.0/29", "first": "10.1.0.1", "last": "10.1.0.6", "gateway": "10.1.0.1"}]);
        let stores = json!([{"kind": "host-local", "directory": "/d", "networks": networks}]);
        let networks = reader(json!(["bridge"]), Some("host-local"), ranges);
        let list = told(json!({"networks": networks, "addressStores": stores}));
        assert_eq!((list.items.len(), list.can_take_another), (2, Some(false)));
    }

    #[test]
    fn without_an_agent_the_network_in_force_says_who_gives() {
        let store = |held: usize| {
            let held: Vec<Value> = (0..held).map(|nth| json!({"address": format!("10.1.0.{}", nth + 2)})).collect();
            json!([{"kind": "host-local", "directory": "/d", "networks": [{"name": "net", "held": held}]}])
        };
        let ranges = json!([{"subnet": "10.1.0.0/29", "first": "10.1.0.1", "last": "10.1.0.6", "gateway": "10.1.0.1"}]);
        for (held, can) in [(2, true), (5, false)] {
            let networks = reader(json!(["bridge"]), Some("host-local"), ranges.clone());
            let list = told(json!({"networks": networks, "addressStores": store(held)}));
            assert_eq!((list.ruled_by.as_deref(), list.can_take_another), (Some("host-local"), Some(can)));
        }
        let list = told(json!({"networks": reader(json!(["macvlan"]), Some("dhcp"), json!([]))}));
        assert_eq!(list.answer.as_deref(), Some("dhcp gives pods their addresses; podnet does not read its books"));
        let source = json!([{"name": "cilium agent", "status": "failed", "detail": "it is down", "elapsedMs": 0.0}]);
        let list = told(json!({"networks": reader(json!(["cilium-cni"]), None, json!([])), "sources": source}));
        assert_eq!(list.can_take_another, Some(false));
        assert!(list.answer.unwrap().contains("does not answer (it is down)"));
        assert!(told(json!({})).answer.unwrap().starts_with("nobody gives pods addresses here"));
    }

    #[test]
    fn both_families_are_needed() {
        let fills = json!([{"family": "ipv4", "used": 1, "size": 254, "cidrs": []}, {"family": "ipv6", "used": 4, "size": 4, "cidrs": []}]);
        assert_eq!(told(agent("cluster-pool", fills, json!([]))).can_take_another, Some(false));
    }
}
