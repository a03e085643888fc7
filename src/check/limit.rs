//! PN-SYS: the tables that all share, and how full they are.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::hit::Hit;
use super::pod::Pod;
use super::rule::{Need, Rule, Run, Severity};
use super::sysctl::who_sets;
use crate::model::address::Family;
use crate::model::netns::NetnsState;

/// In parts of a hundred.
const NEARLY: u64 = 85;

fn is_nearly_full(used: u64, most: u64) -> bool {
    used.saturating_mul(100) >= most.saturating_mul(NEARLY)
}

pub static CONNTRACK_FILLING: Rule = Rule {
    code: "PN-SYS-008",
    severity: Severity::Warning,
    sentence: "The table of connections is nearly full.",
    meaning: "When it is full the kernel drops the first packet of every new connection: «nf_conntrack: table full».",
    origin: "many short connections, or connections that are never closed; a limit that did not grow with the node",
    confirm: "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
    fix: "sysctl -w net.netfilter.nf_conntrack_max=… (twice as much is cheap), and find who opens them: conntrack -L",
    needs: &[],
    follows: &[],
    run: Run::Node(conntrack_filling),
};

fn conntrack_filling(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    connections(facts, pods, |count, max| count < max && is_nearly_full(count, max))
}

pub static CONNTRACK_FULL: Rule = Rule {
    code: "PN-SYS-009",
    severity: Severity::Error,
    sentence: "The table of connections is full: new connections are being dropped.",
    meaning: "The kernel drops the first packet of every connection that it cannot remember. Those that exist go on, so \
              the fault looks random.",
    origin: "many short connections, or connections that are never closed; a limit that did not grow with the node",
    confirm: "dmesg | grep «nf_conntrack: table full, dropping packet»",
    fix: "sysctl -w net.netfilter.nf_conntrack_max=… (twice as much is cheap), and find who opens them: conntrack -L",
    needs: &[],
    follows: &[],
    run: Run::Node(conntrack_full),
};

fn conntrack_full(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    connections(facts, pods, |count, max| count >= max && max > 0)
}

/// Each namespace counts its own connections against the limit.
fn connections(facts: &Facts<'_>, pods: &[Pod<'_>], is_so: impl Fn(u64, u64) -> bool) -> Vec<Hit> {
    let states = facts.host().into_iter().chain(pods.iter().map(|pod| pod.state));
    let hit = |state: &NetnsState| {
        let fill = state.sysctls.as_ref()?.conntrack.filter(|fill| is_so(fill.count, fill.max))?;
        let twice = fill.max.saturating_mul(2);
        let hit = Hit::new()
            .saw("connections", format!("{} of {}", fill.count, fill.max), "kernel")
            .command(format!("sysctl -w net.netfilter.nf_conntrack_max={twice}"));
        let hit = who_sets(hit, facts, "net.netfilter.nf_conntrack_max");
        Some(if state.netns.is_host { hit } else { hit.about(state.netns.inode) })
    };
    states.filter_map(hit).collect()
}

pub static NEIGHBOURS_FULL: Rule = Rule {
    code: "PN-SYS-010",
    severity: Severity::Warning,
    sentence: "The node's table of neighbours is nearly full.",
    meaning: "The table is one for all namespaces together. Above gc_thresh3 no MAC address can be learnt any more: new \
              connections to neighbours fail with «no buffer space» or hang.",
    origin: "a large flat network, many pods on one node, or a scan of the subnet",
    confirm: "dmesg | grep «neighbor table overflow»",
    fix: "sysctl -w net.ipv4.neigh.default.gc_thresh3=… (and thresh2, thresh1; likewise for ipv6), in /etc/sysctl.d too",
    needs: &[Need::Host, Need::Neighbours],
    follows: &[],
    run: Run::Node(neighbours_full),
};

fn neighbours_full(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = &facts.node.host else { return Vec::new() };
    let limits =
        [(Family::Ipv4, "ipv4", host.limits.ipv4_neighbours), (Family::Ipv6, "ipv6", host.limits.ipv6_neighbours)];
    let hit = |(family, word, limit): (Family, &str, Option<u64>)| {
        // Permanent entries are not counted against it.
        let all = facts.node.namespaces.iter().flat_map(|state| &state.neighbours);
        let counted =
            all.filter(|entry| Family::of(&entry.address) == family && entry.state != "permanent").count() as u64;
        let limit = limit?;
        is_nearly_full(counted, limit).then(|| {
            let name = format!("net.{word}.neigh.default.gc_thresh3");
            let hit = Hit::new().saw("neighbours in all namespaces", counted.to_string(), "kernel").saw(
                &*name,
                limit.to_string(),
                "kernel",
            );
            who_sets(hit, facts, &name).command(format!("sysctl -w {name}={}", limit.saturating_mul(4)))
        })
    };
    limits.into_iter().filter_map(hit).collect()
}

pub static INOTIFY: Rule = Rule {
    code: "PN-SYS-011",
    severity: Severity::Warning,
    sentence: "A user is about to run out of inotify instances.",
    meaning: "Programs that watch files (kubelet, container runtimes, CNI agents that watch their configuration, ingress \
              controllers) fail with «too many open files» when they start.",
    origin: "fs.inotify.max_user_instances is 128 by default, which a node with many pods of one user uses up",
    confirm: "find /proc/*/fd -lname anon_inode:inotify | wc -l",
    fix: "sysctl -w fs.inotify.max_user_instances=8192, in /etc/sysctl.d too",
    needs: &[Need::Host],
    follows: &[],
    run: Run::Node(inotify),
};

fn inotify(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(limits) = facts.node.host.as_ref().map(|host| &host.limits) else { return Vec::new() };
    by_user(facts, "fs.inotify.max_user_instances", "instances", limits.inotify_instances, &limits.inotify_used)
}

pub static INOTIFY_WATCHES: Rule = Rule {
    code: "PN-SYS-015",
    severity: Severity::Warning,
    sentence: "A user is about to run out of files that he may watch.",
    meaning: "Programs that watch one file or folder more fail with «no space left on device», on a disk that is not full: \
              the kubelet and runtimes for the folders of new pods, CNI agents for their configuration.",
    origin: "fs.inotify.max_user_watches is small for this node, or a program (a log shipper, an editor's server) watches whole \
             trees",
    confirm: "cat /proc/*/fdinfo/* 2>/dev/null | grep -c ^inotify",
    fix: "sysctl -w fs.inotify.max_user_watches=524288, in /etc/sysctl.d too",
    needs: &[Need::Host],
    follows: &[],
    run: Run::Node(inotify_watches),
};

fn inotify_watches(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(limits) = facts.node.host.as_ref().map(|host| &host.limits) else { return Vec::new() };
    by_user(facts, "fs.inotify.max_user_watches", "watches", limits.inotify_watches, &limits.inotify_watches_used)
}

/// Who has nearly as many as each user may have.
fn by_user(facts: &Facts<'_>, setting: &str, what: &str, most: Option<u64>, used: &BTreeMap<u32, u64>) -> Vec<Hit> {
    let Some(most) = most else { return Vec::new() };
    let near = used.iter().filter(|(_, used)| is_nearly_full(**used, most));
    near.map(|(user, used)| {
        let hit = Hit::new().saw(format!("{what} of user {user}"), used.to_string(), "proc").saw(
            setting,
            most.to_string(),
            "kernel",
        );
        who_sets(hit, facts, setting).command(format!("sysctl -w {setting}={}", most.saturating_mul(8).max(8192)))
    })
    .collect()
}

pub static OPEN_FILES: Rule = Rule {
    code: "PN-SYS-012",
    severity: Severity::Warning,
    sentence: "The node is about to run out of open files.",
    meaning: "Sockets are files, too: when none is left, no connection can be made or taken by anybody but root.",
    origin: "a program leaks descriptors, or fs.file-max was set too small",
    confirm: "sysctl fs.file-nr: used, free, most",
    fix: "sysctl -w fs.file-max=…, and find who holds them: ls /proc/*/fd | sort | uniq -c",
    needs: &[Need::Host],
    follows: &[],
    run: Run::Node(open_files),
};

fn open_files(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let fill = facts.node.host.as_ref().and_then(|host| host.limits.open_files);
    let Some(fill) = fill.filter(|fill| is_nearly_full(fill.count, fill.max)) else {
        return Vec::new();
    };
    let hit = Hit::new().saw("open files", format!("{} of {}", fill.count, fill.max), "kernel");
    vec![who_sets(hit, facts, "fs.file-max").command(format!("sysctl -w fs.file-max={}", fill.max.saturating_mul(2)))]
}
