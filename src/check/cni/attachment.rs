//! PN-CNI: what CNI made of a pod, by its records, beside what is there now.

use std::net::IpAddr;

use crate::check::facts::Facts;
use crate::check::hit::Hit;
use crate::check::link::shown;
use crate::check::paste::word;
use crate::check::pod::Pod;
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::attachment::{AttachedInterface, Attachment, Keeper};
use crate::model::link::Link;
use crate::model::peer::Verdict;
use crate::model::workload::{Role, State};

pub static ADDRESS_LOST: Rule = Rule {
    code: "PN-CNI-001",
    severity: Severity::Error,
    sentence: "The pod does not have an address any more that CNI gave it.",
    meaning: "Kubernetes, services and policies still send to that address; nobody answers.",
    origin: "it was changed or removed in the pod, or a second ADD replaced the first",
    confirm: "podnet exec POD -- ip addr, beside podnet inspect POD under CNI",
    fix: "make the pod anew, or give it the address back",
    needs: &[Need::Attachments],
    follows: &["PN-ADDR-001", "PN-LINK-010", "PN-LINK-019", "PN-SYS-006"],
    run: Run::Pod(address_lost),
};

fn address_lost(pod: &Pod<'_>) -> Vec<Hit> {
    // An interface in a bridge inside hands its address on, to a virtual machine.
    if pod.state.links.iter().any(|link| link.master.is_some()) {
        return Vec::new();
    }
    let own: Vec<IpAddr> =
        pod.state.links.iter().flat_map(|link| &link.addresses).map(|address| address.address).collect();
    let given = pod
        .attachments
        .iter()
        .flat_map(|attachment| attachment.addresses.iter().map(move |address| (attachment, address)));
    let lost = given.filter(|(_, given)| !own.contains(&given.address.addr()));
    lost.map(|(attachment, given)| {
        let add = format!("ip addr add {} dev {}", given.address, word(&attachment.ifname));
        Hit::new()
            .saw(format!("addresses in {}", pod.place()), listed(&own), "kernel")
            .saw("given by ADD", given.address.to_string(), attachment.kept_by.word())
            .command(pod.inside(&add))
    })
    .collect()
}

fn listed(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> =
        addresses.iter().filter(|address| !address.is_loopback()).map(ToString::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join("  ") }
}

pub static ADDRESS_ADDED: Rule = Rule {
    code: "PN-CNI-002",
    severity: Severity::Info,
    sentence: "The pod has an address on its interface that CNI did not give it.",
    meaning: "No address store knows that it is taken. What the pod sends from it may be dropped as forged (Cilium, \
              Calico, cloud networks do).",
    origin: "it was added in the pod: a virtual IP (keepalived), a DHCP client, or by hand",
    confirm: "podnet exec POD -- ip addr, beside podnet inspect POD under CNI",
    fix: "if nobody wants it: ip addr del ADDRESS dev DEV, in the pod",
    needs: &[Need::Attachments],
    follows: &["PN-ADDR-003", "PN-ADDR-004", "PN-ADDR-006"],
    run: Run::Pod(address_added),
};

fn address_added(pod: &Pod<'_>) -> Vec<Hit> {
    let given: Vec<IpAddr> = pod
        .attachments
        .iter()
        .flat_map(|attachment| &attachment.addresses)
        .map(|address| address.address.addr())
        .collect();
    let made = |name: &str| pod.attachments.iter().any(|attachment| attachment.ifname == name);
    // What a router announced is no hand's work, and has a lifetime.
    let added = pod.addresses().filter(|(link, address)| {
        let permanent = address.flags.iter().any(|flag| flag == "permanent");
        made(&link.name) && permanent && !given.is_empty() && !given.contains(&address.address)
    });
    added
        .map(|(link, address)| {
            let text = format!("{}/{}", address.address, address.prefix_length);
            let delete = format!("ip addr del {text} dev {}", word(&link.name));
            shown(pod, link)
                .saw("address", text, "kernel")
                .saw("given by ADD", listed(&given), pod.promised_by())
                .command(pod.inside(&delete))
        })
        .collect()
}

pub static ROUTE_LOST: Rule = Rule {
    code: "PN-CNI-003",
    severity: Severity::Warning,
    sentence: "A route that CNI gave the pod is not there any more.",
    meaning: "What the route was for goes another way, or nowhere.",
    origin: "it was removed in the pod, or went with an interface that was down for a moment",
    confirm: "podnet exec POD -- ip route, beside podnet inspect POD under CNI",
    fix: "add it again in the pod, or make the pod anew",
    needs: &[Need::Attachments, Need::Routes],
    follows: &[
        "PN-ROUTE-002",
        "PN-ROUTE-021",
        "PN-LINK-004",
        "PN-LINK-010",
        "PN-LINK-019",
        "PN-ADDR-001",
        "PN-SYS-006",
    ],
    run: Run::Pod(route_lost),
};

fn route_lost(pod: &Pod<'_>) -> Vec<Hit> {
    let here = |destination: ipnet::IpNet| {
        pod.state.routes.iter().any(|route| route.destination == destination.trunc() && route.kind == "unicast")
    };
    // The way out is judged for itself.
    let promised =
        pod.attachments.iter().flat_map(|attachment| attachment.routes.iter().map(move |route| (attachment, route)));
    let lost = promised.filter(|(_, route)| route.destination.prefix_len() > 0 && !here(route.destination));
    lost.map(|(attachment, route)| {
        let via = route.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let text = format!("{}{via}", route.destination.trunc());
        let family = crate::check::pod::family_of(&route.destination);
        Hit::new()
            .saw(format!("routes in {}", pod.place()), crate::check::route::routes(pod.state, family), "kernel")
            .saw("given by ADD", text.clone(), attachment.kept_by.word())
            .command(pod.inside(&format!("ip route add {text} dev {}", word(&attachment.ifname))))
    })
    .collect()
}

pub static MTU_CHANGED: Rule = Rule {
    code: "PN-CNI-004",
    severity: Severity::Warning,
    sentence: "The MTU of the pod's interface is not the one that CNI set.",
    meaning: "If it is larger now, large packets may be lost on their way; if smaller, they may be lost on the way to the \
              pod.",
    origin: "it was changed in the pod or on the node after ADD",
    confirm: "ip link show DEV, beside podnet inspect POD under CNI",
    fix: "ip link set DEV mtu N",
    needs: &[Need::Attachments],
    follows: &["PN-LINK-007", "PN-LINK-008", "PN-LINK-010", "PN-LINK-018"],
    run: Run::Pod(mtu_changed),
};

fn mtu_changed(pod: &Pod<'_>) -> Vec<Hit> {
    changed(pod, |made, link| {
        let mtu = made.mtu.filter(|mtu| *mtu != link.mtu)?;
        let set = format!("ip link set {} mtu {mtu}", word(&link.name));
        Some(("mtu", link.mtu.to_string(), mtu.to_string(), set))
    })
}

pub static MAC_CHANGED: Rule = Rule {
    code: "PN-CNI-005",
    severity: Severity::Warning,
    sentence: "The MAC address of the pod's interface is not the one that CNI set.",
    meaning: "Whoever learnt the old one sends to it until his entry expires; programs and switches that check the sender \
              (Cilium, port security) drop what the pod sends.",
    origin: "it was changed in the pod, or the interface was made again by somebody else",
    confirm: "ip link show DEV, beside podnet inspect POD under CNI",
    fix: "ip link set DEV address …, or make the pod anew",
    needs: &[Need::Attachments],
    follows: &["PN-LINK-011", "PN-LINK-019"],
    run: Run::Pod(mac_changed),
};

fn mac_changed(pod: &Pod<'_>) -> Vec<Hit> {
    changed(pod, |made, link| {
        let mac = made.mac.filter(|mac| link.mac != Some(*mac))?;
        let now = link.mac.map_or_else(|| "none".to_owned(), |mac| mac.to_string());
        let set = format!("ip link set {} address {mac}", word(&link.name));
        Some(("address", now, mac.to_string(), set))
    })
}

/// What, now, then and the command that sets it back, of each interface inside that changed.
fn changed(
    pod: &Pod<'_>,
    look: impl Fn(&AttachedInterface, &Link) -> Option<(&'static str, String, String, String)>,
) -> Vec<Hit> {
    let made = pod
        .attachments
        .iter()
        .flat_map(|attachment| attachment.inside().map(move |interface| (*attachment, interface)));
    let hit = |(attachment, made): (&Attachment, &AttachedInterface)| {
        let link = pod.state.link_named(&made.name)?;
        let (what, now, then, set) = look(made, link)?;
        Some(
            shown(pod, link)
                .saw(what, now, "kernel")
                .saw("set by ADD", then, attachment.kept_by.word())
                .command(pod.inside(&set)),
        )
    };
    made.filter_map(hit).collect()
}

pub static OTHER_HOST_END: Rule = Rule {
    code: "PN-CNI-006",
    severity: Severity::Warning,
    sentence: "The node's end of the pod's interface is not the one that CNI made.",
    meaning: "Whoever goes by its name (policies, accounting, the teardown of the pod) finds another interface, or none.",
    origin: "it was renamed, or the pair was made again by hand",
    confirm: "podnet inspect POD names the other end, and what ADD said",
    fix: "ip link set DEV name OLD (it must be down for that), or make the pod anew",
    needs: &[Need::Attachments],
    follows: &["PN-LINK-002"],
    run: Run::Pod(other_host_end),
};

fn other_host_end(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |attachment: &&Attachment| {
        let end = pod.end(&attachment.ifname)?;
        let far = end.pair().filter(|far| far.state.netns.is_host)?;
        let proven = end.peer.as_ref().is_some_and(|peer| peer.verdict == Verdict::Confirmed);
        let names: Vec<&str> = attachment.on_host().map(|interface| interface.name.as_str()).collect();
        let known =
            far.link.alternative_names.iter().chain([&far.link.name]).any(|name| names.contains(&name.as_str()));
        (proven && !names.is_empty() && !known).then(|| {
            shown(pod, end.link).saw("its other end", crate::check::link::far_named(far), "kernel").saw(
                "made by ADD on the host",
                names.join(", "),
                attachment.kept_by.word(),
            )
        })
    };
    pod.attachments.iter().filter_map(hit).collect()
}

pub static CACHE_DAMAGED: Rule = Rule {
    code: "PN-CNI-018",
    severity: Severity::Warning,
    sentence: "A record of a CNI attachment is damaged.",
    meaning: "CHECK and GC cannot tell whose it is, and DEL of its pod is told nothing of what was made.",
    origin: "the machine lost power or its disk was full while the file was written",
    confirm: "look at the file: it is cut off, or no JSON",
    fix: "when no pod of that id runs any more, remove the file",
    needs: &[Need::Attachments],
    follows: &[],
    run: Run::Node(cache_damaged),
};

fn cache_damaged(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let damaged = facts
        .node
        .attachments
        .iter()
        .flatten()
        .filter_map(|attachment| attachment.problem.as_ref().map(|problem| (attachment, problem)));
    damaged
        .map(|(attachment, problem)| {
            Hit::new().thing(attachment.file.clone()).saw("problem", problem.clone(), attachment.kept_by.word())
        })
        .collect()
}

pub static STALE_ATTACHMENT: Rule = Rule {
    code: "PN-CNI-019",
    severity: Severity::Warning,
    sentence: "CNI still has an attachment on record whose pod is gone.",
    meaning: "Its DEL was never run, or failed: its address, port mappings and firewall rules may still be there.",
    origin: "the runtime was killed or the node rebooted before the pod was torn down",
    confirm: "podnet list --all knows no container of that id",
    fix: "run DEL or GC for it: podnet gc, or cnitool del with the netns that the file names",
    needs: &[Need::Attachments, Need::Everyone, Need::Runtimes],
    follows: &[],
    run: Run::Node(stale_attachment),
};

fn stale_attachment(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let alive = |attachment: &Attachment| {
        let held = pods.iter().any(|pod| pod.attachments.iter().any(|own| own.file == attachment.file));
        held || facts.knows_container(&attachment.container_id)
    };
    let stale = facts.node.attachments.iter().flatten().filter(|attachment| {
        attachment.problem.is_none()
            && !attachment.is_loopback()
            && !alive(attachment)
            && facts.is_old(attachment.since)
    });
    stale
        .map(|attachment| {
            let address = attachment.addresses.iter().map(|address| address.address.to_string()).collect::<Vec<_>>();
            let keeper = attachment.kept_by.word();
            Hit::new()
                .thing(attachment.file.clone())
                .saw("container", attachment.container_id.clone(), keeper)
                .saw("addresses", address.join("  "), keeper)
                .saw("known to a runtime or in a netns", "no", "proc")
        })
        .collect()
}

pub static NOT_ON_RECORD: Rule = Rule {
    code: "PN-CNI-020",
    severity: Severity::Warning,
    sentence: "A pod runs of which CNI has no attachment on record.",
    meaning: "Its DEL will be told nothing of what was made for it, and GC by another runtime may take its network for \
              left over.",
    origin: "the cache was wiped or is on a disk that does not survive a reboot, or another program made the network",
    confirm: "ls /var/lib/cni/results | grep SANDBOX",
    fix: "make the pod anew when it suits",
    needs: &[Need::Attachments],
    follows: &[],
    run: Run::Pod(not_on_record),
};

fn not_on_record(pod: &Pod<'_>) -> Vec<Hit> {
    // Where nothing at all is on record, the runtime keeps it elsewhere.
    let kept = |attachment: &Attachment| attachment.kept_by == Keeper::CniCache && !attachment.is_loopback();
    let kept_here = pod.facts.node.attachments.iter().flatten().any(kept);
    let sandbox = pod.workloads.iter().find(|workload| {
        let by_cni = workload.seen_by.iter().any(|source| source == "cri") || workload.networks.is_empty();
        workload.role == Role::Sandbox && workload.state == State::Running && by_cni
    });
    let Some(sandbox) = sandbox.filter(|_| kept_here && pod.attachments.is_empty() && !pod.ends.is_empty()) else {
        return Vec::new();
    };
    let id = sandbox.id.clone().unwrap_or_default();
    vec![Hit::new().saw("sandbox", id, sandbox.runtime.as_deref().unwrap_or("runtime")).saw(
        "attachments of it",
        "none",
        Keeper::CniCache.word(),
    )]
}
