//! PN-LINK: the other end of a pod's interface.

use super::facts::Facts;
use super::hit::Hit;
use super::link::{far_named, flags, set_up, shown};
use super::paste::word;
use super::pod::{End, Pod, leads_on};
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::link::Link;
use crate::model::peer::Verdict;

pub static MISSING: Rule = Rule {
    code: "PN-LINK-001",
    severity: Severity::Error,
    sentence: "The other end of the pod's interface is in no namespace of this node.",
    meaning: "A veth pair is a cable with two plugs. One is in the pod; the other is in a network namespace that no \
              process, mount or descriptor leads to, so whatever the pod sends is received by nobody.",
    origin: "the other end was moved to a namespace that has lost its last process and mount since, or that only a \
             program outside of podnet's sight holds",
    confirm: "podnet exec POD -- ip -d link shows «link-netnsid»; ip netns list-id does not explain it",
    fix: "make the pod anew: its pair cannot be joined again",
    needs: &[Need::Everyone],
    follows: &[],
    run: Run::Pod(missing),
};

fn missing(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let peer = end.peer.as_ref().filter(|peer| peer.verdict == Verdict::None && end.link.is_paired())?;
        // One that is just going away has no id any more.
        let stays = peer.ifindex.is_some() || end.link.link_netnsid.is_some_and(|nsid| nsid >= 0);
        let why = peer.why.clone().filter(|_| stays)?;
        Some(shown(pod, end.link).saw("its other end", why, "kernel"))
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static LEADS_NOWHERE: Rule = Rule {
    code: "PN-LINK-002",
    severity: Severity::Error,
    sentence: "The other end of the pod's interface is in a namespace from which nothing leads on.",
    meaning: "The pair is whole, but the node's end is not where the node routes: it lies in another namespace, which \
              has no way out itself. The pod talks to an empty room.",
    origin: "the node's end was moved by hand or by another program, or the plugin ran in the wrong namespace",
    confirm: "podnet inspect POD tells which namespace that is and who holds it",
    fix: "move the end back (ip link set DEV netns 1, then up, and its routes), or make the pod anew",
    needs: &[Need::Routes, Need::Rules],
    follows: &[],
    run: Run::Pod(leads_nowhere),
};

fn leads_nowhere(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.pair().filter(|far| !far.state.netns.is_host && pod.was_promised_a_network())?;
        let families = [Family::Ipv4, Family::Ipv6];
        let leads = families.iter().any(|family| leads_on(far.state, *family));
        let moved_back = format!("ip link set {} netns 1", word(&far.link.name));
        (!leads)
            .then(|| shown(pod, end.link).saw("its other end", far_named(far), "kernel").command(far.at(&moved_back)))
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static LEFT_OVER_PAIR: Rule = Rule {
    code: "PN-LINK-003",
    severity: Severity::Warning,
    sentence: "A pair made for a pod lies on the node with both of its ends.",
    meaning: "Nobody uses it. The next attempt to set up the same pod may fail, as the name is taken («file exists»).",
    origin: "a CNI plugin was killed between making the pair and moving one end into the pod",
    confirm: "ip -d link show DEV: its peer is a neighbour of its own, and both are down",
    fix: "ip link delete DEV",
    needs: &[],
    follows: &[],
    run: Run::Node(left_over_pair),
};

fn left_over_pair(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let idle = |link: &Link| !link.is_up() && link.master.is_none() && link.addresses.is_empty();
    let hit = |link: &Link| {
        let peer = facts.peer(host.netns.inode, link).filter(|peer| peer.verdict == Verdict::Confirmed)?;
        let other = host.link(peer.ifindex?).filter(|_| peer.netns.is_some_and(|netns| netns.is_host))?;
        let named = is_plugins_name(&link.name) && idle(link) && idle(other);
        // Both may have such a name; one of them is enough to tell of, best the one that would have stayed on the node.
        let order = |link: &Link| (link.name.starts_with("tmp"), link.ifindex);
        let first = !is_plugins_name(&other.name) || order(link) < order(other);
        (named && first).then(|| {
            Hit::new()
                .thing(format!("dev:{}", link.name))
                .saw("both ends on the host, both down", format!("{} and {}", link.name, other.name), "kernel")
                .command(format!("ip link delete {}", word(&link.name)))
        })
    };
    host.links.iter().filter(|link| link.is_paired()).filter_map(hit).collect()
}

/// As Cilium, Calico and the reference plugins make names: a word and hexadecimal digits.
fn is_plugins_name(name: &str) -> bool {
    let digits = |word: &str, count: std::ops::RangeInclusive<usize>| {
        let rest = name.strip_prefix(word).filter(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        rest.is_some_and(|rest| count.contains(&rest.len()))
    };
    digits("lxc", 10..=12) || digits("tmp", 5..=12) || digits("cali", 11..=11) || digits("veth", 7..=8)
}

pub static DOWN: Rule = Rule {
    code: "PN-LINK-005",
    severity: Severity::Error,
    sentence: "The node's end of the pod's interface is down.",
    meaning: "The pod's end shows «lower layer down»: it has no carrier as long as the other end is switched off, and \
              nothing gets through in either direction.",
    origin: "an operator, NetworkManager or systemd-networkd set it down, or another CNI cleaned up too much",
    confirm: "ip link show DEV on the node: no UP among the flags",
    fix: "ip link set DEV up; keep network managers away from the interfaces of pods (unmanaged-devices)",
    needs: &[],
    follows: &["PN-LINK-004"],
    run: Run::Pod(down),
};

fn down(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>| {
        let far = end.pair().filter(|far| !far.link.is_up() && end.link.is_up())?;
        Some(
            shown(pod, end.link)
                .saw("its other end", far_named(far), "kernel")
                .saw("flags of that", flags(far.link), "kernel")
                .command(far.at(&set_up(far.link))),
        )
    };
    pod.ends.iter().filter_map(hit).collect()
}
