//! PN-ROUTE: the policy rules that packets meet before any route, on the node and in the pod.

use ipnet::IpNet;

use super::facts::Facts;
use super::hit::Hit;
use super::pod::{Pod, far_away};
use super::route::{self, FAMILIES, TABLES, ip};
use super::rule::{Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::fib::{self, Flow, LOCAL, MAIN};
use crate::model::netns::NetnsState;
use crate::model::rule::Rule as PolicyRule;

pub static NO_LOCAL: Rule = Rule {
    code: "PN-ROUTE-015",
    severity: Severity::Error,
    sentence: "No rule of the node looks into the local table, so the node does not know its own addresses.",
    meaning: "Packets to the node itself are routed away: pods cannot reach it, and answers to its own connections are \
              lost.",
    origin: "the rule was being moved (Cilium puts it at 100, VRF tools at 32765), and whoever did so was stopped between \
             deleting and adding it",
    confirm: "ip rule: no «lookup local»",
    fix: "ip rule add pref 0 lookup local; ip -6 rule add pref 0 lookup local",
    needs: TABLES,
    follows: &[],
    run: Run::Host(no_local),
};

fn no_local(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    rules_that_lack(facts, LOCAL, "local", 0)
}

pub static TWO_LOCAL: Rule = Rule {
    code: "PN-ROUTE-016",
    severity: Severity::Warning,
    sentence: "The node looks into its local table twice, at priority 0 and at 100.",
    meaning: "Cilium moves the rule so that its own come first. With the old one still there, packets that a layer 7 proxy \
              should get are delivered past it.",
    origin: "the agent was stopped while it moved the rule, or another program put the first one back",
    confirm: "ip rule: «lookup local» at 0 and at 100",
    fix: "ip rule del pref 0 lookup local, after making sure that the one at 100 is there",
    needs: TABLES,
    follows: &[],
    run: Run::Host(two_local),
};

fn two_local(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let at = |family: Family, priority: u32| {
        host.rules.iter().any(|rule| {
            rule.family == family && rule.table == Some(LOCAL) && rule.priority == priority && is_unconditional(rule)
        })
    };
    let hit = |family: Family| {
        (at(family, 0) && at(family, 100)).then(|| {
            Hit::new()
                .saw(format!("{family} rules that lead to the local table"), "0 and 100", "kernel")
                .command(format!("{} rule del pref 0 lookup local", ip(family)))
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

pub static NO_MAIN: Rule = Rule {
    code: "PN-ROUTE-017",
    severity: Severity::Error,
    sentence: "No rule of the node looks into the main table, so none of its usual routes count.",
    meaning: "The routes to the pods are there, and nothing uses them.",
    origin: "«ip rule flush», or a routing set-up that was torn down half-way",
    confirm: "ip rule: no «lookup main»",
    fix: "ip rule add pref 32766 lookup main; ip -6 rule add pref 32766 lookup main",
    needs: TABLES,
    follows: &[],
    run: Run::Host(no_main),
};

fn no_main(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    rules_that_lack(facts, MAIN, "main", 32766)
}

/// Where there are routes of a family in a table and no rule leads there at all.
fn rules_that_lack(facts: &Facts<'_>, table: u32, name: &str, priority: u32) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let hit = |family: Family| {
        let used = host.routes.iter().any(|route| route.family == family && route.table == table);
        let led = host.rules.iter().any(|rule| rule.family == family && rule.table == Some(table));
        (used && !led).then(|| {
            Hit::new()
                .saw(format!("{family} rules of the node"), rules(host, family), "kernel")
                .command(format!("{} rule add pref {priority} lookup {name}", ip(family)))
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

pub static PASS_BY: Rule = Rule {
    code: "PN-ROUTE-018",
    severity: Severity::Error,
    sentence: "The pod has a default route, but its own policy rules never lead to it.",
    meaning: "Packets are routed by rules first. Those of the pod do not look into the table that has the route, or refuse \
              before they do.",
    origin: "a VPN client or a sidecar in the pod changed the rules and did not put them back",
    confirm: "podnet exec POD -- ip rule, and ip route get 1.1.1.1",
    fix: "ip rule add pref 32766 lookup main, in the pod; or make the pod anew",
    needs: TABLES,
    follows: &[],
    run: Run::Pod(pass_by),
};

fn pass_by(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let default = fib::best(pod.state, MAIN, far_away(family)).filter(|route| route.kind == "unicast")?;
        let way = fib::way(pod.state, Flow::to(far_away(family)));
        // A rule for an interface or a mark may well mean the pod's packets.
        let unknown = pod.state.rules.iter().any(|rule| rule.family == family && !is_unconditional(rule));
        (way.route().is_none() && !unknown).then(|| {
            Hit::new()
                .saw("route in the main table", route::text(default), "kernel")
                .saw(format!("rules in {}", pod.place()), rules(pod.state, family), "kernel")
                .command(pod.inside(&format!("{} rule add pref 32766 lookup main", ip(family))))
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

fn is_unconditional(rule: &PolicyRule) -> bool {
    let anywhere = |net: Option<IpNet>| net.is_none_or(|net| net.prefix_len() == 0);
    let interfaces = rule.input_interface.is_none() && rule.output_interface.is_none();
    anywhere(rule.from) && anywhere(rule.to) && interfaces && rule.mark.is_none() && !rule.narrowed && !rule.inverted
}

fn rules(state: &NetnsState, family: Family) -> String {
    let rules: Vec<String> = state.rules.iter().filter(|rule| rule.family == family).map(text).collect();
    if rules.is_empty() { "none".to_owned() } else { rules.join(", ") }
}

/// As `ip rule` writes it, shorter.
pub(super) fn text(rule: &PolicyRule) -> String {
    let net = |word: &str, net: Option<IpNet>| net.map(|net| format!("{word} {net}"));
    let parts = [
        Some(format!("{}:", rule.priority)),
        rule.inverted.then(|| "not".to_owned()),
        net("from", rule.from).or_else(|| Some("from all".to_owned())),
        net("to", rule.to),
        rule.input_interface.as_ref().map(|name| format!("iif {name}")),
        rule.mark.map(|mark| format!("fwmark {mark:#x}/{:#x}", rule.mark_mask.unwrap_or(u32::MAX))),
        Some(rule.table.map_or_else(|| rule.action.clone(), |table| format!("lookup {table}"))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
