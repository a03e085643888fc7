//! What the agent believes of a pod's interface, beside what the kernel and the runtimes show.

use std::net::IpAddr;

use super::{AGENT, about, changed, host_end, is_ciliums, managed, of, source, told_all};
use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::link::shown;
use crate::check::paste::word;
use crate::check::pod::{End, Pod};
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::endpoint::{Endpoint, ToldBy};
use crate::model::mac::Mac;

pub static INTERFACE_GONE: Rule = Rule {
    code: "PN-CIL-001",
    severity: Severity::Error,
    sentence: "Cilium has an endpoint whose interface does not exist on the node any more.",
    meaning: "The pod has no network, or is gone itself: its address, identity and policy stay taken until the agent \
              notices, and other nodes still send to it.",
    origin: "the pod's network namespace went without a CNI DEL: the runtime was killed, or /run/netns was emptied",
    confirm: "ip link show DEV; podnet endpoint get ep:ID",
    fix: "if the pod should run: kubectl delete pod, so that it is made anew; else the agent's own garbage collection \
          takes the endpoint within ten minutes",
    needs: &[Need::Endpoints],
    follows: &["PN-CIL-009", "PN-LINK-002"],
    run: Run::Node(interface_gone),
};

fn interface_gone(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host().filter(|host| !host.links.is_empty()) else { return Vec::new() };
    let gone = |endpoint: &&Endpoint| {
        let Some(name) = &endpoint.interface else { return false };
        let by_ifindex = endpoint.ifindex.is_some_and(|ifindex| host.link(ifindex).is_some());
        let leaving = endpoint.state.as_deref().is_some_and(|state| state.starts_with("disconnect"));
        endpoint.told_by != ToldBy::Map && !leaving && !by_ifindex && host.link_named(name).is_none()
    };
    facts
        .node
        .endpoints
        .iter()
        .filter(gone)
        .map(|endpoint| {
            let name = endpoint.interface.clone().unwrap_or_default();
            let ifindex = endpoint.ifindex.map(|ifindex| format!(" ifindex {ifindex}")).unwrap_or_default();
            about(endpoint, pods)
                .saw("interface on the host", format!("no {name}"), "kernel")
                .saw("interface of the endpoint", format!("{name}{ifindex}"), source(endpoint))
                .saw_if("state", endpoint.state.clone(), source(endpoint))
        })
        .collect()
}

pub static INTERFACE_UNKNOWN: Rule = Rule {
    code: "PN-CIL-002",
    severity: Severity::Warning,
    sentence: "An interface that Cilium's plugin made belongs to no endpoint.",
    meaning: "Nothing leads packets to it and no policy is known for what comes from it. Another ADD for the same sandbox \
              fails with «file exists».",
    origin: "an ADD failed or was killed half-way, or the agent lost its state",
    confirm: "podnet endpoint list knows no endpoint with that interface",
    fix: "if no pod has its other end: ip link del DEV; else make the pod anew",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-003", "PN-CIL-009", "PN-LINK-003"],
    run: Run::Node(interface_unknown),
};

fn interface_unknown(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host().filter(|_| told_all(facts)) else { return Vec::new() };
    let known = |name: &str, ifindex: u32| {
        let fits =
            |endpoint: &Endpoint| endpoint.interface.as_deref() == Some(name) || endpoint.ifindex == Some(ifindex);
        facts.node.endpoints.iter().any(fits)
    };
    let strangers = host.links.iter().filter(|link| is_ciliums(&link.name) && !known(&link.name, link.ifindex));
    let other_end = |ifindex: u32| {
        let leads =
            |end: &End<'_>| end.pair().is_some_and(|far| far.state.netns.is_host && far.link.ifindex == ifindex);
        pods.iter().find(|pod| pod.ends.iter().any(leads))
    };
    strangers
        // A pod that is just being made has its interface before its endpoint.
        .filter(|link| other_end(link.ifindex).is_none_or(|pod| facts.is_old(pod.state.netns.since)))
        .map(|link| {
            let hit = Hit::new()
                .saw("interface on the host", format!("{} ifindex {}", link.name, link.ifindex), "kernel")
                .saw("endpoint with it", "none", AGENT);
            match other_end(link.ifindex) {
                Some(pod) => hit.about(pod.inode()).saw("its other end", pod.place(), "kernel"),
                None => hit.thing(format!("dev:{}", link.name)).command(format!("ip link del {}", word(&link.name))),
            }
        })
        .collect()
}

pub static UNMANAGED: Rule = Rule {
    code: "PN-CIL-003",
    severity: Severity::Error,
    sentence: "The pod has an interface of Cilium's, and the agent has no endpoint for it.",
    meaning: "No packet is led to it, and no policy applies to it.",
    origin: "the agent was restarted with an empty state directory, or somebody deleted the endpoint",
    confirm: "podnet endpoint get POD",
    fix: "kubectl delete pod: only a new ADD makes an endpoint",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &[],
    run: Run::Pod(unmanaged),
};

fn unmanaged(pod: &Pod<'_>) -> Vec<Hit> {
    if !told_all(pod.facts) || of(pod).is_some() || !pod.facts.is_old(pod.state.netns.since) {
        return Vec::new();
    }
    let end = host_end(pod).filter(|(_, name)| is_ciliums(name));
    end.map(|(end, name)| {
        shown(pod, end.link).saw("the host's end", name.to_owned(), "kernel").saw("endpoint of the pod", "none", AGENT)
    })
    .into_iter()
    .collect()
}

pub static OTHER_INTERFACE: Rule = Rule {
    code: "PN-CIL-009",
    severity: Severity::Error,
    sentence: "The agent means another interface than the one that leads to the pod.",
    meaning: "What other pods and nodes send to it is led to an interface that is another pod's, or nobody's.",
    origin: "the pair was made again by hand or by another program, or the agent restored an older state",
    confirm: "podnet inspect POD: the other end, and what the agent says",
    fix: "kubectl delete pod; if it comes back, restart the agent",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &[],
    run: Run::Pod(other_interface),
};

fn other_interface(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |endpoint: &Endpoint| {
        let (end, _) = host_end(pod)?;
        let far = end.pair()?;
        let (name, ifindex) = (endpoint.interface.as_ref()?, endpoint.ifindex?);
        (ifindex != far.link.ifindex).then(|| {
            shown(pod, end.link)
                .saw("the host's end", format!("{} ifindex {}", far.link.name, far.link.ifindex), "kernel")
                .saw("interface of the endpoint", format!("{name} ifindex {ifindex}"), AGENT)
        })
    };
    of(pod).filter(|endpoint| endpoint.told_by == ToldBy::Agent).and_then(hit).into_iter().collect()
}

pub static OTHER_MAC: Rule = Rule {
    code: "PN-CIL-010",
    severity: Severity::Error,
    sentence: "The pod's interface or its other end has another MAC address than the agent believes.",
    meaning: "Packets for the pod are addressed to a MAC that its interface does not take, and the pod's ARP is answered \
              with one that the node's end does not take.",
    origin: "systemd-udevd gave the interface another one (MACAddressPolicy), or somebody changed it",
    confirm: "podnet inspect POD, beside podnet endpoint get POD",
    fix: "MACAddressPolicy=none for lxc*, and kubectl delete pod",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CIL-009", "PN-CIL-001"],
    run: Run::Pod(other_mac),
};

fn other_mac(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |endpoint: &Endpoint| {
        let (end, _) = host_end(pod)?;
        let far = end.pair()?;
        let differs = |own: Option<Mac>, told: Option<Mac>| own.zip(told).filter(|(own, told)| own != told);
        let inside = differs(end.link.mac, endpoint.mac).map(|pair| ("the pod's end", end.link, pair));
        let outside = differs(far.link.mac, endpoint.host_mac).map(|pair| ("the host's end", far.link, pair));
        let (which, link, (own, told)) = inside.or(outside)?;
        Some(shown(pod, end.link).saw(format!("{which} {}", link.name), own.to_string(), "kernel").saw(
            "the same by the endpoint",
            told.to_string(),
            AGENT,
        ))
    };
    managed(pod).and_then(hit).into_iter().collect()
}

pub static OTHER_ADDRESS: Rule = Rule {
    code: "PN-CIL-011",
    severity: Severity::Error,
    sentence: "The pod does not have the address that the agent believes it has.",
    meaning: "The agent leads that address to the pod, where nobody takes it; what the pod sends from another one is \
              dropped as forged.",
    origin: "the address was changed in the pod, or ADD ran twice",
    confirm: "podnet inspect POD, beside podnet endpoint get POD",
    fix: "give the pod the address back, or kubectl delete pod",
    needs: &[Need::Agent, Need::Endpoints],
    follows: &["PN-CNI-001", "PN-ADDR-001", "PN-LINK-019", "PN-LINK-010", "PN-SYS-006", "PN-CIL-001"],
    run: Run::Pod(other_address),
};

fn other_address(pod: &Pod<'_>) -> Vec<Hit> {
    let Some(endpoint) = of(pod).filter(|endpoint| endpoint.told_by == ToldBy::Agent) else { return Vec::new() };
    let own: Vec<IpAddr> =
        pod.state.links.iter().flat_map(|link| &link.addresses).map(|address| address.address).collect();
    let bridged = pod.state.links.iter().any(|link| link.master.is_some());
    let lost: Vec<String> =
        endpoint.addresses.iter().filter(|address| !own.contains(address)).map(ToString::to_string).collect();
    if lost.is_empty() || bridged {
        return Vec::new();
    }
    let global = pod.addresses().map(|(_, address)| address.address.to_string()).collect::<Vec<_>>();
    let global = if global.is_empty() { "none".to_owned() } else { global.join("  ") };
    vec![Hit::new().saw(format!("addresses in {}", pod.place()), global, "kernel").saw(
        "of the endpoint, and not there",
        lost.join("  "),
        AGENT,
    )]
}

pub static POD_GONE: Rule = Rule {
    code: "PN-CIL-012",
    severity: Severity::Warning,
    sentence: "Cilium has an endpoint for a pod that no runtime of this node knows.",
    meaning: "Its address and identity stay taken, and other nodes still send to it.",
    origin: "DEL was never run for it: the runtime was killed, or the agent was down and its queue was lost",
    confirm: "podnet list --all knows no container of that id",
    fix: "wait for the agent's garbage collection; if it stays, restart the agent",
    needs: &[Need::Agent, Need::Endpoints, Need::Runtimes, Need::Everyone],
    follows: &["PN-CIL-001", "PN-LINK-002", "PN-LINK-003"],
    run: Run::Node(pod_gone),
};

fn pod_gone(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let gone = |endpoint: &&Endpoint| {
        let (Some(container), Some(pod)) = (&endpoint.container_id, &endpoint.pod) else { return false };
        let known = facts.knows_container(container)
            || facts
                .node
                .workloads
                .iter()
                .filter_map(|workload| workload.pod.as_ref())
                .any(|known| known.namespace == pod.namespace && known.name == pod.name);
        !known
            && !pods.iter().any(|pod| pod.is_used() && of(pod).is_some_and(|own| own.id == endpoint.id))
            && collected_by_now(facts, endpoint)
    };
    let endpoints = facts.node.endpoints.iter().filter(|endpoint| endpoint.told_by == ToldBy::Agent).filter(gone);
    endpoints
        .map(|endpoint| {
            about(endpoint, pods)
                .saw("sandbox of the endpoint", endpoint.container_id.clone().unwrap_or_default(), AGENT)
                .saw("known to a runtime, or in a netns", "no", "proc")
                .saw_if("last change of the endpoint", changed(endpoint).map(|at| at.to_string()), AGENT)
        })
        .collect()
}

/// The agent itself looks every five minutes, and removes what it finds gone twice.
fn collected_by_now(facts: &Facts<'_>, endpoint: &Endpoint) -> bool {
    const COLLECTED: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
    changed(endpoint).is_some_and(|at| facts.node.collected_at.duration_since(at) >= COLLECTED)
}
