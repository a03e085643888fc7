//! Routes, policy rules and neighbours.

use std::io::{self, Write};

use crate::model::address::Family;
use crate::model::neighbour::Neighbour;
use crate::model::route::{NextHop, Nexthop, Route};
use crate::model::rule::Rule;
use crate::show::Page;
use crate::show::page::{columns, columns_and_parts, heading};
use crate::view::inspection::Inspection;

/// The tables that every netns has; their routes are shown as they are, others with their number.
const MAIN: u32 = 254;
const LOCAL: u32 = 255;

impl Inspection {
    pub(super) fn routing(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let shown: Vec<&Route> = self.routes.iter().filter(|route| page.wide || is_telling(route)).collect();
        if self.netns.is_some() && !self.interfaces.is_empty() {
            heading(page, out, "ROUTES")?;
            let row = |route: &&Route| route_row(route, page.wide);
            columns_and_parts(page, out, 2, &shown.iter().map(row).collect::<Vec<_>>())?;
            if shown.is_empty() {
                writeln!(out, "  none")?;
            }
        }
        if page.wide && !self.nexthops.is_empty() {
            heading(page, out, "NEXTHOPS")?;
            columns_and_parts(page, out, 2, &self.nexthops.iter().map(nexthop_row).collect::<Vec<_>>())?;
        }
        let rules: Vec<_> = self.rules.iter().filter(|rule| page.wide || !is_usual(rule)).map(rule_row).collect();
        if !rules.is_empty() {
            heading(page, out, "RULES")?;
            columns_and_parts(page, out, 2, &rules)?;
        }
        if !self.neighbours.is_empty() {
            heading(page, out, "NEIGHBOURS")?;
            let row = |neighbour: &Neighbour| {
                let mac = neighbour.mac.map_or_else(|| "–".to_owned(), |mac| mac.to_string());
                vec![
                    neighbour.address.to_string(),
                    mac,
                    neighbour.state.clone(),
                    neighbour.interface.clone().unwrap_or_default(),
                    neighbour.flags.join(" "),
                ]
            };
            columns(out, 2, &self.neighbours.iter().map(row).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

/// The local table, multicast and link-local prefixes are alike in every netns.
fn is_telling(route: &Route) -> bool {
    let link_local = match route.destination {
        ipnet::IpNet::V6(net) => net.addr().is_unicast_link_local() || net.addr().is_multicast(),
        ipnet::IpNet::V4(_) => false,
    };
    route.table != LOCAL && !link_local
}

/// As one line, for where a route is only mentioned.
pub(super) fn route_line(route: &Route) -> String {
    let (destination, parts) = route_row(route, false);
    [destination].into_iter().chain(parts).collect::<Vec<_>>().join(" ")
}

/// The destination, and what is told of it; in wide also who put it there.
fn route_row(route: &Route, wide: bool) -> (String, Vec<String>) {
    let destination = if route.is_default() { "default".to_owned() } else { route.destination.to_string() };
    let destination = if route.kind == "unicast" { destination } else { format!("{} {destination}", route.kind) };
    let mut rest = Vec::new();
    if let [one] = route.next_hops.as_slice() {
        rest.push(hop(one));
    }
    rest.extend(route.tos.map(|tos| format!("tos {tos:#x}")));
    rest.extend(route.mtu.map(|mtu| format!("mtu {mtu}")));
    rest.extend(route.advmss.map(|advmss| format!("advmss {advmss}")));
    rest.extend(route.metrics.iter().map(|(name, value)| format!("{name} {value}")));
    rest.extend(route.metric.map(|metric| format!("metric {metric}")));
    rest.extend(route.preference.as_ref().map(|preference| format!("pref {preference}")));
    rest.extend(route.preferred_source.map(|source| format!("src {source}")));
    rest.extend(route.source_prefix.map(|source| format!("from {source}")));
    rest.extend(route.nexthop_id.map(|id| format!("nhid {id}")));
    if route.scope == "link" {
        rest.push("scope link".to_owned());
    }
    if route.table != MAIN {
        rest.push(format!("table {}", route.table));
    }
    rest.extend(wide.then(|| format!("proto {}", route.protocol)));
    rest.extend(route.flags.iter().cloned());
    if let several @ [_, _, ..] = route.next_hops.as_slice() {
        rest.extend(several.iter().map(|each| format!("nexthop {}", hop(each))));
    }
    (destination, rest)
}

/// In the words of `ip nexthop`.
fn nexthop_row(nexthop: &Nexthop) -> (String, Vec<String>) {
    let member = |(id, weight): &(u32, u16)| if *weight > 1 { format!("{id},{weight}") } else { id.to_string() };
    let group: Vec<String> = nexthop.group.iter().map(member).collect();
    let group = Some(group).filter(|group| !group.is_empty()).map(|group| format!("group {}", group.join("/")));
    let parts = [group, nexthop.blackhole.then(|| "blackhole".to_owned()), Some(hop(&nexthop.hop))];
    (format!("id {}", nexthop.id), parts.into_iter().flatten().collect())
}

fn hop(hop: &NextHop) -> String {
    let parts = [
        hop.encap.as_ref().map(|encap| format!("encap {encap}")),
        hop.gateway.map(|gateway| format!("via {gateway}")),
        hop.interface.as_ref().map(|interface| format!("dev {interface}")),
        hop.weight.filter(|weight| *weight > 1).map(|weight| format!("weight {weight}")),
        Some(hop.flags.join(" ")).filter(|flags| !flags.is_empty()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The three that every netns begins with.
fn is_usual(rule: &Rule) -> bool {
    let plain = rule.from.is_none()
        && rule.to.is_none()
        && rule.mark.is_none()
        && rule.input_interface.is_none()
        && rule.output_interface.is_none()
        && rule.selectors.is_empty()
        && rule.suppress_prefix_length.is_none();
    plain && matches!((rule.priority, rule.table), (0, Some(LOCAL)) | (32766, Some(MAIN)) | (32767, Some(253)))
}

/// The priority, and what is told of it, in the words of `ip rule`.
fn rule_row(rule: &Rule) -> (String, Vec<String>) {
    let family = match rule.family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    };
    let not = if rule.inverted { "not " } else { "" };
    let from = rule.from.map_or_else(|| "all".to_owned(), |net| net.to_string());
    let mut parts = vec![family.to_owned(), format!("{not}from {from}")];
    parts.extend(rule.to.map(|net| format!("to {net}")));
    parts.extend(rule.mark.map(|mark| match rule.mark_mask.filter(|mask| *mask != u32::MAX) {
        Some(mask) => format!("fwmark {mark:#x}/{mask:#x}"),
        None => format!("fwmark {mark:#x}"),
    }));
    parts.extend(rule.input_interface.as_ref().map(|name| format!("iif {name}")));
    parts.extend(rule.output_interface.as_ref().map(|name| format!("oif {name}")));
    parts.extend(rule.selectors.iter().cloned());
    let goto = rule.goto.map(|priority| format!("goto {priority}"));
    parts.push(rule.table.map(|table| format!("table {table}")).or(goto).unwrap_or_else(|| rule.action.clone()));
    parts.extend(rule.suppress_prefix_length.map(|length| format!("suppress_prefixlength {length}")));
    (format!("{}:", rule.priority), parts)
}
