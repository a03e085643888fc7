//! PN-ROUTE: packets that come one way and go another, by looking both of them up.

use std::net::IpAddr;

use super::hit::Hit;
use super::host_route::{is_delivered_by_a_program, is_right};
use super::link::shown;
use super::pod::{End, Far, Pod, far_away};
use super::policy_rule;
use super::route::{FAMILIES, TABLES, onward, text};
use super::rule::{Rule, Run, Severity};
use crate::check::paste::word;
use crate::model::address::Family;
use crate::model::fib::{self, Flow, Way};
use crate::model::link::Link;
use crate::model::route::Route;

pub static ANSWERED_ELSEWHERE: Rule = Rule {
    code: "PN-ROUTE-023",
    severity: Severity::Warning,
    sentence: "What the node sends to the pod by one interface is answered by another one.",
    meaning: "The answer arrives at the node by an interface that has another route back: reverse path filtering or a \
              policy may drop it, connection tracking may not know it. Probes of the kubelet fail, for one.",
    origin: "a route or rule of the pod for the node's address (a VPN client, a second network with the same gateway)",
    confirm: "podnet exec POD -- ip route get NODE from ADDRESS",
    fix: "ip route replace NODE dev DEV, in the pod, or a rule: ip rule add from ADDRESS lookup TABLE",
    needs: TABLES,
    follows: &[],
    run: Run::Pod(answered_elsewhere),
};

fn answered_elsewhere(pod: &Pod<'_>) -> Vec<Hit> {
    let hit = |end: &End<'_>, address: IpAddr| {
        let far = end.pair().filter(|far| !far.is_switched_elsewhere())?;
        let (sender, there) = sender(far, address)?;
        let flow = Flow { from: Some(address), ..Flow::to(sender) };
        let back = fib::way(pod.state, flow).leads().filter(|route| route.kind == "unicast")?;
        let device = word(&end.link.name).into_owned();
        let other = back.next_hops.iter().all(|hop| hop.ifindex.is_some() && hop.ifindex != Some(end.link.ifindex));
        (other && !back.next_hops.is_empty()).then(|| {
            shown(pod, end.link)
                .saw(format!("route from {sender} to {address} on {}", far.place()), text(there), "kernel")
                .saw(format!("route back in {}", pod.place()), text(back), "kernel")
                .command(pod.inside(&format!("ip route replace {sender} dev {device}")))
        })
    };
    let global = |link: &Link| -> Vec<IpAddr> {
        let global = link.addresses.iter().filter(|address| address.scope == "global");
        global.map(|address| address.address).collect()
    };
    let own = pod.ends.iter().flat_map(|end| global(end.link).into_iter().map(move |address| (end, address)));
    own.filter_map(|(end, address)| hit(end, address)).collect()
}

/// The address that the node sends from to one of the pod, where that leads to the pod's interface.
fn sender<'a>(far: Far<'a>, address: IpAddr) -> Option<(IpAddr, &'a Route)> {
    let route = fib::way(far.state, Flow::to(address)).leads()?;
    let hop = route.next_hops.first().filter(|hop| is_right(far, hop.ifindex))?;
    let device = far.state.link(hop.ifindex?)?;
    let family = Family::of(&address);
    let global = || device.addresses.iter().find(|own| own.family == family && own.scope == "global");
    Some((route.preferred_source.or_else(|| Some(global()?.address))?, route))
}

pub static LED_ELSEWHERE_FROM_OUTSIDE: Rule = Rule {
    code: "PN-ROUTE-024",
    severity: Severity::Error,
    sentence: "The node reaches the pod, but sends what comes from outside for the pod another way.",
    meaning: "Answers to what the pod sends out, and requests to it, are led away where they arrive: the pod can talk to \
              its node and to nobody else.",
    origin: "a policy rule for packets that come in by the uplink (iif) leads to a table that does not have the pod's route: \
             a set-up for several uplinks, a VPN",
    confirm: "ip route get ADDRESS from 192.0.2.1 iif UPLINK on the node",
    fix: "make the rule narrower, or add before it: ip rule add to ADDRESS lookup main",
    needs: TABLES,
    follows: &[],
    run: Run::Pod(led_elsewhere_from_outside),
};

fn led_elsewhere_from_outside(pod: &Pod<'_>) -> Vec<Hit> {
    FAMILIES.into_iter().filter_map(|family| led_elsewhere(pod, family)).collect()
}

fn led_elsewhere(pod: &Pod<'_>, family: Family) -> Option<Hit> {
    let onward = onward(pod, family).filter(|onward| !is_delivered_by_a_program(onward.far))?;
    let (far, address) = (onward.far, onward.from);
    let leads = |flow: Flow<'_>| {
        let way = fib::way(far.state, flow);
        let right = way.leads().is_some_and(|route| route.next_hops.iter().any(|hop| is_right(far, hop.ifindex)));
        (right, way)
    };
    // By a VRF it is the VRF that they come in by.
    let uplink = far.state.link(onward.route.next_hops.first()?.ifindex?).filter(|link| link.master.is_none())?;
    let from_outside = Flow { from: Some(far_away(family)), input: Some(&uplink.name), ..Flow::to(address) };
    let (itself, _) = leads(Flow::to(address));
    let (outside, way) = leads(from_outside);
    if !itself || outside || uplink.ifindex == far.gate().ifindex {
        return None;
    }
    let (rule, led) = match way {
        Way::Route { rule, route } => (Some(rule), text(route)),
        Way::Refused { rule } => (Some(rule), "refused".to_owned()),
        Way::Nowhere => (None, "none".to_owned()),
    };
    // The packet filter may mark packets, and so have them decided before.
    let decides = rule.map_or(u32::MAX, |rule| rule.priority);
    let mut before = far.state.rules.iter().filter(|rule| rule.family == family && rule.priority < decides);
    if before.any(|rule| rule.mark.is_some() || rule.narrowed) {
        return None;
    }
    let add = format!("ip rule add pref {} to {address} lookup main", decides.saturating_sub(1).min(32765));
    Some(
        shown(pod, onward.out.end.link)
            .saw(format!("way of {} from outside, in by {}", address, uplink.name), led, "kernel")
            .saw_if("decided by", rule.map(policy_rule::text), "kernel")
            .command(far.at(&add)),
    )
}
