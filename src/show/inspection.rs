//! `podnet inspect` on one screen, from top to bottom: who, where, interfaces, routes, the rest, the sources.

use std::io::{self, Write};

use super::page::{columns, flow, sentence};
use super::words::{bytes, count, operational, short, since, state};
use super::{Page, Show, harmless};
use crate::model::bpf::{Attachment, Hook};
use crate::model::link::{OperationalState, Statistics};
use crate::model::netns::{Holder, HolderKind};
use crate::model::route::{NextHop, Route};
use crate::model::rule::Rule;
use crate::model::socket::Socket;
use crate::model::source::{Asked, Status};
use crate::model::workload::Workload;
use crate::view::inspection::{Inspection, Interface};
use crate::view::peer::{Peer, Verdict};

/// The tables that every netns has; their routes are shown as they are, others with their number.
const MAIN: u32 = 254;
const LOCAL: u32 = 255;
/// More holders than this are counted, not named, unless asked for.
const HOLDERS: usize = 6;

impl Show for Inspection {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        self.head(page, out)?;
        self.netns(page, out)?;
        self.interfaces(page, out)?;
        self.routing(page, out)?;
        self.sysctls(page, out)?;
        self.sockets(page, out)?;
        self.dns(page, out)?;
        for problem in &self.problems {
            writeln!(out, "{} {}", page.bad("! not read:"), harmless(problem))?;
        }
        sources(page, out, &self.sources)
    }

    fn names(&self) -> Vec<String> {
        let netns = || self.netns.as_ref().map(|netns| format!("netns:{}", netns.inode));
        self.workload.as_ref().and_then(spelling).or_else(netns).into_iter().collect()
    }
}

/// What podnet takes as a target for exactly this workload.
pub fn spelling(workload: &Workload) -> Option<String> {
    let id = workload.id.as_ref().map(|id| {
        format!(
            "{}{id}",
            workload.runtime.as_ref().map_or_else(|| "container:".to_owned(), |runtime| format!("{runtime}://"))
        )
    });
    id.or_else(|| workload.pid.map(|pid| format!("pid:{pid}")))
}

fn heading(page: &Page, out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, "\n{}", page.bold(text))
}

impl Inspection {
    fn head(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(workload) = &self.workload else {
            let host = self.netns.as_ref().is_some_and(|netns| netns.is_host);
            let what = if host { "the host's own network namespace" } else { "a network namespace without a workload" };
            return writeln!(out, "{}   node {}", page.bold(what), harmless(&self.node));
        };
        let id = workload.id.as_deref().map(short).map(str::to_owned);
        let name = workload.pod.as_ref().map(|pod| match &pod.container {
            Some(container) => format!("{} / {container}", pod.name),
            None => format!("{} (sandbox)", pod.name),
        });
        let age = workload.started_at.map(|then| format!(" {}", since(then, self.collected_at))).unwrap_or_default();
        let ended = workload.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
        let runtime = [workload.runtime.clone(), workload.runtime_version.clone()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ");
        flow(
            page,
            out,
            0,
            &[
                id.unwrap_or_else(|| "process".to_owned()),
                name.or_else(|| workload.name.clone()).or_else(|| workload.process.clone()).unwrap_or_default(),
                workload.pod.as_ref().map(|pod| format!("namespace {}", pod.namespace)).unwrap_or_default(),
                if ended.is_empty() {
                    format!("{}{age}", state(workload.state))
                } else {
                    format!("{}{ended}", state(workload.state))
                },
                runtime,
            ],
        )?;
        let sandbox =
            workload.pod.as_ref().and_then(|pod| pod.sandbox_id.as_deref()).map(|id| format!("sandbox {}", short(id)));
        flow(
            page,
            out,
            2,
            &[
                workload.image.as_ref().map(|image| format!("image {image}")).unwrap_or_default(),
                workload.pid.map(|pid| format!("pid {pid}")).unwrap_or_default(),
                sandbox.unwrap_or_default(),
                workload
                    .pod
                    .as_ref()
                    .and_then(|pod| pod.uid.as_ref())
                    .map(|uid| format!("uid {uid}"))
                    .unwrap_or_default(),
                workload.network_mode.as_ref().map(|mode| format!("network {mode}")).unwrap_or_default(),
                format!("node {}", self.node),
            ],
        )?;
        if !workload.ports.is_empty() {
            flow(page, out, 2, &[format!("ports {}", workload.ports.join(", "))])?;
        }
        let others: Vec<String> = self.shared_with.iter().map(label).collect();
        if !others.is_empty() {
            flow(page, out, 2, &[format!("with  {}", others.join(", "))])?;
        }
        if page.wide {
            for (key, value) in &workload.labels {
                flow(page, out, 4, &[format!("{key}={value}")])?;
            }
        }
        Ok(())
    }

    fn netns(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(netns) = &self.netns else {
            heading(page, out, "NETNS")?;
            return writeln!(out, "  none any more: the container does not run");
        };
        heading(page, out, &format!("NETNS  {}{}", netns.inode, if netns.is_host { "   the host's own" } else { "" }))?;
        flow(page, out, 2, &netns.paths)?;
        flow(
            page,
            out,
            2,
            &[
                netns.nsid.map(|nsid| format!("nsid {nsid}")).unwrap_or_default(),
                netns.owner_user_ns.map(|owner| format!("owned by user namespace {owner}")).unwrap_or_default(),
            ],
        )?;
        let shown = if page.wide { usize::MAX } else { HOLDERS };
        let mut holders: Vec<String> =
            netns.holders.iter().filter(|holder| holder.kind != HolderKind::Mount).take(shown).map(held_by).collect();
        let rest = netns
            .holders
            .iter()
            .filter(|holder| holder.kind != HolderKind::Mount)
            .count()
            .saturating_sub(holders.len());
        if rest > 0 {
            holders.push(format!("{rest} more (-o wide)"));
        }
        match (holders.is_empty(), netns.is_host) {
            (false, _) => flow(page, out, 2, &[&["held by".to_owned()], holders.as_slice()].concat()),
            (true, false) => writeln!(out, "  held by its mount alone: no process is in it"),
            (true, true) => Ok(()),
        }
    }

    fn interfaces(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.interfaces.is_empty() {
            return Ok(());
        }
        heading(page, out, "INTERFACES")?;
        self.interfaces.iter().try_for_each(|interface| show_interface(interface, page, out))
    }

    fn routing(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let shown: Vec<&Route> = self.routes.iter().filter(|route| page.wide || is_telling(route)).collect();
        if self.netns.is_some() && !self.interfaces.is_empty() {
            heading(page, out, "ROUTES")?;
            columns(out, 2, &shown.iter().map(|route| route_row(route)).collect::<Vec<_>>())?;
            if shown.is_empty() {
                writeln!(out, "  none")?;
            }
        }
        let rules: Vec<Vec<String>> =
            self.rules.iter().filter(|rule| page.wide || !is_usual(rule)).map(rule_row).collect();
        if !rules.is_empty() {
            heading(page, out, "RULES")?;
            columns(out, 2, &rules)?;
        }
        if !self.neighbours.is_empty() {
            heading(page, out, "NEIGHBOURS")?;
            let row = |neighbour: &crate::model::neighbour::Neighbour| {
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

    fn sysctls(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(sysctls) = &self.sysctls else { return Ok(()) };
        heading(page, out, "SYSCTLS")?;
        let shown =
            |name: &str| sysctls.values.get(name).map(|value| format!("{} {value}", name.trim_start_matches("net.")));
        let mut parts: Vec<String> =
            ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.all.disable_ipv6"]
                .into_iter()
                .filter_map(shown)
                .collect();
        parts.extend(
            sysctls.effective_rp_filter.iter().map(|(interface, value)| format!("rp_filter {interface} {value}")),
        );
        parts.extend(sysctls.conntrack.map(|fill| format!("conntrack {} of {}", fill.count, fill.max)));
        flow(page, out, 2, &parts)?;
        if page.wide {
            columns(
                out,
                2,
                &sysctls.values.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect::<Vec<_>>(),
            )?;
        }
        Ok(())
    }

    fn sockets(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(sockets) = &self.sockets else { return Ok(()) };
        if sockets.count_by_state.is_empty() {
            return Ok(());
        }
        heading(page, out, "SOCKETS")?;
        flow(
            page,
            out,
            2,
            &sockets.count_by_state.iter().map(|(state, count)| format!("{state} {count}")).collect::<Vec<_>>(),
        )?;
        columns(out, 2, &sockets.listeners.iter().chain(&sockets.others).map(socket_row).collect::<Vec<_>>())
    }

    fn dns(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(dns) = &self.dns else { return Ok(()) };
        heading(page, out, "DNS")?;
        let line = |name: &str, words: &[String]| {
            if words.is_empty() { String::new() } else { format!("{name} {}", words.join(" ")) }
        };
        let nameservers =
            if dns.nameservers.is_empty() { "no nameserver".to_owned() } else { line("nameserver", &dns.nameservers) };
        flow(
            page,
            out,
            2,
            &[
                nameservers,
                line("search", &dns.search),
                line("options", &dns.options),
                format!("hosts {} lines", dns.hosts.len()),
            ],
        )?;
        if page.wide {
            columns(
                out,
                2,
                &dns.hosts.iter().map(|host| vec![host.address.clone(), host.names.join(" ")]).collect::<Vec<_>>(),
            )?;
        }
        dns.problems.iter().try_for_each(|problem| writeln!(out, "  {}", harmless(problem)))
    }
}

fn label(workload: &Workload) -> String {
    let container = workload.pod.as_ref().and_then(|pod| pod.container.clone());
    let sandbox = (workload.role == crate::model::workload::Role::Sandbox).then(|| "sandbox".to_owned());
    let name = container
        .or(sandbox)
        .or_else(|| workload.name.clone())
        .or_else(|| workload.process.clone())
        .unwrap_or_default();
    match workload.id.as_deref() {
        Some(id) => format!("{name} {}", short(id)),
        None => name,
    }
}

fn held_by(holder: &Holder) -> String {
    let process = format!(
        "{} {}",
        holder.pid.map_or_else(String::new, |pid| pid.to_string()),
        holder.process.clone().unwrap_or_default()
    );
    let container = holder.container.as_deref().map(|id| format!(" ({})", short(id))).unwrap_or_default();
    let path = holder.path.clone().unwrap_or_default();
    match holder.kind {
        HolderKind::Process | HolderKind::Mount => format!("{process}{container}"),
        HolderKind::ForeignMount => format!("mount {path} in the mount namespace of {process}{container}"),
        HolderKind::Fd => format!("descriptor {path} of {process}{container}"),
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
    let notable =
        |flag: &&String| matches!(flag.as_str(), "tentative" | "dadfailed" | "deprecated" | "optimistic" | "secondary");
    let address = |address: &crate::model::address::Address| {
        let flags: Vec<&str> = address.flags.iter().filter(notable).map(String::as_str).collect();
        [format!("{}/{}", address.address, address.prefix_length), flags.join(" ")].join(" ").trim_end().to_owned()
    };
    flow(page, out, 10, &link.addresses.iter().map(address).collect::<Vec<_>>())?;
    if let Some(counters) = link.statistics.filter(|_| link.kind != "loopback" || page.wide) {
        flow(page, out, 10, &traffic(&counters))?;
    }
    programs(page, out, 10, &link.programs)?;
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
    let netns = peer.netns.as_ref().map(|netns| match (netns.is_host, &netns.path, &netns.holder) {
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
        writeln!(out, "          {}", harmless(why))?;
    }
    programs(page, out, 10, &peer.programs)?;
    for (address, route) in &interface.host_routes {
        let words = route_row(route).into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        flow(page, out, 10, &[format!("host route to {address}: {words}")])?;
    }
    Ok(())
}

fn programs(page: &Page, out: &mut dyn Write, indent: usize, programs: &[Attachment]) -> io::Result<()> {
    for program in programs {
        flow(
            page,
            out,
            indent,
            &[
                hook(program.hook).to_owned(),
                program.name.clone().unwrap_or_default(),
                format!("id {}", program.id),
                program.tag.as_ref().map(|tag| format!("tag {tag}")).unwrap_or_default(),
            ],
        )?;
    }
    Ok(())
}

fn hook(hook: Hook) -> &'static str {
    match hook {
        Hook::Xdp => "xdp",
        Hook::TcIngress => "tc ingress",
        Hook::TcEgress => "tc egress",
        Hook::TcxIngress => "tcx ingress",
        Hook::TcxEgress => "tcx egress",
        Hook::NetkitPrimary => "netkit primary",
        Hook::NetkitPeer => "netkit peer",
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

fn route_row(route: &Route) -> Vec<String> {
    let destination = if route.is_default() { "default".to_owned() } else { route.destination.to_string() };
    let destination = if route.kind == "unicast" { destination } else { format!("{} {destination}", route.kind) };
    let mut rest = Vec::new();
    match route.next_hops.as_slice() {
        [] => {}
        [one] => rest.push(hop(one)),
        several => rest.push(format!("[{}]", several.iter().map(hop).collect::<Vec<_>>().join(" | "))),
    }
    rest.extend(route.mtu.map(|mtu| format!("mtu {mtu}")));
    rest.extend(route.metric.map(|metric| format!("metric {metric}")));
    rest.extend(route.preferred_source.map(|source| format!("src {source}")));
    rest.extend(route.source_prefix.map(|source| format!("from {source}")));
    rest.extend(route.nexthop_id.map(|id| format!("nhid {id}")));
    if route.scope == "link" {
        rest.push("scope link".to_owned());
    }
    if route.table != MAIN {
        rest.push(format!("table {}", route.table));
    }
    vec![destination, rest.join("  ")]
}

fn hop(hop: &NextHop) -> String {
    let parts = [
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
        && rule.output_interface.is_none();
    plain && matches!((rule.priority, rule.table), (0, Some(LOCAL)) | (32766, Some(MAIN)) | (32767, Some(253)))
}

fn rule_row(rule: &Rule) -> Vec<String> {
    let mut selector = vec![format!("from {}", rule.from.map_or_else(|| "all".to_owned(), |net| net.to_string()))];
    selector.extend(rule.to.map(|net| format!("to {net}")));
    selector.extend(rule.mark.map(|mark| format!("fwmark {mark:#x}/{:#x}", rule.mark_mask.unwrap_or(u32::MAX))));
    selector.extend(rule.input_interface.as_ref().map(|name| format!("iif {name}")));
    selector.extend(rule.output_interface.as_ref().map(|name| format!("oif {name}")));
    let not = if rule.inverted { "not " } else { "" };
    let action = rule.table.map_or_else(|| rule.action.clone(), |table| format!("table {table}"));
    let family = match rule.family {
        crate::model::address::Family::Ipv4 => "ipv4",
        crate::model::address::Family::Ipv6 => "ipv6",
    };
    vec![format!("{}:", rule.priority), family.to_owned(), format!("{not}{}", selector.join(" ")), action]
}

fn socket_row(socket: &Socket) -> Vec<String> {
    let process = socket.process.as_ref().map(|process| format!("{} {}", process.pid, process.name));
    let remote = socket.remote.map(|remote| remote.to_string()).unwrap_or_default();
    vec![socket.protocol.clone(), socket.state.clone(), socket.local.to_string(), remote, process.unwrap_or_default()]
}

/// Which sources were asked: those that answered on one line, then a line for each that did not.
pub fn sources(page: &Page, out: &mut dyn Write, sources: &[Asked]) -> io::Result<()> {
    heading(page, out, "SOURCES")?;
    let told: Vec<String> = sources
        .iter()
        .filter(|source| source.status == Status::Present)
        .map(|source| format!("{} {:.0} ms", source.name, source.elapsed_ms))
        .collect();
    flow(page, out, 2, &told)?;
    for source in sources.iter().filter(|source| source.status != Status::Present) {
        let word = if source.status == Status::Absent { "absent" } else { "failed" };
        let why = source.detail.as_deref().unwrap_or_default();
        sentence(page, out, 2, &format!("{} {word}: {why}", source.name))?;
    }
    Ok(())
}
