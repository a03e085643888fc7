//! PN-SYS: what the node and the pod are set to.

use super::facts::Facts;
use super::hit::Hit;
use super::link::shown;
use super::paste::word;
use super::pod::{Far, Pod};
use super::route::routers;
use super::rule::{Need, Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::fib::{self, Flow, MAIN};
use crate::model::netns::NetnsState;
use crate::model::route::Route;

pub static FORWARDING_OFF: Rule = Rule {
    code: "PN-SYS-001",
    severity: Severity::Error,
    sentence: "The node does not forward IPv4, so its pods reach the node and nothing else.",
    meaning: "Without forwarding the kernel drops every packet that is neither from nor for itself.",
    origin: "a hardening profile or «sysctl --system» set it to 0 after the container runtime had set it to 1",
    confirm: "sysctl net.ipv4.ip_forward",
    fix: "sysctl -w net.ipv4.ip_forward=1, and the same line in a file under /etc/sysctl.d that comes last",
    needs: &[Need::Routes, Need::Rules, Need::Sysctls],
    follows: &[],
    run: Run::Host(forwarding_off),
};

fn forwarding_off(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let off =
        routers(pods, Family::Ipv4).into_iter().filter(|(far, _)| value(far.state, "net.ipv4.ip_forward") == Some("0"));
    off.map(|(far, names)| {
        let hit = of_router(far, &names).saw(format!("net.ipv4.ip_forward on {}", far.place()), "0", "kernel");
        who_sets(hit, facts, "net.ipv4.ip_forward").command(far.at("sysctl -w net.ipv4.ip_forward=1"))
    })
    .collect()
}

pub static INTERFACE_FORWARDING_OFF: Rule = Rule {
    code: "PN-SYS-002",
    severity: Severity::Error,
    sentence: "The node forwards IPv4, but not what comes from this pod's interface.",
    meaning: "Forwarding is a setting of each interface by which packets come in; ip_forward only sets them all at the \
              moment when it is written.",
    origin: "a network manager set the interface to not forwarding when it appeared (IPForward=, IPv4Forwarding=)",
    confirm: "sysctl net.ipv4.conf.DEV.forwarding on the node",
    fix: "sysctl -w net.ipv4.conf.DEV.forwarding=1; keep network managers away from the interfaces of pods",
    needs: &[Need::Routes, Need::Rules, Need::Sysctls],
    follows: &[],
    run: Run::Pod(interface_forwarding_off),
};

fn interface_forwarding_off(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((far, out)) = pod.router(Family::Ipv4).zip(pod.way_out(Family::Ipv4)) else { return Vec::new() };
    let gate = far.gate();
    // Where nothing is forwarded at all, that is told.
    let at_all = value(far.state, "net.ipv4.ip_forward") != Some("0");
    if !at_all || of(far.state, "ipv4", &gate.name, "forwarding") != Some(0) {
        return Vec::new();
    }
    let name = name("ipv4", &gate.name, "forwarding");
    let hit = shown(pod, out.end.link).saw(format!("{name} on {}", far.place()), "0", "kernel");
    vec![who_sets(hit, pod.facts, &name).command(far.at(&format!("sysctl -w {}=1", word(&name))))]
}

pub static IPV6_FORWARDING_OFF: Rule = Rule {
    code: "PN-SYS-003",
    severity: Severity::Error,
    sentence: "The node does not forward IPv6, so its pods have none beyond the node.",
    meaning: "For IPv6 only net.ipv6.conf.all.forwarding switches forwarding; the interfaces' own settings don't.",
    origin: "it was never switched on (the default is off), or a hardening profile switched it off",
    confirm: "sysctl net.ipv6.conf.all.forwarding",
    fix: "sysctl -w net.ipv6.conf.all.forwarding=1, and accept_ra=2 on an uplink that learns its route by router \
          advertisements",
    needs: &[Need::Routes, Need::Rules, Need::Sysctls],
    follows: &[],
    run: Run::Host(ipv6_forwarding_off),
};

fn ipv6_forwarding_off(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    const SETTING: &str = "net.ipv6.conf.all.forwarding";
    let off = routers(pods, Family::Ipv6).into_iter().filter(|(far, _)| value(far.state, SETTING) == Some("0"));
    off.map(|(far, names)| {
        let hit = of_router(far, &names).saw(format!("{SETTING} on {}", far.place()), "0", "kernel");
        who_sets(hit, facts, SETTING).command(far.at(&format!("sysctl -w {SETTING}=1")))
    })
    .collect()
}

pub static REVERSE_PATH: Rule = Rule {
    code: "PN-SYS-004",
    severity: Severity::Error,
    sentence: "Reverse path filtering on the node drops what the pod sends.",
    meaning: "The node checks by which interface it would answer the pod, and that is another one than the packet came by \
              (strict), or there is none (loose). It drops such packets without a word.",
    origin: "a distribution's default (rp_filter 1 or 2) is written again whenever an interface appears, on a network \
             where packets rightly come and go by different interfaces (Cilium, several uplinks)",
    confirm: "nstat -az TcpExtIPReversePathFilter grows while the pod sends",
    fix: "sysctl -w net.ipv4.conf.DEV.rp_filter=0 and net.ipv4.conf.all.rp_filter=0 (the larger counts), and a file \
          under /etc/sysctl.d that comes last",
    needs: &[Need::Routes, Need::Rules, Need::Sysctls],
    follows: &["PN-ROUTE-006", "PN-ROUTE-007", "PN-ROUTE-008", "PN-ROUTE-009", "PN-ROUTE-017", "PN-ADDR-004"],
    run: Run::Pod(reverse_path),
};

fn reverse_path(pod: &Pod<'_>) -> Vec<Hit> {
    let Some((far, out)) = pod.router(Family::Ipv4).zip(pod.way_out(Family::Ipv4)) else { return Vec::new() };
    let gate = far.gate();
    let effective = far.state.sysctls.as_ref().and_then(|sysctls| sysctls.effective_rp_filter.get(&gate.name)).copied();
    let own =
        out.end.link.addresses.iter().filter(|address| address.scope == "global" && address.family == Family::Ipv4);
    let hit = |address: std::net::IpAddr| {
        let back = fib::way(far.state, Flow::to(address)).leads();
        let same = back.is_some_and(|route| route.next_hops.iter().any(|hop| hop.ifindex == Some(gate.ifindex)));
        let manner = match effective? {
            1 if !same => "1 (strict)",
            2 if back.is_none() => "2 (loose)",
            _ => return None,
        };
        let name = name("ipv4", &gate.name, "rp_filter");
        let all = value(far.state, "net.ipv4.conf.all.rp_filter").unwrap_or("–");
        let hit = shown(pod, out.end.link)
            .saw(format!("rp_filter in force on {}", gate.name), manner, "kernel")
            .saw("net.ipv4.conf.all.rp_filter", all, "kernel")
            .saw(
                format!("route back to {address}"),
                back.map_or_else(|| "none".to_owned(), super::route::text),
                "kernel",
            );
        let set = format!("sysctl -w {}=0 net.ipv4.conf.all.rp_filter=0", word(&name));
        Some(who_sets(hit, pod.facts, &name).command(far.at(&set)))
    };
    own.filter_map(|address| hit(address.address)).collect()
}

pub static IPV6_DISABLED: Rule = Rule {
    code: "PN-SYS-006",
    severity: Severity::Error,
    sentence: "IPv6 is switched off in the pod, which was given an IPv6 address.",
    meaning: "Switching it off removed the address and the routes; the pod, Kubernetes and the address store still \
              believe in them.",
    origin: "the runtime or the pod's securityContext set net.ipv6.conf.all.disable_ipv6=1 after the network was made",
    confirm: "podnet exec POD -- sysctl net.ipv6.conf.all.disable_ipv6",
    fix: "take the sysctl out of the runtime's or the pod's configuration, and make the pod anew",
    needs: &[Need::Sysctls],
    follows: &["PN-LINK-019"],
    run: Run::Pod(ipv6_disabled),
};

fn ipv6_disabled(pod: &Pod<'_>) -> Vec<Hit> {
    if !pod.was_promised(Family::Ipv6) || pod.ends.iter().any(|end| end.has_global(Family::Ipv6)) {
        return Vec::new();
    }
    // The interface's own counts: Docker leaves that of `all` at 1 in containers whose interfaces have IPv6.
    let disabled = pod.ends.iter().find(|end| of(pod.state, "ipv6", &end.link.name, "disable_ipv6") == Some(1));
    let Some(end) = disabled else { return Vec::new() };
    let promised: Vec<String> =
        super::address::promised(pod).filter(std::net::IpAddr::is_ipv6).map(|address| address.to_string()).collect();
    vec![shown(pod, end.link).saw("disable_ipv6", "1", "kernel").saw(
        "given to it",
        promised.join("  "),
        pod.promised_by(),
    )]
}

pub static FORWARDING_WILL_GO: Rule = Rule {
    code: "PN-SYS-013",
    severity: Severity::Info,
    sentence: "A sysctl.d file sets forwarding to 0, although the pods need it.",
    meaning: "It works now because the runtime switched it on later. «sysctl --system», a package update or the next boot \
              switches it off again, and whether the runtime comes after that is a matter of luck.",
    origin: "a hardening profile that does not know that this machine runs containers",
    confirm: "grep -r ip_forward /etc/sysctl.d /usr/lib/sysctl.d",
    fix: "put net.ipv4.ip_forward = 1 into a file that comes later, as /etc/sysctl.d/99-zz-pods.conf",
    needs: &[Need::Host, Need::Routes, Need::Rules, Need::Sysctls],
    follows: &["PN-SYS-001"],
    run: Run::Host(forwarding_will_go),
};

fn forwarding_will_go(facts: &Facts<'_>, pods: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = &facts.node.host else { return Vec::new() };
    let is_needed = routers(pods, Family::Ipv4).iter().any(|(far, _)| far.state.netns.is_host);
    let now = facts.host().and_then(|state| value(state, "net.ipv4.ip_forward"));
    let names = ["net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"];
    let last = host.sysctl_settings.iter().rev().find(|setting| names.contains(&setting.name.as_str()));
    let wrong = last.filter(|setting| setting.value == "0" && is_needed && now == Some("1"));
    let hit = |setting: &crate::model::host::SysctlSetting| {
        let line = format!("{}:{}  {} = {}", setting.file, setting.line, setting.name, setting.value);
        Hit::new().saw("set by", line, "sysctl.d").saw("net.ipv4.ip_forward now", "1", "kernel")
    };
    wrong.map(hit).into_iter().collect()
}

pub static ADVERTISEMENTS_IGNORED: Rule = Rule {
    code: "PN-SYS-014",
    severity: Severity::Warning,
    sentence: "The node learns its IPv6 default route from a router, and ignores that router since it forwards.",
    meaning: "With forwarding on, accept_ra=1 means «no». The route lives as long as the last advertisement said, half an \
              hour mostly; then the node and its pods have no IPv6 beyond the node.",
    origin: "forwarding was switched on for the pods, on a machine that gets its address by router advertisements",
    confirm: "ip -6 route show default: «proto ra», with a time in «expires» that only falls",
    fix: "sysctl -w net.ipv6.conf.DEV.accept_ra=2",
    needs: &[Need::Routes, Need::Rules, Need::Sysctls],
    follows: &[],
    run: Run::Host(advertisements_ignored),
};

fn advertisements_ignored(facts: &Facts<'_>, _: &[Pod<'_>]) -> Vec<Hit> {
    let Some(host) = facts.host() else { return Vec::new() };
    let learnt = |route: &&Route| {
        route.is_default() && route.family == Family::Ipv6 && route.table == MAIN && route.protocol == "ra"
    };
    let forwards = |interface: &str| {
        let own = of(host, "ipv6", interface, "forwarding");
        of(host, "ipv6", "all", "forwarding").max(own) == Some(1)
    };
    let hit = |route: &Route| {
        let interface = route.next_hops.first()?.interface.clone()?;
        let ignored = forwards(&interface) && of(host, "ipv6", &interface, "accept_ra") == Some(1);
        let name = name("ipv6", &interface, "accept_ra");
        ignored.then(|| {
            let hit = Hit::new().saw("route", super::route::text(route), "kernel").saw(&*name, "1", "kernel").saw(
                "net.ipv6.conf.all.forwarding",
                "1",
                "kernel",
            );
            who_sets(hit, facts, &name).command(format!("sysctl -w {}=2", word(&name)))
        })
    };
    host.routes.iter().filter(learnt).filter_map(hit).collect()
}

/// As sysctl(8) writes it: with slashes throughout where the interface's name holds a dot.
pub(super) fn name(family: &str, interface: &str, setting: &str) -> String {
    let separator = if interface.contains('.') { "/" } else { "." };
    ["net", family, "conf", interface, setting].join(separator)
}

pub(super) fn value<'a>(state: &'a NetnsState, name: &str) -> Option<&'a str> {
    state.sysctls.as_ref()?.values.get(name).map(String::as_str)
}

fn of(state: &NetnsState, family: &str, interface: &str, setting: &str) -> Option<u64> {
    value(state, &name(family, interface, setting))?.parse().ok()
}

/// Of `all` and the interface's own the larger, which is what counts for arp_ignore, proxy_arp and rp_filter.
pub(super) fn largest(state: &NetnsState, interface: &str, setting: &str) -> Option<u64> {
    let all = of(state, "ipv4", "all", setting);
    [all, of(state, "ipv4", interface, setting)].into_iter().flatten().max()
}

/// Says which file sets it, where one does.
pub(super) fn who_sets(hit: Hit, facts: &Facts<'_>, name: &str) -> Hit {
    let setting = facts.node.host.as_ref().and_then(|host| host.who_sets(name));
    hit.saw_if(
        "set by",
        setting.map(|line| format!("{}:{}  {} = {}", line.file, line.line, line.name, line.value)),
        "sysctl.d",
    )
}

/// A fault of a namespace that routes for pods: the node's, or a nested node's.
fn of_router(far: Far<'_>, pods: &[String]) -> Hit {
    const NAMED: usize = 4;
    let mut names = pods.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if pods.len() > NAMED {
        names.push_str(&format!(" and {} more", pods.len() - NAMED));
    }
    let hit = Hit::new().saw("pods that it routes for", names, "kernel");
    if far.state.netns.is_host { hit } else { hit.thing(format!("netns:{}", far.state.netns.inode)) }
}
