//! PN-DNS: what the pod's resolver is told, and whether it leads anywhere. No query is sent.

use std::net::IpAddr;

use super::hit::Hit;
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::dns::Dns;
use crate::model::fib::{self, Flow};
use crate::model::workload::Workload;

const RESOLV: &str = "resolv.conf";
/// `MAXNS` of resolv.h: more are not looked at.
const MOST_NAMESERVERS: usize = 3;

pub static UNREACHABLE: Rule = Rule {
    code: "PN-DNS-001",
    severity: Severity::Error,
    sentence: "The pod has no route to any of its nameservers.",
    meaning: "Every name lookup fails, at once or after a timeout, although addresses work.",
    origin: "the nameservers were taken from the node (dnsPolicy Default, Docker's daemon.json) and are not reachable from \
             the pod's network",
    confirm: "podnet exec POD -- ip route get NAMESERVER",
    fix: "give the pod a nameserver that it can reach (dnsPolicy, dnsConfig, --dns)",
    needs: &[Need::Names, Need::Routes, Need::Rules],
    follows: DEAD,
    run: Run::Pod(unreachable),
};

/// Faults after which nothing is reachable.
const DEAD: &[&str] = &[
    "PN-ROUTE-002",
    "PN-ROUTE-018",
    "PN-ROUTE-021",
    "PN-LINK-004",
    "PN-LINK-019",
    "PN-ADDR-001",
    "PN-SYS-006",
    "PN-LINK-010",
    "PN-NS-006",
];

fn unreachable(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((workload, dns)) = names(pod) else { return Vec::new() };
    let (lost, all) = unreachable_of(pod, dns);
    if lost.is_empty() || lost.len() < all {
        return Vec::new();
    }
    vec![nameservers(workload, dns).saw("routes to them", "none", "kernel")]
}

pub static PARTLY_UNREACHABLE: Rule = Rule {
    code: "PN-DNS-002",
    severity: Severity::Warning,
    sentence: "The pod has no route to one of its nameservers.",
    meaning: "Lookups that are sent there wait for a timeout of some seconds before the next one is asked.",
    origin: "a list of nameservers of which some belong to another network, or to a family that the pod does not speak",
    confirm: "podnet exec POD -- ip route get NAMESERVER",
    fix: "take it out of the list (dnsConfig, --dns)",
    needs: &[Need::Names, Need::Routes, Need::Rules],
    follows: DEAD,
    run: Run::Pod(partly_unreachable),
};

fn partly_unreachable(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((workload, dns)) = names(pod) else { return Vec::new() };
    let (lost, all) = unreachable_of(pod, dns);
    if lost.is_empty() || lost.len() == all {
        return Vec::new();
    }
    let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
    vec![nameservers(workload, dns).saw("without a route", lost.join("  "), "kernel")]
}

/// Those that nothing leads to, and how many are asked at all.
fn unreachable_of(pod: &Pod<'_>, dns: &Dns) -> (Vec<IpAddr>, usize) {
    // Who was given no network is told nameservers all the same, and asks none.
    if pod.ends.is_empty() {
        return (Vec::new(), 0);
    }
    let asked: Vec<IpAddr> = addresses(dns).into_iter().filter(|address| !address.is_loopback()).collect();
    let leads = |address: &IpAddr| {
        let Some(route) = fib::way(pod.state, Flow::to(*address)).leads() else { return false };
        // One more step is known: what the node itself refuses.
        let far = route
            .next_hops
            .first()
            .and_then(|hop| hop.ifindex)
            .and_then(|ifindex| pod.ends.iter().find(|end| end.link.ifindex == ifindex)?.pair());
        far.filter(|far| far.state.netns.is_host).is_none_or(|far| match fib::way(far.state, Flow::to(*address)) {
            fib::Way::Route { route, .. } => !route.refuses() || route.metric == Some(u32::MAX),
            fib::Way::Refused { .. } => false,
            fib::Way::Nowhere => true,
        })
    };
    (asked.iter().filter(|address| !leads(address)).copied().collect(), asked.len())
}

pub static NOBODY_LISTENS: Rule = Rule {
    code: "PN-DNS-003",
    severity: Severity::Error,
    sentence: "The pod's nameserver is itself, and nothing in the pod answers.",
    meaning: "An address like 127.0.0.53 means the machine that asks. The node's own resolver listens there on the node, \
              and not in the pod.",
    origin: "the node's /etc/resolv.conf, which points to systemd-resolved, was handed to the pod",
    confirm: "podnet exec POD --dns -- cat /etc/resolv.conf, and podnet inspect POD under SOCKETS",
    fix: "have kubelet use /run/systemd/resolve/resolv.conf (resolvConf:), or give Docker a nameserver (\"dns\" in \
          daemon.json)",
    needs: &[Need::Names, Need::Sockets],
    follows: &["PN-NS-006"],
    run: Run::Pod(nobody_listens),
};

fn nobody_listens(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((workload, dns)) = names(pod) else { return Vec::new() };
    let sockets = pod.state.sockets.as_ref();
    // Docker's own resolver listens on another port, and the packet filter turns port 53 there.
    let answered = |address: &IpAddr| {
        sockets.into_iter().flat_map(|sockets| &sockets.listeners).any(|socket| {
            let any = socket.local.ip().is_unspecified() && socket.local.port() == 53;
            socket.local.ip() == *address || any
        })
    };
    let own = addresses(dns).into_iter().filter(IpAddr::is_loopback).find(|address| !answered(address));
    own.map(|address| {
        nameservers(workload, dns).saw(format!("listeners at {address} in {}", pod.place()), "none", "kernel")
    })
    .into_iter()
    .collect()
}

pub static NO_NAMESERVER: Rule = Rule {
    code: "PN-DNS-004",
    severity: Severity::Warning,
    sentence: "The pod is told no nameserver.",
    meaning: "Its resolver asks 127.0.0.1, where nothing answers, or gives up at once: no name can be looked up.",
    origin: "the file was overwritten in the image or by a mount, or dnsPolicy None came without a dnsConfig",
    confirm: "podnet exec POD --dns -- cat /etc/resolv.conf",
    fix: "set dnsPolicy or dnsConfig, or remove what is mounted over /etc/resolv.conf",
    needs: &[Need::Names],
    follows: &[],
    run: Run::Pod(no_nameserver),
};

fn no_nameserver(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((workload, dns)) = names(pod) else { return Vec::new() };
    // A container without any network has no use for one, and one whose files cannot be read may have one.
    if !dns.nameservers.is_empty() || !dns.problems.is_empty() || pod.ends.is_empty() || workload.id.is_none() {
        return Vec::new();
    }
    vec![nameservers(workload, dns)]
}

pub static TOO_MANY: Rule = Rule {
    code: "PN-DNS-005",
    severity: Severity::Warning,
    sentence: "The pod is told more than three nameservers; those after the third are never asked.",
    meaning: "If the one that knows the cluster's names is among them, those names do not resolve.",
    origin: "the node's list was joined with the cluster's",
    confirm: "podnet exec POD --dns -- cat /etc/resolv.conf",
    fix: "name at most three (dnsConfig, kubelet's resolvConf)",
    needs: &[Need::Names],
    follows: &[],
    run: Run::Pod(too_many),
};

fn too_many(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((workload, dns)) = names(pod) else { return Vec::new() };
    if dns.nameservers.len() <= MOST_NAMESERVERS { Vec::new() } else { vec![nameservers(workload, dns)] }
}

pub static LONG_SEARCH: Rule = Rule {
    code: "PN-DNS-006",
    severity: Severity::Info,
    sentence: "Each external name that the pod looks up is tried with many suffixes first.",
    meaning: "With a high ndots every name of fewer dots is asked for with each search domain, for IPv4 and IPv6: a dozen \
              questions for one answer, and each a chance of a timeout.",
    origin: "the node's own search domains were added to the cluster's, with ndots:5",
    confirm: "podnet exec POD --dns -- cat /etc/resolv.conf: «search» and «options ndots»",
    fix: "set ndots to 2 in dnsConfig, shorten the node's search list, or write external names with a dot at the end",
    needs: &[Need::Names],
    follows: &[],
    run: Run::Pod(long_search),
};

/// Kubernetes gives three and the node's; with as many as this it is worth a word.
const LONG: usize = 6;

fn long_search(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((workload, dns)) = names(pod) else { return Vec::new() };
    let ndots = dns.options.iter().find_map(|option| option.strip_prefix("ndots:")?.parse::<u32>().ok()).unwrap_or(1);
    if dns.search.len() < LONG || ndots < 3 {
        return Vec::new();
    }
    let questions = (dns.search.len() + 1) * 2;
    vec![Hit::new().saw("search", dns.search.join(" "), RESOLV).saw("ndots", ndots.to_string(), RESOLV).saw(
        "questions for one external name",
        questions.to_string(),
        workload.process.as_deref().unwrap_or(RESOLV),
    )]
}

/// Of a container; what a process of the machine's own looks at is the machine's.
fn names<'p>(pod: &'p Pod<'_>) -> Option<(&'p Workload, &'p Dns)> {
    let containers = pod.workloads.iter().filter(|workload| workload.id.is_some());
    containers.filter_map(|workload| Some((*workload, pod.facts.node.names_of(workload.pid?)?))).next()
}

/// Those that are asked. A scope behind the address (`%eth0`) is the resolver's business.
fn addresses(dns: &Dns) -> Vec<IpAddr> {
    let asked = dns.nameservers.iter().take(MOST_NAMESERVERS);
    asked.filter_map(|text| text.split('%').next()?.parse().ok()).collect()
}

fn nameservers(workload: &Workload, dns: &Dns) -> Hit {
    let told = if dns.nameservers.is_empty() { "none".to_owned() } else { dns.nameservers.join("  ") };
    let pid = workload.pid.map(|pid| format!(" of process {pid}")).unwrap_or_default();
    Hit::new().saw(format!("nameservers{pid}"), told, RESOLV)
}
