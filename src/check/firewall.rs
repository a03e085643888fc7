//! PN-FW: what the node's packet filter does with a new connection of a pod.

use super::facts::Facts;
use super::hit::Hit;
use super::link::shown;
use super::paste::word;
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use super::verdict::{Fate, Packet, fates};
use crate::model::firewall::{Chain, FilterRule, Match};

pub static POLICY_DROPS: Rule = Rule {
    code: "PN-FW-001",
    severity: Severity::Error,
    sentence: "The node's firewall drops what the pod sends on: nothing accepts it, and the policy is «drop».",
    meaning: "Every packet that the node would forward for the pod is thrown away, without a word to the pod.",
    origin: "Docker or a firewall (ufw, firewalld) set the FORWARD policy to drop, and the rules that let this network \
             through were flushed or never written",
    confirm: "nft list chain ip filter FORWARD; its counters, and those of the policy",
    fix: "restart whoever writes those rules (the CNI's agent, dockerd); until then accept the pod's interface by hand",
    needs: &[Need::Firewall, Need::Routes, Need::Rules],
    follows: &["PN-FW-003", "PN-SYS-001"],
    run: Run::Pod(policy_drops),
};

fn policy_drops(pod: &Pod<'_>) -> Vec<Hit> {
    let fates = fates(pod).into_iter().filter(|(_, fate)| matches!(fate, Fate::Policy(_)));
    fates
        .filter_map(|(packet, fate)| {
            let Fate::Policy(chain) = fate else { return None };
            let accept = format!(
                "nft insert rule {} {} {} iifname {} accept",
                chain.family,
                chain.table,
                chain.name,
                word(&packet.input)
            );
            let rules = match chain.rule_count {
                0 => "none".to_owned(),
                count => format!("{count}, none of which accepts it"),
            };
            Some(
                shown_packet(pod, &packet)
                    .saw(format!("policy of {}", named(chain)), "drop", "nf_tables")
                    .saw("its rules", rules, "nf_tables")
                    .command(packet.far.at(&accept)),
            )
        })
        .collect()
}

pub static RULE_DROPS: Rule = Rule {
    code: "PN-FW-002",
    severity: Severity::Warning,
    sentence: "A rule of the node's firewall drops everything that the pod sends on.",
    meaning: "It names the pod's address or interface and nothing else, so no packet of the pod gets past it.",
    origin: "somebody cut the pod off on purpose, or a rule means more than it should",
    confirm: "nft -a list chain of the rule: its counter grows",
    fix: "if it is not meant: nft delete rule FAMILY TABLE CHAIN handle N",
    needs: &[Need::Firewall, Need::Routes, Need::Rules],
    follows: &["PN-SYS-001"],
    run: Run::Pod(rule_drops),
};

fn rule_drops(pod: &Pod<'_>) -> Vec<Hit> {
    let fates = fates(pod).into_iter();
    fates
        .filter_map(|(packet, fate)| {
            let Fate::Rule(chain, rule) = fate else { return None };
            // One that drops all there is, of everybody, is a policy by another name.
            let list = format!("nft -a list chain {} {} {}", chain.family, chain.table, chain.name);
            Some(
                shown_packet(pod, &packet)
                    .saw(format!("rule of {}", named(chain)), written(rule), "nf_tables")
                    .saw_if("packets that it dropped", rule.packets.map(|packets| packets.to_string()), "nf_tables")
                    .command(packet.far.at(&list)),
            )
        })
        .collect()
}

pub static ORPHANED: Rule = Rule {
    code: "PN-FW-003",
    severity: Severity::Error,
    sentence: "Rules that the pod network needs are in the node's firewall, and nothing leads to them.",
    meaning: "The chain is there with its rules, but the jump to it is gone: they are as good as flushed.",
    origin: "another program flushed or rewrote the main chains (firewalld reload, «iptables -F FORWARD», ufw)",
    confirm: "nft list ruleset | grep «jump CHAIN»",
    fix: "restart whoever made the chain: dockerd, kube-proxy, the CNI's agent",
    needs: &[Need::Firewall],
    follows: &[],
    run: Run::Host(orphaned),
};

/// Chains that their makers jump to from the built-in ones.
const JUMPED_TO: [&str; 11] = [
    "DOCKER-USER",
    "DOCKER-FORWARD",
    "KUBE-FORWARD",
    "KUBE-SERVICES",
    "CILIUM_FORWARD",
    "CILIUM_INPUT",
    "CILIUM_OUTPUT",
    "CILIUM_POST_nat",
    "FLANNEL-FWD",
    "cali-FORWARD",
    "cali-INPUT",
];

fn orphaned(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(firewall) = facts.host().and_then(|host| host.firewall.as_ref()) else { return Vec::new() };
    let beside = |chain: &Chain, other: &Chain| chain.family == other.family && chain.table == other.table;
    let led_to =
        |chain: &Chain| firewall.chains.iter().any(|other| beside(chain, other) && other.jumps.contains(&chain.name));
    let lost = firewall.chains.iter().filter(|chain| {
        JUMPED_TO.contains(&chain.name.as_str()) && chain.hook.is_none() && chain.rule_count > 0 && !led_to(chain)
    });
    lost.map(|chain| {
        Hit::new().saw(format!("rules in {}", named(chain)), chain.rule_count.to_string(), "nf_tables").saw(
            "jumps to it",
            "none",
            "nf_tables",
        )
    })
    .collect()
}

pub static BRIDGE_UNFILTERED: Rule = Rule {
    code: "PN-FW-004",
    severity: Severity::Warning,
    sentence: "Services do not work between pods of one bridge: what it passes on is hidden from kube-proxy's rules.",
    meaning: "A pod that calls a service whose backend is on the same bridge gets an answer from the backend's own address, \
              which it did not ask, and drops it.",
    origin: "br_netfilter is not loaded, so there is no net.bridge.bridge-nf-call-iptables; or that is 0, as the module was \
             loaded after the sysctl files were read",
    confirm: "sysctl net.bridge.bridge-nf-call-iptables",
    fix: "modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1, and load it early \
          (/etc/modules-load.d)",
    needs: &[Need::Firewall, Need::Sysctls],
    follows: &[],
    run: Run::Host(bridge_unfiltered),
};

fn bridge_unfiltered(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    const SETTING: &str = "net.bridge.bridge-nf-call-iptables";
    let Some(host) = facts.host() else { return Vec::new() };
    let set = host.sysctls.as_ref().and_then(|sysctls| sysctls.values.get(SETTING)).map(String::as_str);
    let proxied = host
        .firewall
        .iter()
        .flat_map(|firewall| &firewall.chains)
        .any(|chain| chain.name == "KUBE-SERVICES" && chain.table == "nat" && chain.rule_count > 0);
    let on_bridge = pods.iter().filter(|pod| pod.is_of_kubernetes()).flat_map(|pod| &pod.ends).find_map(|end| {
        end.pair().filter(|far| far.state.netns.is_host)?.master().filter(|master| master.kind == "bridge")
    });
    let Some(bridge) = on_bridge.filter(|_| proxied && matches!(set, None | Some("0"))) else { return Vec::new() };
    let hit = Hit::new()
        .saw(SETTING, set.unwrap_or("not there"), "kernel")
        .saw("bridge with pods", bridge.name.clone(), "kernel")
        .saw("kube-proxy's rules", "in nf_tables", "nf_tables");
    let load = if set.is_none() { "modprobe br_netfilter && " } else { "" };
    vec![super::sysctl::who_sets(hit, facts, SETTING).command(format!("{load}sysctl -w {SETTING}=1"))]
}

pub static DOCKER_HALF_GONE: Rule = Rule {
    code: "PN-FW-005",
    severity: Severity::Error,
    sentence: "A part of Docker's chains is missing from the node's firewall.",
    meaning: "Docker writes to two tables: nat (published ports, and the node's address for what containers send out) and \
              filter (what may be forwarded). With one of them flushed, containers reach nothing outside, or are reached \
              by everybody.",
    origin: "another program flushed a table while dockerd ran («iptables -F; iptables -X», a reload of nftables.service or \
             of firewalld); dockerd writes its chains when it starts, and not again",
    confirm: "nft list chains | grep DOCKER: chains in one of the tables nat and filter only",
    fix: "systemctl restart docker (with live-restore containers keep running), and have the other program flush only what is \
          its own",
    needs: &[Need::Firewall],
    follows: &[],
    run: Run::Host(docker_half_gone),
};

fn docker_half_gone(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(firewall) = facts.host().and_then(|host| host.firewall.as_ref()) else { return Vec::new() };
    // What the older iptables keeps is not seen.
    if !firewall.legacy_tables.is_empty() {
        return Vec::new();
    }
    let of_docker = |family: &str, table: &str| {
        let own = firewall.chains.iter().filter(|chain| chain.family == family && chain.table == table);
        // The operator's own may be there before Docker is.
        let made =
            own.map(|chain| chain.name.as_str()).filter(|name| name.starts_with("DOCKER") && *name != "DOCKER-USER");
        made.collect::<Vec<_>>()
    };
    let hit = |family: &str| {
        let (nat, filter) = (of_docker(family, "nat"), of_docker(family, "filter"));
        let (there, names, gone) = match (nat.as_slice(), filter.as_slice()) {
            ([], names @ [_, ..]) => ("filter", names, "nat"),
            (names @ [_, ..], []) => ("nat", names, "filter"),
            _ => return None,
        };
        Some(Hit::new().saw(format!("Docker's chains in {family} {there}"), names.join(", "), "nf_tables").saw(
            format!("in {family} {gone}"),
            "none",
            "nf_tables",
        ))
    };
    ["ip", "ip6"].into_iter().filter_map(hit).collect()
}

fn shown_packet(pod: &Pod<'_>, packet: &Packet<'_>) -> Hit {
    let link = pod.way_out(packet.family).map(|out| out.end.link);
    let hit = link.map_or_else(Hit::new, |link| shown(pod, link));
    hit.saw(
        "a packet for far away",
        format!("from {} in by {}, out by {}", packet.from, packet.input, packet.output),
        "kernel",
    )
}

fn named(chain: &Chain) -> String {
    format!("{} {} {}", chain.family, chain.table, chain.name)
}

fn written(rule: &FilterRule) -> String {
    let condition = |each: &Match| {
        let not = if each.negated { "not " } else { "" };
        format!("{not}{} {}", each.what, each.value).trim_end().to_owned()
    };
    let conditions = rule.matches.iter().map(condition);
    conditions.chain(rule.verdict.clone()).collect::<Vec<_>>().join(" ")
}
