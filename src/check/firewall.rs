//! PN-FW: what the node's packet filter does with a new connection of a pod.
//!
//! A ruleset can hold anything. What is followed here is what decides about every packet of a pod: interfaces, addresses
//! and the state of the connection. Where a condition that is not known could let a packet through, nothing is said.

use std::net::IpAddr;

use super::facts::Facts;
use super::hit::Hit;
use super::link::shown;
use super::paste::word;
use super::pod::{Far, Pod, far_away};
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::fib::{self, Flow};
use crate::model::firewall::{Chain, FilterRule, Firewall, Match};

/// A chain of chains that is deeper leads nowhere sensible.
const DEEPEST: usize = 16;

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
    origin: "net.bridge.bridge-nf-call-iptables is 0: br_netfilter was loaded after the sysctl files were read",
    confirm: "sysctl net.bridge.bridge-nf-call-iptables",
    fix: "sysctl -w net.bridge.bridge-nf-call-iptables=1, and load br_netfilter early (/etc/modules-load.d)",
    needs: &[Need::Firewall, Need::Sysctls],
    follows: &[],
    run: Run::Host(bridge_unfiltered),
};

fn bridge_unfiltered(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    const SETTING: &str = "net.bridge.bridge-nf-call-iptables";
    let Some(host) = facts.host() else { return Vec::new() };
    let off = host.sysctls.as_ref().and_then(|sysctls| sysctls.values.get(SETTING)).is_some_and(|value| value == "0");
    let proxied = host
        .firewall
        .iter()
        .flat_map(|firewall| &firewall.chains)
        .any(|chain| chain.name == "KUBE-SERVICES" && chain.table == "nat" && chain.rule_count > 0);
    let on_bridge = pods.iter().filter(|pod| pod.is_of_kubernetes()).flat_map(|pod| &pod.ends).find_map(|end| {
        end.pair().filter(|far| far.state.netns.is_host)?.master().filter(|master| master.kind == "bridge")
    });
    let Some(bridge) = on_bridge.filter(|_| off && proxied) else { return Vec::new() };
    let hit = Hit::new().saw(SETTING, "0", "kernel").saw("bridge with pods", bridge.name.clone(), "kernel").saw(
        "kube-proxy's rules",
        "in nf_tables",
        "nf_tables",
    );
    vec![super::sysctl::who_sets(hit, facts, SETTING).command(format!("sysctl -w {SETTING}=1"))]
}

/// The first packet of a connection from a pod to far away, as it comes to the forward hook of its router.
struct Packet<'a> {
    far: Far<'a>,
    family: Family,
    input: String,
    output: String,
    from: IpAddr,
    to: IpAddr,
}

/// What becomes of it.
enum Fate<'a> {
    /// It passes, or that cannot be told.
    Passes,
    Policy(&'a Chain),
    Rule(&'a Chain, &'a FilterRule),
}

fn fates<'a>(pod: &Pod<'a>) -> Vec<(Packet<'a>, Fate<'a>)> {
    let packet = |family: Family| {
        let (far, out) = pod.router(family).zip(pod.way_out(family))?;
        let firewall = far.state.firewall.as_ref().filter(|firewall| firewall.legacy_tables.is_empty())?;
        let global = |address: &&crate::model::address::Address| address.scope == "global" && address.family == family;
        let from = out.end.link.addresses.iter().find(global)?.address;
        let to = far_away(family);
        let input = far.gate().name.clone();
        let route = fib::way(far.state, Flow { from: Some(from), input: Some(&input), ..Flow::to(to) }).leads()?;
        let output = route.next_hops.first()?.interface.clone()?;
        let packet = Packet { far, family, input, output, from, to };
        let fate = fate(firewall, &packet);
        Some((packet, fate))
    };
    // Cilium's programs pass by the packet filter.
    let by_program = pod.ends.iter().filter_map(super::pod::End::pair).any(super::route::is_delivered_by_a_program);
    let families = if by_program { [].as_slice() } else { &[Family::Ipv4, Family::Ipv6] };
    families.iter().filter_map(|family| packet(*family)).collect()
}

fn fate<'a>(firewall: &'a Firewall, packet: &Packet<'_>) -> Fate<'a> {
    let mut bases: Vec<&Chain> = firewall
        .chains
        .iter()
        .filter(|chain| {
            let hooked = chain.hook.as_ref().is_some_and(|hook| hook.name == "forward" && hook.kind == "filter");
            let spoken = match packet.family {
                Family::Ipv4 => "ip",
                Family::Ipv6 => "ip6",
            };
            hooked && (chain.family == spoken || chain.family == "inet")
        })
        .collect();
    bases.sort_by_key(|chain| chain.hook.as_ref().map_or(0, |hook| hook.priority));
    for base in bases {
        match walk(firewall, base, packet, 0) {
            Verdict::Accepted | Verdict::Unknown => {}
            Verdict::Dropped(chain, rule) => return Fate::Rule(chain, rule),
            Verdict::Returned if base.hook.as_ref().is_some_and(|hook| hook.policy == "drop") => {
                return Fate::Policy(base);
            }
            Verdict::Returned => {}
        }
    }
    Fate::Passes
}

/// What a chain decides.
enum Verdict<'a> {
    Accepted,
    Dropped(&'a Chain, &'a FilterRule),
    /// It came to its end, or to a «return».
    Returned,
    /// It may have been accepted on the way.
    Unknown,
}

fn walk<'a>(firewall: &'a Firewall, chain: &'a Chain, packet: &Packet<'_>, depth: usize) -> Verdict<'a> {
    let cut = usize::try_from(chain.rule_count).is_ok_and(|count| count > chain.rules.len());
    if cut || depth > DEEPEST {
        return Verdict::Unknown;
    }
    for rule in &chain.rules {
        let fits = fits(rule, packet, &chain.name);
        let Some(verdict) = rule.verdict.as_deref().filter(|_| fits != Fits::No) else { continue };
        let sure = fits == Fits::Yes;
        let target = verdict.strip_prefix("jump ").or_else(|| verdict.strip_prefix("goto "));
        let outcome = match (verdict, target) {
            (_, Some(name)) => match find(firewall, chain, name) {
                Some(target) => walk(firewall, target, packet, depth + 1),
                None => Verdict::Unknown,
            },
            ("accept", _) => Verdict::Accepted,
            ("drop" | "reject" | "REJECT", _) => Verdict::Dropped(chain, rule),
            ("return", _) => return if sure { Verdict::Returned } else { Verdict::Unknown },
            // They mark or write, and go on.
            ("MARK" | "CONNMARK" | "LOG" | "NFLOG" | "SET" | "CT" | "TCPMSS" | "CHECKSUM" | "AUDIT" | "TRACE", _) => {
                continue;
            }
            _ => Verdict::Unknown,
        };
        match outcome {
            Verdict::Returned if verdict.starts_with("goto ") && sure => return Verdict::Returned,
            Verdict::Returned => {}
            // What may be dropped here may as well not be, and what comes after decides.
            Verdict::Dropped(..) if !sure => {}
            Verdict::Accepted | Verdict::Unknown if !sure => return Verdict::Unknown,
            decided => return decided,
        }
    }
    Verdict::Returned
}

fn find<'a>(firewall: &'a Firewall, beside: &Chain, name: &str) -> Option<&'a Chain> {
    let same = |chain: &&Chain| chain.family == beside.family && chain.table == beside.table && chain.name == name;
    firewall.chains.iter().find(same)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fits {
    Yes,
    No,
    Perhaps,
}

fn fits(rule: &FilterRule, packet: &Packet<'_>, chain: &str) -> Fits {
    let mut all = Fits::Yes;
    for each in &rule.matches {
        match condition(each, packet, chain) {
            Fits::No => return Fits::No,
            Fits::Perhaps => all = Fits::Perhaps,
            Fits::Yes => {}
        }
    }
    all
}

fn condition(each: &Match, packet: &Packet<'_>, chain: &str) -> Fits {
    let within = |address: IpAddr| each.value.parse::<ipnet::IpNet>().ok().map(|net| net.contains(&address));
    let is_so = match each.what.as_str() {
        // kube-proxy's own mark, which only what it translated has.
        "mark" if chain == "KUBE-FORWARD" => Some(false),
        _ if each.value.is_empty() => None,
        "iifname" => Some(is_named(&each.value, &packet.input)),
        "oifname" => Some(is_named(&each.value, &packet.output)),
        "saddr" => within(packet.from),
        "daddr" => within(packet.to),
        "ctstate" => Some(each.value.split(',').any(|state| state == "new")),
        _ => None,
    };
    match is_so {
        Some(is_so) if is_so != each.negated => Fits::Yes,
        Some(_) => Fits::No,
        None => Fits::Perhaps,
    }
}

fn is_named(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::firewall::ChainHook;
    use crate::model::link::Link;
    use crate::model::netns::NetnsState;

    fn matched(text: &str) -> Match {
        let (what, value) = text.trim_start_matches('!').split_once(' ').unwrap_or((text, ""));
        Match { what: what.to_owned(), value: value.to_owned(), negated: text.starts_with('!') }
    }

    /// `oifname eth0, ctstate new → accept`.
    fn rule(text: &str) -> FilterRule {
        let (matches, verdict) = text.split_once("→ ").unwrap();
        let matches = matches.split(", ").map(str::trim).filter(|text| !text.is_empty()).map(matched).collect();
        FilterRule { matches, verdict: Some(verdict.to_owned()), packets: None }
    }

    fn chain(name: &str, policy: Option<&str>, rules: &[&str]) -> Chain {
        let hook = policy.map(|policy| ChainHook {
            name: "forward".into(),
            priority: 0,
            kind: "filter".into(),
            policy: policy.into(),
        });
        let rules: Vec<FilterRule> = rules.iter().map(|text| rule(text)).collect();
        Chain {
            family: "ip".into(),
            table: "filter".into(),
            name: name.into(),
            hook,
            rule_count: u32::try_from(rules.len()).unwrap(),
            rules,
            jumps: Vec::new(),
        }
    }

    fn outcome(chains: Vec<Chain>) -> &'static str {
        let (state, link) = (NetnsState::default(), Link::default());
        let packet = Packet {
            far: Far { state: &state, link: &link },
            family: Family::Ipv4,
            input: "cni0".into(),
            output: "eth0".into(),
            from: [10, 1, 0, 7].into(),
            to: [203, 0, 113, 1].into(),
        };
        match fate(&Firewall { chains, legacy_tables: Vec::new() }, &packet) {
            Fate::Passes => "passes",
            Fate::Policy(_) => "policy",
            Fate::Rule(..) => "rule",
        }
    }

    #[test]
    fn a_policy_of_drop_and_what_lets_through() {
        let docker = "iifname docker0, !oifname docker0 → accept";
        for (rules, expected) in [
            (&[][..], "policy"),
            (&[docker, "ctstate established,related → accept"], "policy"),
            (&["iifname cni0, !oifname cni0 → accept"], "passes"),
            (&["iifname cni* → accept"], "passes"),
            (&["saddr 10.1.0.0/16 → accept"], "passes"),
            (&["saddr 10.2.0.0/16 → accept"], "policy"),
            (&["ctstate new,established → accept"], "passes"),
            (&["lookup → accept"], "passes"), // it may
            (&["saddr 10.1.0.7/32 → drop", "→ accept"], "rule"),
            (&["protocol → drop", "→ accept"], "passes"),
            (&["→ return", "→ accept"], "policy"),
        ] {
            assert_eq!(outcome(vec![chain("FORWARD", Some("drop"), rules)]), expected, "{rules:?}");
        }
        assert_eq!(outcome(vec![chain("FORWARD", Some("accept"), &[])]), "passes");
    }

    #[test]
    fn jumps_are_followed() {
        let forward = |policy| chain("FORWARD", Some(policy), &["→ jump KUBE-FORWARD", "→ jump USER"]);
        let kube = chain("KUBE-FORWARD", None, &["mark → accept", "ctstate established → accept"]);
        for (user, expected) in [
            (&[][..], "policy"),
            (&["→ return"], "policy"),
            (&["iifname cni0 → accept"], "passes"),
            (&["iifname cni0 → drop"], "rule"),
            (&["fib → accept"], "passes"),
        ] {
            assert_eq!(outcome(vec![forward("drop"), kube.clone(), chain("USER", None, user)]), expected, "{user:?}");
        }
        let cut = Chain { rule_count: 9000, ..chain("USER", None, &[]) };
        assert_eq!(outcome(vec![forward("drop"), kube, cut]), "passes", "what was not read may accept");
        let round = chain("FORWARD", Some("drop"), &["→ jump FORWARD"]);
        assert_eq!(outcome(vec![round]), "passes");
    }

    #[test]
    fn another_chain_of_the_hook_may_drop_what_the_first_accepted() {
        let first = chain("FORWARD", Some("accept"), &["→ accept"]);
        let mut second = chain("other", Some("drop"), &[]);
        second.family = "inet".into();
        assert_eq!(outcome(vec![first, second]), "policy");
    }
}
