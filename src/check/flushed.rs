//! PN-FW: chains that a program is to keep in the node's firewall, and that are gone.

use std::net::IpAddr;

use super::cilium::{AGENT, is_settled};
use super::facts::Facts;
use super::hit::Hit;
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::agent::Agent;
use crate::model::firewall::{Chain, Firewall};
use crate::model::link::Link;

pub static CILIUMS: Rule = Rule {
    code: "PN-FW-006",
    severity: Severity::Error,
    sentence: "Cilium's agent is to keep its chains in the node's firewall, and they are missing.",
    meaning: "They accept what the node forwards for pods, where others drop it, hand packets to the proxy of layer 7 \
              policies, and give pods the node's address where iptables masquerades.",
    origin: "another program flushed the tables («iptables -F; iptables -X», «nft flush ruleset», a reload of nftables.service \
             or of firewalld); the agent writes its chains when it starts",
    confirm: "nft list chains | grep CILIUM_; the agent's InstallIptRules in its configuration",
    fix: "restart the agent on this node, and have the other program flush only what is its own",
    needs: &[Need::Agent, Need::Firewall],
    follows: &[],
    run: Run::Host(ciliums),
};

/// Those of the table «filter», that every version of the agent makes.
const FEEDERS: [&str; 3] = ["CILIUM_INPUT", "CILIUM_OUTPUT", "CILIUM_FORWARD"];

fn ciliums(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let installs = |agent: &&Agent| {
        let set = agent.start_options.get("InstallIptRules").is_some_and(|value| value == "true");
        set && agent.families.iter().any(|family| family.family == Family::Ipv4 && family.enabled)
    };
    let Some(firewall) = readable(facts) else { return Vec::new() };
    // One that just started is about to write them.
    if facts.node.agent.as_ref().filter(installs).is_none() || !is_settled(facts) {
        return Vec::new();
    }
    let is_there = |name: &str| {
        firewall.chains.iter().any(|chain| chain.family == "ip" && chain.table == "filter" && chain.name == name)
    };
    let missing: Vec<&str> = FEEDERS.into_iter().filter(|name| !is_there(name)).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    vec![Hit::new().saw("InstallIptRules", "true", AGENT).saw("not in ip filter", missing.join(", "), "nf_tables")]
}

pub static DOCKERS: Rule = Rule {
    code: "PN-FW-007",
    severity: Severity::Error,
    sentence: "All of Docker's chains are missing from the node's firewall, while containers run on its bridges.",
    meaning: "Nothing gives containers the node's address for what they send out, so no answer finds back; published ports \
              lead nowhere but by docker-proxy; and networks are not kept apart from each other.",
    origin: "another program flushed the whole ruleset while dockerd ran («nft flush ruleset» in /etc/nftables.conf is the \
             usual one); dockerd writes its chains when it starts, and not again",
    confirm: "nft list chains | grep DOCKER; iptables: false in /etc/docker/daemon.json would be the reason",
    fix: "systemctl restart docker (with live-restore containers keep running), and have the other program flush only what is \
          its own",
    needs: &[Need::Host, Need::Firewall],
    follows: &[],
    run: Run::Host(dockers),
};

fn dockers(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let keeper = facts.node.host.as_ref().and_then(|host| host.dockerd.as_ref());
    let keeper = keeper.filter(|dockerd| dockerd.iptables == Some(true));
    // With its newer way to write rules it has tables of its own.
    let is_dockers = |chain: &Chain| chain.name.starts_with("DOCKER") || chain.table.starts_with("docker");
    let gone = readable(facts).filter(|firewall| !firewall.chains.iter().any(is_dockers));
    let Some((dockerd, (pod, bridge))) = keeper.zip(pods.iter().find_map(|pod| Some((pod, bridge(pod)?)))) else {
        return Vec::new();
    };
    let hit = |_: &Firewall| {
        Hit::new()
            .saw("dockerd with iptables", format!("process {}", dockerd.pid), "proc")
            .saw("container on its bridge", format!("{} on {}", pod.name, bridge.name), "docker")
            .saw("chains of Docker", "none", "nf_tables")
    };
    gone.map(hit).into_iter().collect()
}

/// The bridge of Docker's that a container of Docker's is a port of: the gateway that it was given is the bridge's.
fn bridge<'a>(pod: &Pod<'a>) -> Option<&'a Link> {
    let of_docker = pod.workloads.iter().filter(|workload| workload.runtime.as_deref() == Some("docker"));
    let gateways: Vec<IpAddr> =
        of_docker.flat_map(|workload| &workload.networks).flat_map(|network| network.gateways.clone()).collect();
    let bridges = pod.ends.iter().filter_map(|end| end.pair().filter(|far| far.state.netns.is_host)?.master());
    bridges.into_iter().find(|bridge| {
        bridge.kind == "bridge" && bridge.addresses.iter().any(|address| gateways.contains(&address.address))
    })
}

/// The host's packet filter, where all of it is seen: not what the older iptables keeps.
fn readable<'a>(facts: &Facts<'a>) -> Option<&'a Firewall> {
    facts.host()?.firewall.as_ref().filter(|firewall| firewall.legacy_tables.is_empty())
}
