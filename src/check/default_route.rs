//! PN-ROUTE: the pod's way out.

use std::net::IpAddr;

use ipnet::IpNet;

use super::hit::Hit;
use super::paste::word;
use super::pod::{End, Pod, far_away, leads_on};
use super::route::{FAMILIES, TABLES, ip, routes, text};
use super::rule::{Rule, Run, Severity};
use crate::model::address::Family;
use crate::model::fib::{self, Flow, Way};

pub static NONE: Rule = Rule {
    code: "PN-ROUTE-002",
    severity: Severity::Error,
    sentence: "The pod has no default route, so it reaches nothing but its own subnet.",
    meaning: "Connections to anything else fail at once with «network is unreachable»; answers to others, who could still \
              send to the pod, do not leave it either.",
    origin: "something in the pod, or an operator, removed it after ADD",
    confirm: "podnet exec POD -- ip route get 1.1.1.1",
    fix: "ip route add default via GATEWAY dev DEV, in the pod; or make the pod anew",
    needs: TABLES,
    follows: &[
        "PN-LINK-004",
        "PN-LINK-010",
        "PN-LINK-019",
        "PN-ADDR-001",
        "PN-ROUTE-018",
        "PN-ROUTE-021",
        "PN-SYS-006",
    ],
    run: Run::Pod(none),
};

fn none(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let promised = promised_default(pod, family)?;
        if leads_on(pod.state, family) {
            return None;
        }
        let hit = Hit::new().saw(format!("routes in {}", pod.place()), routes(pod.state, family), "kernel");
        let hit = hit.saw(promised.what, promised.value, &promised.source);
        let device = pod.ends.iter().find(|end| end.has_global(family)).or(pod.ends.first());
        Some(match device.zip(promised.gateway) {
            Some((end, gateway)) => hit.command(add_default(pod, end, gateway)),
            None => hit,
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}

/// What says that a pod is to have a way out. An internal network has none by right.
struct Promised {
    what: &'static str,
    value: String,
    source: String,
    gateway: Option<IpAddr>,
}

fn promised_default(pod: &Pod<'_>, family: Family) -> Option<Promised> {
    let is_default = |net: &IpNet| net.prefix_len() == 0 && Family::of(&net.addr()) == family;
    let by_cni = pod.attachments.iter().find_map(|attachment| {
        let route = attachment.routes.iter().find(|route| is_default(&route.destination))?;
        let of_address = attachment.addresses.iter().filter(|address| Family::of(&address.address.addr()) == family);
        let gateway = route.gateway.or_else(|| of_address.filter_map(|address| address.gateway).next());
        let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let value = format!("{}{via}", route.destination);
        Some(Promised { what: "added by CNI", value, source: attachment.kept_by.word().to_owned(), gateway })
    });
    let by_runtime = || {
        let workload = pod.workloads.iter().find(|workload| !workload.networks.is_empty())?;
        let gateways = workload.networks.iter().flat_map(|network| &network.gateways);
        let gateway = gateways.copied().find(|gateway| Family::of(gateway) == family)?;
        let source = workload.runtime.clone().unwrap_or_else(|| "runtime".to_owned());
        Some(Promised { what: "gateway of its network", value: gateway.to_string(), source, gateway: Some(gateway) })
    };
    let of_kubernetes = || {
        let addressed = pod.ends.iter().any(|end| end.has_global(family));
        let workload = pod.workloads.iter().find(|workload| workload.pod.is_some())?;
        let source = workload.runtime.clone().unwrap_or_else(|| "proc".to_owned());
        let usual = pod.is_of_kubernetes() && family == Family::Ipv4 && addressed;
        usual.then(|| Promised { what: "it is", value: "a pod of Kubernetes".to_owned(), source, gateway: None })
    };
    by_cni.or_else(by_runtime).or_else(of_kubernetes)
}

fn add_default(pod: &Pod<'_>, end: &End<'_>, gateway: IpAddr) -> String {
    let device = word(&end.link.name).into_owned();
    let direct = fib::way(pod.state, Flow::to(gateway)).leads().is_some();
    let default = pod.inside(&format!("ip route add default via {gateway} dev {device}"));
    let first = pod.inside(&format!("ip route add {gateway} dev {device} scope link"));
    if direct { default } else { format!("{first} && {default}") }
}

pub static REFUSES: Rule = Rule {
    code: "PN-ROUTE-021",
    severity: Severity::Error,
    sentence: "The pod's default route refuses packets instead of sending them.",
    meaning: "A blackhole, unreachable or prohibit route stands where the way out should be: connections fail at once.",
    origin: "a VPN client's «kill switch» in the pod, or somebody who cut the pod off on purpose and left it so",
    confirm: "podnet exec POD -- ip route get 1.1.1.1",
    fix: "ip route del default of that type, in the pod; then see whether the right one is still there",
    needs: TABLES,
    follows: &[],
    run: Run::Pod(refuses),
};

fn refuses(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |family: Family| {
        let Way::Route { route, .. } = fib::way(pod.state, Flow::to(far_away(family))) else { return None };
        // The kernel's own for IPv6, at the very end.
        let kernels = route.metric == Some(u32::MAX);
        let promised = promised_default(pod, family)?;
        (route.refuses() && !kernels).then(|| {
            let delete = pod.inside(&format!("{} route del {} {}", ip(family), route.kind, route.destination));
            Hit::new()
                .saw(format!("route in {}", pod.place()), text(route), "kernel")
                .saw(promised.what, promised.value, &promised.source)
                .command(delete)
        })
    };
    FAMILIES.into_iter().filter_map(hit).collect()
}
