//! The interfaces, with their programs and what is at their other ends.

use std::io::{self, Write};

use super::routing::route_line;
use crate::model::address::Address;
use crate::model::bpf::{Attachment, Hook};
use crate::model::link::{OperationalState, Statistics};
use crate::model::peer::{Peer, Verdict};
use crate::show::Page;
use crate::show::page::{columns_and_parts, flow, heading, sentence};
use crate::show::words::{bytes, count, operational};
use crate::view::inspection::{Inspection, Interface};

impl Inspection {
    pub(super) fn interfaces(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.interfaces.is_empty() {
            return Ok(());
        }
        heading(page, out, "INTERFACES")?;
        self.interfaces.iter().try_for_each(|interface| show_interface(interface, page, out))
    }
}

fn show_interface(interface: &Interface, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    let link = &interface.link;
    let named = format!("{}  {}", link.name, link.ifindex);
    // A loopback has no operational state of its own; being set up is all that it can be.
    let state = match link.state {
        _ if !link.is_up() => "down (not set up)",
        OperationalState::Unknown => "up",
        state => operational(state),
    };
    let master = interface.master_name.as_ref().map(|master| format!("master {master}")).unwrap_or_default();
    let mac = link.mac.filter(|mac| mac.0 != [0; 6]).map(|mac| mac.to_string()).unwrap_or_default();
    let qdisc = link.qdisc.clone().filter(|_| page.wide).map(|qdisc| format!("qdisc {qdisc}")).unwrap_or_default();
    flow(page, out, 2, &[named, state.to_owned(), link.kind.clone(), format!("mtu {}", link.mtu), mac, master, qdisc])?;
    let parameters: Vec<String> = link.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
    flow(page, out, 10, &parameters)?;
    if page.wide {
        flow(
            page,
            out,
            10,
            &[link.flags.join(","), link.alternative_names.join(" "), link.alias.clone().unwrap_or_default()],
        )?;
    }
    let notable = |flag: &str| {
        let alarming = ["tentative", "dadfailed", "deprecated", "optimistic", "secondary"].contains(&flag);
        alarming || page.wide
    };
    let address = |address: &Address| {
        let peer = address.peer.map(|peer| format!("peer {peer}"));
        // Of IPv6 the prefix says it, and of a loopback everybody knows it.
        let told = address.scope == "global" || address.address.is_ipv6() || link.kind == "loopback";
        let scope = Some(format!("scope {}", address.scope)).filter(|_| !told || page.wide);
        let flags = address.flags.iter().filter(|flag| notable(flag)).map(|flag| flag.to_string());
        let own = format!("{}/{}", address.address, address.prefix_length);
        [own].into_iter().chain(peer).chain(scope).chain(flags).collect::<Vec<_>>().join(" ")
    };
    flow(page, out, 10, &link.addresses.iter().map(address).collect::<Vec<_>>())?;
    if let Some(counters) = link.statistics.filter(|_| link.kind != "loopback" || page.wide) {
        flow(page, out, 10, &traffic(&counters))?;
    }
    programs(page, out, &link.programs, |_| None)?;
    interface.peer.as_ref().map_or(Ok(()), |peer| show_peer(interface, peer, page, out))
}

fn traffic(counters: &Statistics) -> Vec<String> {
    vec![
        format!("rx {} {} pkts", bytes(counters.rx_bytes), count(counters.rx_packets)),
        format!("tx {} {} pkts", bytes(counters.tx_bytes), count(counters.tx_packets)),
        format!("errors {}", counters.rx_errors.saturating_add(counters.tx_errors)),
        format!("drops {}", counters.rx_dropped.saturating_add(counters.tx_dropped)),
    ]
}

fn show_peer(interface: &Interface, peer: &Peer, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    let what = if interface.link.is_paired() { "peer" } else { "lower" };
    let same = interface.link.link_netnsid.is_none();
    let netns = peer.netns.as_ref().map(|netns| match (netns.is_host, &netns.path, &netns.holder) {
        _ if same => "same netns".to_owned(),
        (true, ..) => "host".to_owned(),
        (_, Some(path), _) => format!("netns {} {path}", netns.inode),
        (_, _, Some(holder)) => format!("netns {} of {holder}", netns.inode),
        _ => format!("netns {}", netns.inode),
    });
    let verdict = match peer.verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::OneSided if interface.link.is_paired() => "one-sided",
        Verdict::OneSided => "",
        Verdict::None => "none",
    };
    let named = [peer.name.clone(), peer.ifindex.map(|ifindex| ifindex.to_string())]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("  ");
    let mut line = Vec::new();
    flow(
        page,
        &mut line,
        4,
        &[
            format!("└─ {what}  {named}"),
            netns.unwrap_or_default(),
            peer.state.map(operational).unwrap_or_default().to_owned(),
            peer.mtu.map(|mtu| format!("mtu {mtu}")).unwrap_or_default(),
            peer.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            peer.master.as_ref().map(|master| format!("master {master}")).unwrap_or_default(),
            verdict.to_owned(),
        ],
    )?;
    let text = String::from_utf8_lossy(&line);
    let text = text.trim_end();
    let unpainted = text.strip_suffix(verdict).unwrap_or(text);
    let painted = if peer.verdict == Verdict::Confirmed { page.good(verdict) } else { page.bad(verdict) };
    writeln!(out, "{unpainted}{}", if verdict.is_empty() { String::new() } else { painted })?;
    if let Some(why) = peer.why.as_ref().filter(|_| interface.link.is_paired()) {
        sentence(page, out, 10, why)?;
    }
    let outside = !same && peer.netns.as_ref().is_some_and(|netns| netns.is_host) && interface.link.is_paired();
    programs(page, out, &peer.programs, |hook| outside.then(|| direction(hook)))?;
    host_routes(interface, page, out)
}

fn host_routes(interface: &Interface, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    for (address, route) in &interface.host_routes {
        if !interface.host_detours.contains_key(address) {
            sentence(page, out, 10, &format!("host route to {address}: {}", route_line(route)))?;
        }
    }
    for (address, detour) in &interface.host_detours {
        let instead = match (&detour.route, &detour.rule) {
            (Some(route), _) if route.refuses() => format!("packets to it are refused by {}", route_line(route)),
            (Some(route), _) => format!("packets to it go by {}", route_line(route)),
            (None, Some(rule)) => format!("packets to it are refused by rule {} ({})", rule.priority, rule.action),
            (None, None) => "network is unreachable".to_owned(),
        };
        sentence(page, out, 10, &format!("host route to {address}: none, {instead}"))?;
    }
    Ok(())
}

/// With which packets each sees, where that can be told.
fn programs(
    page: &Page,
    out: &mut dyn Write,
    programs: &[Attachment],
    direction: impl Fn(Hook) -> Option<&'static str>,
) -> io::Result<()> {
    let row = |program: &Attachment| {
        let way = direction(program.hook).map(|way| format!("{way:8}  ")).unwrap_or_default();
        let tag = program.tag.as_ref().map(|tag| format!("tag {tag}")).unwrap_or_default();
        let told = vec![program.name.clone().unwrap_or_default(), format!("id {}", program.id), tag];
        (format!("{way}{}", program.hook), told)
    };
    columns_and_parts(page, out, 10, &programs.iter().map(row).collect::<Vec<_>>())
}

/// Which packets of a pod's it sees at the host's end of the pair: what enters there left the pod. Of netkit each program
/// sees what its own device sends, and both hang on the host's.
fn direction(hook: Hook) -> &'static str {
    match hook {
        Hook::Xdp | Hook::TcIngress | Hook::TcxIngress | Hook::NetkitPeer => "from pod",
        Hook::TcEgress | Hook::TcxEgress | Hook::NetkitPrimary => "to pod",
    }
}
