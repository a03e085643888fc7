//! PN-ADDR: the addresses of a pod.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::facts::Facts;
use super::hit::Hit;
use super::link::shown;
use super::paste::word;
use super::pod::{End, Pod};
use super::rule::{Rule, Run, Severity};
use crate::model::address::{Address, Family};
use crate::model::netns::Inode;

pub static NONE: Rule = Rule {
    code: "PN-ADDR-001",
    severity: Severity::Error,
    sentence: "The pod's interface has no address.",
    meaning: "It is connected, but nobody can send to it and it can send to nobody.",
    origin: "the addresses were removed in the pod (a DHCP client, «ip addr flush»), or ADD failed half-way",
    confirm: "podnet exec POD -- ip addr",
    fix: "make the pod anew, or give it the address that it was assigned (podnet ipam list)",
    needs: &[],
    follows: &["PN-LINK-019", "PN-LINK-004", "PN-LINK-010", "PN-SYS-006"],
    run: Run::Pod(none),
};

fn none(pod: &Pod<'_>) -> Vec<Hit> {
    // An interface in a bridge inside hands its address on, to a virtual machine.
    let bridged = pod.state.links.iter().any(|link| link.master.is_some());
    let missing = |family| pod.was_promised(family) && !pod.state.links.iter().any(|link| has(link, family));
    if bridged || pod.ends.is_empty() {
        return Vec::new();
    }
    let families: Vec<Family> = [Family::Ipv4, Family::Ipv6].into_iter().filter(|family| missing(*family)).collect();
    let Some(end) = pod.ends.first().filter(|_| !families.is_empty()) else { return Vec::new() };
    let promised: Vec<String> = promised(pod)
        .filter(|address| families.contains(&Family::of(address)))
        .map(|address| address.to_string())
        .collect();
    let shown = shown(pod, end.link).saw("addresses of the pod", addresses(pod), "kernel").saw(
        "given to it",
        promised.join("  "),
        pod.promised_by(),
    );
    let fix = promised.first().map(|address| {
        pod.inside(&format!(
            "ip addr add {address}/{} dev {}",
            if address.contains(':') { 128 } else { 32 },
            word(&end.link.name)
        ))
    });
    vec![match fix {
        Some(fix) => shown.command(fix),
        None => shown,
    }]
}

fn has(link: &crate::model::link::Link, family: Family) -> bool {
    link.addresses.iter().any(|address| address.scope == "global" && address.family == family)
}

/// What CNI or the runtime say that it was given.
pub(super) fn promised<'p>(pod: &'p Pod<'_>) -> impl Iterator<Item = IpAddr> + 'p {
    let by_cni = pod.attachments.iter().flat_map(|attachment| &attachment.addresses);
    let by_runtime = pod.workloads.iter().flat_map(|workload| &workload.networks);
    by_cni.map(|address| address.address.addr()).chain(by_runtime.flat_map(|network| network.addresses.iter().copied()))
}

fn addresses(pod: &Pod<'_>) -> String {
    let all: Vec<String> = pod.addresses().map(|(_, address)| written(address)).collect();
    if all.is_empty() { "none".to_owned() } else { all.join("  ") }
}

fn written(address: &Address) -> String {
    format!("{}/{}", address.address, address.prefix_length)
}

pub static TENTATIVE: Rule = Rule {
    code: "PN-ADDR-002",
    severity: Severity::Warning,
    sentence: "An IPv6 address of the pod is still tentative, so it cannot be used.",
    meaning: "The kernel is still asking whether somebody else has it. That takes a second; until it is over nothing is \
              sent from the address.",
    origin: "duplicate address detection was slowed down (dad_transmits), or its probes are not sent: no carrier, no \
             multicast",
    confirm: "podnet exec POD -- ip -6 addr: «tentative» a second look later, too",
    fix: "have the plugin add addresses with «nodad», as nobody else can have them; make the pod anew",
    needs: &[],
    follows: &["PN-LINK-004", "PN-LINK-005", "PN-LINK-006", "PN-LINK-013"],
    run: Run::Pod(tentative),
};

fn tentative(pod: &Pod<'_>) -> Vec<Hit> {
    flagged(pod, "tentative", "dadfailed")
}

pub static DAD_FAILED: Rule = Rule {
    code: "PN-ADDR-003",
    severity: Severity::Error,
    sentence: "Somebody else on the segment has the pod's IPv6 address.",
    meaning: "Duplicate address detection failed, and the kernel never uses such an address: the pod has no IPv6.",
    origin: "the address was given out twice, or a frame came back to its sender (a loop, a hairpin port)",
    confirm: "podnet exec POD -- ip -6 addr: «dadfailed»",
    fix: "find the other owner (podnet inspect ADDRESS), release one of the two, and make that pod anew",
    needs: &[],
    follows: &[],
    run: Run::Pod(dad_failed),
};

fn dad_failed(pod: &Pod<'_>) -> Vec<Hit> {
    flagged(pod, "dadfailed", "")
}

fn flagged(pod: &Pod<'_>, flag: &str, unless: &str) -> Vec<Hit> {
    let has = |address: &Address, flag: &str| address.flags.iter().any(|each| each == flag);
    let found = pod.addresses().filter(|(_, address)| has(address, flag) && !has(address, unless));
    found
        .map(|(link, address)| {
            shown(pod, link).saw("address", format!("{} {}", written(address), address.flags.join(" ")), "kernel")
        })
        .collect()
}

pub static DUPLICATE: Rule = Rule {
    code: "PN-ADDR-004",
    severity: Severity::Error,
    sentence: "The pod's address is somebody else's on this node, too.",
    meaning: "The node sends to one of the two, and answers of the other's connections go astray.",
    origin: "the address was given out twice: a store that was wiped while pods were running, two plugins with \
             overlapping ranges, or an address that was added by hand",
    confirm: "podnet list shows it twice",
    fix: "find out by the address store who owns it (podnet ipam show ADDRESS), and make the other pod anew",
    needs: &[],
    follows: &[],
    run: Run::Node(duplicate),
};

fn duplicate(_: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let mut owners: BTreeMap<(Inode, IpAddr), Vec<&Pod<'_>>> = BTreeMap::new();
    for pod in pods {
        for end in &pod.ends {
            // Pods of two nested nodes may have the same addresses; those at one node may not.
            let Some(side) = end.far.map(|far| far.state.netns.inode) else { continue };
            for address in end.link.addresses.iter().filter(|address| is_in_use(address)) {
                owners.entry((side, address.address)).or_default().push(pod);
            }
        }
    }
    let pods = owners.iter().filter(|(_, owners)| owners.len() > 1).flat_map(|((_, address), owners)| {
        let names: Vec<&str> = owners.iter().map(|pod| pod.name.as_str()).collect();
        let (address, names) = (*address, names.join(", "));
        owners.iter().map(move |pod| {
            Hit::new()
                .about(pod.inode())
                .saw("address", address.to_string(), "kernel")
                .saw("owners", names.clone(), "kernel")
                .command(format!("podnet ipam show {address}"))
        })
    });
    let node = owners.iter().filter_map(|((side, address), owners)| {
        let pod = owners.first()?;
        let state = pod.facts.namespace(*side)?;
        let on_node = state.links.iter().find(|link| link.addresses.iter().any(|own| own.address == *address))?;
        Some(Hit::new().about(pod.inode()).saw("address", address.to_string(), "kernel").saw(
            "owners",
            format!("{} and the node itself ({})", pod.name, on_node.name),
            "kernel",
        ))
    });
    pods.chain(node).collect()
}

/// One that failed duplicate address detection, or has not passed it, is nobody's.
fn is_in_use(address: &Address) -> bool {
    let unused = address.flags.iter().any(|flag| matches!(flag.as_ref(), "tentative" | "dadfailed"));
    address.scope == "global" && !unused
}

pub static DEPRECATED: Rule = Rule {
    code: "PN-ADDR-005",
    severity: Severity::Warning,
    sentence: "All IPv6 addresses of the pod are deprecated.",
    meaning: "A deprecated address answers, but new connections are not made from it where there is any other choice; \
              when its lifetime ends it goes away.",
    origin: "the address was added with a lifetime, or a router announced one and stopped",
    confirm: "podnet exec POD -- ip -6 addr: «deprecated», preferred_lft 0sec",
    fix: "ip addr change ADDRESS dev DEV preferred_lft forever, in the pod; and have whoever added it do so without a \
          lifetime",
    needs: &[],
    follows: &[],
    run: Run::Pod(deprecated),
};

fn deprecated(pod: &Pod<'_>) -> Vec<Hit> {
    let is_deprecated = |address: &Address| address.flags.iter().any(|flag| flag == "deprecated");
    let hit = |end: &End<'_>| {
        let mut global =
            end.link.addresses.iter().filter(|address| address.scope == "global" && address.family == Family::Ipv6);
        let first = global.clone().next()?;
        global.all(is_deprecated).then(|| {
            let change =
                format!("ip addr change {} dev {} preferred_lft forever", written(first), word(&end.link.name));
            shown(pod, end.link)
                .saw("address", format!("{} {}", written(first), first.flags.join(" ")), "kernel")
                .command(pod.inside(&change))
        })
    };
    pod.ends.iter().filter_map(hit).collect()
}

pub static NO_HOST_ADDRESS: Rule = Rule {
    code: "PN-ADDR-006",
    severity: Severity::Error,
    sentence: "The pod's address is the network's or the broadcast address of its own subnet.",
    meaning: "The first and the last address of an IPv4 subnet are nobody's: neighbours do not answer to the one and \
              take the other for «everybody».",
    origin: "it was chosen by hand (static addresses, «ips» of a network annotation) or by a range that starts too early",
    confirm: "podnet exec POD -- ip addr, and the prefix length behind the address",
    fix: "take another address; correct rangeStart or rangeEnd of the pool",
    needs: &[],
    follows: &[],
    run: Run::Pod(no_host_address),
};

fn no_host_address(pod: &Pod<'_>) -> Vec<Hit> {
    let wrong = |address: &Address| match ipnet::IpNet::new(address.address, address.prefix_length) {
        // A /31 has two hosts (RFC 3021), a /32 is one.
        Ok(ipnet::IpNet::V4(net)) if net.prefix_len() < 31 => {
            net.addr() == net.network() || net.addr() == net.broadcast()
        }
        _ => false,
    };
    let found = pod.addresses().filter(|(_, address)| wrong(address));
    found.map(|(link, address)| shown(pod, link).saw("address", written(address), "kernel")).collect()
}
