//! The programs that take a pod's packets, where the kernel shows them.

use super::{AGENT, host_end, is_chained, of};
use crate::check::hit::Hit;
use crate::check::link::{far_named, shown};
use crate::check::paste::word;
use crate::check::pod::{End, Far, Pod};
use crate::check::rule::{Need, Rule, Run, Severity};
use crate::model::bpf::{Attachment, Hook};

const KERNEL: &str = "kernel";
const RELOADS: &str = "the agent loads it again within half a minute; if it does not, restart the agent on this node";

pub static MISSING: Rule = Rule {
    code: "PN-CIL-013",
    severity: Severity::Error,
    sentence: "Cilium's program is missing on the pod's interface.",
    meaning: "What the pod sends goes by neither policy nor service: cluster IPs do not answer, policies do not hold, and \
              what is sent to other nodes may not arrive.",
    origin: "another program removed it (tc qdisc del, another eBPF agent, systemd-networkd), or it was never loaded",
    confirm: "podnet inspect POD under PROGRAMS; tc filter show dev DEV ingress; bpftool net",
    fix: RELOADS,
    needs: &[Need::Endpoints, Need::Programs],
    follows: &["PN-CIL-001", "PN-CIL-004", "PN-CIL-005", "PN-CIL-009", "PN-CIL-014", "PN-LINK-002"],
    run: Run::Pod(missing),
};

fn missing(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |(end, far): (&End<'_>, Far<'_>)| {
        let taken = from_pod(far).next().is_some();
        (!taken).then(|| {
            shown(pod, end.link).saw("the host's end", far_named(far), KERNEL).saw(
                "programs on it",
                listed(&far.link.programs),
                KERNEL,
            )
        })
    };
    served(pod).and_then(hit).into_iter().collect()
}

pub static WRONG_SIDE: Rule = Rule {
    code: "PN-CIL-014",
    severity: Severity::Error,
    sentence: "Cilium's program is on the wrong side of the pod's interface.",
    meaning: "What leaves the pod comes in on the host's end; a program for it on the other side judges the answers as if \
              the pod had sent them, and drops them.",
    origin: "it was attached by hand, or by a tool that copies programs from one interface to another",
    confirm: "podnet inspect POD under PROGRAMS",
    fix: "remove it there, and restart the agent on this node",
    needs: &[Need::Endpoints, Need::Programs],
    follows: &["PN-CIL-009"],
    run: Run::Pod(wrong_side),
};

fn wrong_side(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((end, far)) = served(pod).filter(|(_, far)| far.link.kind == "veth") else { return Vec::new() };
    let leaves = |hook: Hook| matches!(hook, Hook::TcEgress | Hook::TcxEgress);
    let outside = far.link.programs.iter().filter(|program| is_from_container(program) && leaves(program.hook));
    let inside = end.link.programs.iter().filter(|program| is_from_container(program) || is_to_container(program));
    let outside = outside.map(|program| (far.link, program));
    let wrong = outside.chain(inside.map(|program| (end.link, program)));
    wrong
        .map(|(link, program)| {
            shown(pod, end.link).saw("the host's end", far_named(far), KERNEL).saw(
                format!("program on {}", link.name),
                told(program),
                KERNEL,
            )
        })
        .collect()
}

pub static TWICE: Rule = Rule {
    code: "PN-CIL-015",
    severity: Severity::Warning,
    sentence: "Cilium's program is on the pod's interface twice.",
    meaning: "Each packet is judged twice, and the older program by older policy: what the newer lets through, the older \
              may drop.",
    origin: "an upgrade or a downgrade between tc and tcx was interrupted",
    confirm: "podnet inspect POD under PROGRAMS; bpftool net",
    fix: "tc filter del dev DEV ingress, once it is sure that the one by tcx is the agent's",
    needs: &[Need::Endpoints, Need::Programs],
    follows: &[],
    run: Run::Pod(twice),
};

fn twice(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((end, far)) = served(pod) else { return Vec::new() };
    let programs: Vec<String> = from_pod(far).filter(|program| is_from_container(program)).map(told).collect();
    if programs.len() < 2 {
        return Vec::new();
    }
    vec![shown(pod, end.link).saw("the host's end", far_named(far), KERNEL).saw(
        "programs for what the pod sends",
        programs.join(", "),
        KERNEL,
    )]
}

pub static FOREIGN: Rule = Rule {
    code: "PN-CIL-016",
    severity: Severity::Warning,
    sentence: "Another program takes the pod's packets before Cilium's does.",
    meaning: "What it drops or redirects Cilium never sees: no policy log, no drop counter tells of it.",
    origin: "another eBPF product (observability, security) attaches to every interface",
    confirm: "podnet inspect POD under PROGRAMS; bpftool prog show id ID",
    fix: "have the other product attach behind Cilium's (a higher preference), or leave these interfaces alone",
    needs: &[Need::Endpoints, Need::Programs],
    follows: &[],
    run: Run::Pod(foreign),
};

fn foreign(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((end, far)) = served(pod) else { return Vec::new() };
    let mut programs: Vec<&Attachment> = from_pod(far).collect();
    // tcx comes before tc, and there the lower preference first; of one hook they are told in their order.
    programs.sort_by_key(|program| (program.hook == Hook::TcIngress, program.preference));
    let Some(own) = programs.iter().position(|program| is_from_container(program)) else { return Vec::new() };
    let before = programs.iter().take(own);
    before
        .map(|program| {
            let id = program.id.to_string();
            shown(pod, end.link)
                .saw("the host's end", far_named(far), KERNEL)
                .saw("before Cilium's", told(program), KERNEL)
                .command(format!("bpftool prog show id {}", word(&id)))
        })
        .collect()
}

pub static TOWARDS_MISSING: Rule = Rule {
    code: "PN-CIL-017",
    severity: Severity::Error,
    sentence: "Cilium's program for what is sent to the pod is missing on its interface.",
    meaning: "With a route for each endpoint the kernel leads packets straight to the interface: without the program no \
              policy judges them, and answers of services are not translated back.",
    origin: "another program removed it, or the option was switched on after the pod was made",
    confirm: "tc filter show dev DEV egress",
    fix: RELOADS,
    needs: &[Need::Agent, Need::Endpoints, Need::Programs],
    follows: &["PN-CIL-001", "PN-CIL-004", "PN-CIL-005", "PN-CIL-009", "PN-CIL-013", "PN-LINK-002"],
    run: Run::Pod(towards_missing),
};

fn towards_missing(pod: &Pod<'_>) -> Vec<Hit> {
    let routed = pod.facts.node.agent.as_ref().and_then(|agent| agent.mode.endpoint_routes) == Some(true);
    let hit = |(end, far): (&End<'_>, Far<'_>)| {
        let there = far
            .link
            .programs
            .iter()
            .any(|program| matches!(program.hook, Hook::TcEgress | Hook::TcxEgress) && is_to_container(program));
        (routed && far.link.kind == "veth" && !there).then(|| {
            shown(pod, end.link)
                .saw("the host's end", far_named(far), KERNEL)
                .saw("programs on it", listed(&far.link.programs), KERNEL)
                .saw("EnableEndpointRoutes", "true", AGENT)
        })
    };
    served(pod).and_then(hit).into_iter().collect()
}

/// The end of a pod that the agent has set up, with the host's, where it is the one that the endpoint means.
fn served<'p, 'a>(pod: &'p Pod<'a>) -> Option<(&'p End<'a>, Far<'a>)> {
    let endpoint = of(pod)?;
    let (end, _) = host_end(pod)?;
    let far = end.pair()?;
    let same = endpoint.ifindex == Some(far.link.ifindex);
    // Without an agent to ask, the directory that it left is as good as its word.
    let ready = endpoint.state.as_deref().is_none_or(|state| state == "ready");
    (same && ready && !is_chained(pod.facts)).then_some((end, far))
}

/// Programs that see what the pod sends: on the way in of the host's end, or within a netkit pair.
fn from_pod(far: Far<'_>) -> impl Iterator<Item = &Attachment> {
    let hooks = [Hook::TcIngress, Hook::TcxIngress, Hook::NetkitPrimary, Hook::NetkitPeer];
    far.link.programs.iter().filter(move |program| hooks.contains(&program.hook))
}

/// `cil_from_container`, cut at 15 by the kernel; `bpf_lxc.o:[from-container]` before 1.12. Of netkit it is the one there.
fn is_from_container(program: &Attachment) -> bool {
    let named = |name: &String| name.starts_with("cil_from_contai") || name.contains("[from-container]");
    program.name.as_ref().is_some_and(named)
}

fn is_to_container(program: &Attachment) -> bool {
    let named = |name: &String| name.starts_with("cil_to_contain") || name.contains("[to-container]");
    program.name.as_ref().is_some_and(named)
}

fn told(program: &Attachment) -> String {
    let name = program.name.as_deref().unwrap_or("without a name");
    format!("{name} id {} at {}", program.id, program.hook)
}

fn listed(programs: &[Attachment]) -> String {
    if programs.is_empty() { "none".to_owned() } else { programs.iter().map(told).collect::<Vec<_>>().join(", ") }
}
