//! What the packet filter decides of a new connection of a pod.
//!
//! A ruleset can hold anything. What is followed here is what decides about every packet of a pod: interfaces, addresses
//! and the state of the connection. Where a condition that is not known could let a packet through, nothing is said.

use std::net::IpAddr;

use super::host_route::is_delivered_by_a_program;
use super::pod::{End, Far, Pod, far_away};
use super::route::{FAMILIES, Onward, onward};
use crate::model::address::Family;
use crate::model::firewall::{Chain, FilterRule, Firewall, Match};

/// A chain of chains that is deeper leads nowhere sensible.
const DEEPEST: usize = 16;

/// The first packet of a connection from a pod to far away, as it comes to the forward hook of its router.
pub(super) struct Packet<'a> {
    pub(super) far: Far<'a>,
    pub(super) family: Family,
    pub(super) input: String,
    pub(super) output: String,
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
}

/// What becomes of it.
pub(super) enum Fate<'a> {
    /// It passes, or that cannot be told.
    Passes,
    Policy(&'a Chain),
    Rule(&'a Chain, &'a FilterRule),
}

pub(super) fn fates<'a>(pod: &Pod<'a>) -> Vec<(Packet<'a>, Fate<'a>)> {
    let packet = |family: Family| {
        let Onward { far, from, route, .. } = onward(pod, family)?;
        let firewall = far.state.firewall.as_ref().filter(|firewall| firewall.legacy_tables.is_empty())?;
        let output = route.next_hops.first()?.interface.clone()?;
        let packet = Packet { far, family, input: far.gate().name.clone(), output, from, to: far_away(family) };
        let fate = fate(firewall, &packet);
        Some((packet, fate))
    };
    // Cilium's programs pass by the packet filter.
    let by_program = pod.ends.iter().filter_map(End::pair).any(is_delivered_by_a_program);
    let families = if by_program { [].as_slice() } else { FAMILIES.as_slice() };
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
