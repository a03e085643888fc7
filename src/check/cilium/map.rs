//! What Cilium's datapath goes by, beside what the kernel shows and the agent believes.

use std::net::IpAddr;

use super::{AGENT, about, changed, host_end, of, told_all};
use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::pod::Pod;
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::datapath::{Datapath, LocalEndpoint};
use crate::model::endpoint::{Endpoint, ToldBy};

const LOCAL: &str = "cilium_lxc";
const RESTART: &str = "restart the agent on this node: it writes its maps anew";

pub static ENTRY_MISSING: Rule = Rule {
    code: "PN-CIL-018",
    severity: Severity::Error,
    sentence: "Cilium's datapath does not know the pod's address.",
    meaning: "What other pods and nodes send to it is not led to its interface, but handed to the node's routes, which end \
              at cilium_host.",
    origin: "the map is full or was recreated, or the entry was deleted by hand",
    confirm: "podnet inspect POD; cilium-dbg bpf endpoint list",
    fix: RESTART,
    needs: &[Need::Agent, Need::Endpoints, Need::Datapath],
    follows: &["PN-CIL-001", "PN-CIL-004", "PN-CIL-005"],
    run: Run::Node(entry_missing),
};

fn entry_missing(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let settled = settled(facts);
    let missing = settled.flat_map(|endpoint| endpoint.addresses.iter().map(move |address| (endpoint, *address)));
    missing
        .filter(|(_, address)| entry(facts, *address).is_none())
        .map(|(endpoint, address)| {
            about(endpoint, pods).saw(format!("address of endpoint {}", endpoint.id), address.to_string(), AGENT).saw(
                "entry of it",
                "none",
                LOCAL,
            )
        })
        .collect()
}

pub static ENTRY_DIFFERS: Rule = Rule {
    code: "PN-CIL-019",
    severity: Severity::Error,
    sentence: "Cilium's datapath leads packets for the pod to another interface or MAC address.",
    meaning: "They arrive at another pod, at nobody, or with a MAC that the pod's interface does not take.",
    origin: "the interface was made again without the agent, or the entry is an earlier pod's",
    confirm: "podnet inspect POD: cilium_lxc beside the kernel; cilium-dbg bpf endpoint list",
    fix: "restart the agent on this node; if that does not help, make the pod anew",
    needs: &[Need::Endpoints, Need::Datapath],
    follows: &["PN-CIL-001", "PN-CIL-009", "PN-CIL-010"],
    run: Run::Pod(entry_differs),
};

fn entry_differs(pod: &Pod<'_>) -> Vec<Hit> {
    let Some(((end, _), endpoint)) = host_end(pod).zip(of(pod)) else { return Vec::new() };
    let Some(far) = end.pair() else { return Vec::new() };
    let hit = |address: &IpAddr| {
        let entry = entry(pod.facts, *address).filter(|entry| !entry.is_host)?;
        let mac = |own: Option<_>, told: Option<_>| own.zip(told).is_some_and(|(own, told)| own != told);
        let differs = entry.ifindex != far.link.ifindex
            || u32::from(entry.endpoint_id) != endpoint.id
            || mac(end.link.mac, entry.mac)
            || mac(far.link.mac, entry.host_mac);
        let shown = |mac: Option<crate::model::mac::Mac>| mac.map_or_else(|| "none".to_owned(), |mac| mac.to_string());
        differs.then(|| {
            Hit::new()
                .saw(
                    format!("{address} in {LOCAL}"),
                    format!(
                        "endpoint {} ifindex {} mac {} behind {}",
                        entry.endpoint_id,
                        entry.ifindex,
                        shown(entry.mac),
                        shown(entry.host_mac)
                    ),
                    LOCAL,
                )
                .saw(
                    format!("{} and the host's {}", end.link.name, far.link.name),
                    format!("ifindex {} mac {} behind {}", far.link.ifindex, shown(end.link.mac), shown(far.link.mac)),
                    "kernel",
                )
                .saw("endpoint of the pod", endpoint.id.to_string(), super::source(endpoint))
        })
    };
    endpoint.addresses.iter().filter_map(hit).collect()
}

pub static ENTRY_STALE: Rule = Rule {
    code: "PN-CIL-020",
    severity: Severity::Warning,
    sentence: "Cilium's datapath has an entry for a pod that is gone.",
    meaning: "What is still sent to that address is led to an interface that is not there, and vanishes without a trace.",
    origin: "the endpoint was removed while the agent could not write the map",
    confirm: "cilium-dbg bpf endpoint list",
    fix: RESTART,
    needs: &[Need::Agent, Need::Datapath],
    follows: &["PN-CIL-001"],
    run: Run::Node(entry_stale),
};

fn entry_stale(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host().filter(|host| !host.links.is_empty() && told_all(facts)) else { return Vec::new() };
    let known =
        |entry: &LocalEndpoint| facts.node.endpoints.iter().any(|endpoint| endpoint.id == u32::from(entry.endpoint_id));
    let stale = entries(facts).filter(|entry| !entry.is_host && entry.endpoint_id != 0 && !known(entry));
    stale
        .map(|entry| {
            let link = host.link(entry.ifindex).map_or_else(|| "none".to_owned(), |link| link.name.clone());
            Hit::new()
                .thing(format!("ip:{}", entry.address))
                .saw("entry", format!("endpoint {} ifindex {}", entry.endpoint_id, entry.ifindex), LOCAL)
                .saw("endpoint of that number", "none", AGENT)
                .saw("interface of that ifindex", link, "kernel")
        })
        .collect()
}

pub static OTHER_IDENTITY: Rule = Rule {
    code: "PN-CIL-021",
    severity: Severity::Error,
    sentence: "Cilium's datapath takes the pod for another identity than the agent does.",
    meaning: "Policies that select it by its labels judge what it sends as if it were somebody else's: what should pass is \
              refused, or the reverse.",
    origin: "labels were changed and the ipcache did not follow: the API server or the key-value store is not reached, or \
             the map is full",
    confirm: "podnet inspect POD: identity by the ipcache beside the agent's",
    fix: "restart the agent on this node",
    needs: &[Need::Agent, Need::Endpoints, Need::Datapath],
    follows: &["PN-CIL-004", "PN-CIL-005", "PN-CIL-008"],
    run: Run::Node(other_identity),
};

fn other_identity(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let Some(datapath) = &facts.node.datapath else { return Vec::new() };
    let hit = |endpoint: &Endpoint, address: IpAddr| {
        let told = datapath.identity_of(address)?;
        let own = endpoint.identity.filter(|own| *own != told.identity)?;
        Some(
            about(endpoint, pods)
                .saw(format!("identity of {address}"), told.identity.to_string(), "ipcache")
                .saw(format!("identity of endpoint {}", endpoint.id), own.to_string(), AGENT)
                .saw("its labels", endpoint.labels.join("  "), AGENT),
        )
    };
    let all = settled(facts).flat_map(|endpoint| endpoint.addresses.iter().map(move |address| (endpoint, *address)));
    all.filter_map(|(endpoint, address)| hit(endpoint, address)).collect()
}

pub static NO_POLICY_PROGRAM: Rule = Rule {
    code: "PN-CIL-022",
    severity: Severity::Error,
    sentence: "Cilium's datapath has no program for what is sent to the pod.",
    meaning: "Each packet for it is dropped: «missed tail call», or «endpoint policy program not available».",
    origin: "the endpoint's program failed to load, or the map was made anew under running programs",
    confirm: "podnet endpoint log POD; bpftool map dump pinned /sys/fs/bpf/tc/globals/cilium_call_policy",
    fix: "restart the agent on this node",
    needs: &[Need::Agent, Need::Endpoints, Need::Datapath],
    follows: &["PN-CIL-001", "PN-CIL-004", "PN-CIL-005"],
    run: Run::Node(no_policy_program),
};

fn no_policy_program(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let loaded = |datapath: &Datapath| datapath.with_program.clone();
    let Some(loaded) = facts.node.datapath.as_ref().and_then(loaded) else { return Vec::new() };
    let empty = settled(facts).filter(|endpoint| !loaded.contains(&endpoint.id));
    empty
        .map(|endpoint| {
            about(endpoint, pods)
                .saw(format!("slot {} of cilium_call_policy", endpoint.id), "empty", "cilium_call_policy")
                .saw("state of the endpoint", "ready", AGENT)
        })
        .collect()
}

/// Endpoints of pods that the agent calls ready, and that have been so for a while.
fn settled<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = &'a Endpoint> {
    facts.node.endpoints.iter().filter(|endpoint| {
        endpoint.told_by == ToldBy::Agent
            && endpoint.state.as_deref() == Some("ready")
            && !endpoint.is_host()
            && facts.is_old(changed(endpoint))
    })
}

fn entries<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a LocalEndpoint> {
    facts.node.datapath.iter().filter_map(|datapath| datapath.endpoints.as_ref()).flatten()
}

fn entry<'a>(facts: &Facts<'a>, address: IpAddr) -> Option<&'a LocalEndpoint> {
    entries(facts).find(|entry| entry.address == address)
}
