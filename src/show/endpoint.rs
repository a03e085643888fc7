//! `podnet endpoint` for a person.

use std::io::{self, Write};

use super::page::{columns, flow, heading, sentence};
use super::source::sources;
use super::words::{short, since};
use super::{Page, Show};
use crate::model::agent::Controller;
use crate::model::endpoint::{Endpoint, Health, Policy, QueuedDelete, StatusChange, ToldBy};
use crate::model::source::Status;
use crate::view::endpoint::{EndpointList, EndpointLog, EndpointReport};

/// From this width on policy, health and container have room too.
const ROOMY: usize = 120;
const NOTHING: &str = "–";

impl Show for EndpointList {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            writeln!(out, "the agent has no endpoint")?;
        } else {
            self.rows(page, out)?;
        }
        self.queued(page, out)?;
        let silent = self.sources.iter().any(|source| source.status != Status::Present);
        if silent || page.wide { sources(page, out, &self.sources) } else { Ok(()) }
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(spelling).collect()
    }
}

/// What podnet takes as a target for exactly this endpoint.
fn spelling(endpoint: &Endpoint) -> String {
    format!("ep:{}", endpoint.id)
}

impl EndpointList {
    /// What ails an endpoint stands below its line.
    fn rows(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let roomy = page.wide || page.width.is_none_or(|width| width >= ROOMY);
        let mut titles = vec!["ID", "STATE", "IDENTITY", "POD", "ADDRESS", "HOST IF"];
        if roomy {
            titles.extend(["POLICY", "HEALTH", "CONTAINER"]);
        }
        if page.wide {
            titles.push("LABELS");
        }
        let mut rows = vec![titles.iter().map(ToString::to_string).collect()];
        rows.extend(self.items.iter().map(|endpoint| row(endpoint, roomy, page.wide)));
        let mut text = Vec::new();
        columns(&mut text, 0, &rows)?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        writeln!(out, "{}", page.bold(lines.next().unwrap_or_default()))?;
        for (line, endpoint) in lines.zip(&self.items) {
            writeln!(out, "{line}")?;
            for trouble in troubles(endpoint) {
                sentence(page, out, 5, &format!("! {trouble}"))?;
            }
        }
        Ok(())
    }
}

impl EndpointList {
    fn queued(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.queued_deletes.is_empty() {
            return Ok(());
        }
        heading(page, out, "DELETES THAT WAIT FOR THE AGENT")?;
        let row = |delete: &QueuedDelete| {
            let age = delete
                .queued_at
                .map_or_else(|| NOTHING.to_owned(), |then| format!("{} ago", since(then, self.collected_at)));
            let container = delete.container_id.as_ref().map(|id| format!("container {id}"));
            let what = container.or_else(|| delete.endpoint.clone());
            vec![
                age,
                what.or_else(|| Some(format!("! {}: {}", delete.file, delete.problem.as_deref()?))).unwrap_or_default(),
            ]
        };
        columns(out, 2, &self.queued_deletes.iter().map(row).collect::<Vec<_>>())
    }
}

fn row(endpoint: &Endpoint, roomy: bool, wide: bool) -> Vec<String> {
    let shown = if wide { usize::MAX } else { 1 };
    let addresses: Vec<String> = endpoint.addresses.iter().take(shown).map(ToString::to_string).collect();
    let mut row = vec![
        endpoint.id.to_string(),
        state(endpoint),
        or_nothing(endpoint.identity.map(|identity| identity.to_string())),
        or_nothing(who(endpoint)),
        or_nothing(Some(addresses.join(" ")).filter(|text| !text.is_empty())),
        or_nothing(endpoint.interface.clone()),
    ];
    if roomy {
        row.push(or_nothing(endpoint.policy.as_ref().and_then(|policy| policy.enforcement.clone())));
        row.push(or_nothing(endpoint.health.as_ref().and_then(|health| health.overall.clone())));
        let container = endpoint.container_id.as_deref().map(|id| if wide { id } else { short(id) }.to_owned());
        row.push(or_nothing(container));
    }
    if wide {
        row.push(endpoint.labels.join(" "));
    }
    row
}

fn state(endpoint: &Endpoint) -> String {
    match (&endpoint.state, endpoint.told_by) {
        (Some(state), _) => state.clone(),
        (None, ToldBy::StateDirectory) => "(on disk)".to_owned(),
        (None, ToldBy::Map) => "(in map)".to_owned(),
        (None, ToldBy::Agent) => NOTHING.to_owned(),
    }
}

/// Its pod; what is no pod's goes by its reserved label.
fn who(endpoint: &Endpoint) -> Option<String> {
    let reserved = || endpoint.labels.iter().find_map(|label| label.strip_prefix("reserved:"));
    let reserved = || reserved().map(|name| format!("({name})"));
    endpoint.called().or_else(reserved).or_else(|| endpoint.container_name.clone())
}

/// What the agent itself complains of.
pub(super) fn troubles(endpoint: &Endpoint) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(change) = endpoint.log.first().filter(|change| change.is_bad()) {
        troubles.push(change.message.clone().unwrap_or_else(|| "the last step failed".to_owned()));
    }
    troubles.extend(endpoint.controllers.iter().filter(|controller| controller.is_failing()).map(failing));
    troubles
}

fn failing(controller: &Controller) -> String {
    let error = controller.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let times = controller.consecutive_failures;
    format!("controller {} failed {times} time{} running{error}", controller.name, if times == 1 { "" } else { "s" })
}

fn or_nothing(text: Option<String>) -> String {
    text.unwrap_or_else(|| NOTHING.to_owned())
}

impl Show for EndpointReport {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        endpoint(&self.endpoint, page, out)?;
        if !self.endpoint.log.is_empty() {
            heading(page, out, "LOG")?;
            log(&self.endpoint.log, self.collected_at, page, out)?;
        }
        controllers(&self.endpoint, self.collected_at, page, out)?;
        sources(page, out, &self.sources)
    }

    fn names(&self) -> Vec<String> {
        vec![spelling(&self.endpoint)]
    }
}

/// All of it but the log and the controllers.
fn endpoint(endpoint: &Endpoint, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    let title = format!("endpoint {}", endpoint.id);
    let mut parts = vec![title.clone(), state(endpoint), who(endpoint).unwrap_or_default()];
    parts.extend(endpoint.identity.map(|identity| format!("identity {identity}")));
    parts.extend(told_by(endpoint.told_by));
    let mut line = Vec::new();
    flow(page, &mut line, 0, &parts)?;
    let line = String::from_utf8_lossy(&line).into_owned();
    write!(out, "{}{}", page.bold(&title), line.strip_prefix(&title).unwrap_or_default())?;
    for trouble in troubles(endpoint) {
        sentence(page, out, 2, &format!("! {trouble}"))?;
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut fact = |title: &str, value: Option<String>| {
        rows.extend(value.filter(|value| !value.is_empty()).map(|value| vec![title.to_owned(), value]));
    };
    fact("container", endpoint.container_id.clone());
    fact("attachment", endpoint.attachment_id.clone());
    for address in &endpoint.addresses {
        let pool = endpoint.pools.get(address).map(|pool| format!("   pool {pool}")).unwrap_or_default();
        fact("address", Some(format!("{address}{pool}")));
    }
    let host = [
        endpoint.interface.clone(),
        endpoint.ifindex.map(|ifindex| ifindex.to_string()),
        endpoint.host_mac.map(|mac| mac.to_string()),
    ];
    fact("host", Some(host.into_iter().flatten().collect::<Vec<_>>().join("   ")));
    let pod = [endpoint.container_interface.clone(), endpoint.mac.map(|mac| mac.to_string())];
    fact("pod", Some(pod.into_iter().flatten().collect::<Vec<_>>().join("   ")));
    fact("health", endpoint.health.as_ref().map(health));
    if let Some(policy) = &endpoint.policy {
        fact("policy", policy.enforcement.clone());
        fact("revision", revision(policy));
        for (title, identities) in [
            ("from", &policy.allowed_ingress),
            ("not from", &policy.denied_ingress),
            ("to", &policy.allowed_egress),
            ("not to", &policy.denied_egress),
        ] {
            fact(title, peers(identities, page.wide));
        }
    }
    let ports = endpoint.named_ports.iter().map(|port| {
        format!(
            "{} {}/{}",
            port.name.as_deref().unwrap_or(NOTHING),
            port.port,
            port.protocol.as_deref().unwrap_or("any")
        )
    });
    fact("ports", Some(ports.collect::<Vec<_>>().join(", ")));
    for (name, wanted) in &endpoint.pending_options {
        fact(
            "pending",
            Some(format!("{name} should be {wanted}, is {}", endpoint.options.get(name).map_or(NOTHING, |is| is))),
        );
    }
    columns(out, 2, &rows)?;
    endpoint.labels.iter().try_for_each(|label| flow(page, out, 4, std::slice::from_ref(label)))?;
    if page.wide {
        heading(page, out, "OPTIONS")?;
        let options = endpoint.options.iter().map(|(name, value)| vec![name.clone(), value.clone()]);
        columns(out, 2, &options.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Said of what is not the agent's word.
pub(super) fn told_by(who: ToldBy) -> Option<String> {
    match who {
        ToldBy::Agent => None,
        ToldBy::StateDirectory => Some("from the agent's state directory".to_owned()),
        ToldBy::Map => Some("from the map cilium_lxc".to_owned()),
    }
}

fn health(health: &Health) -> String {
    let part = |name: &str, word: &Option<String>| word.as_ref().map(|word| format!("{name}{word}"));
    let connected = health.connected.filter(|connected| !connected).map(|_| "not connected".to_owned());
    let parts = [part("", &health.overall), part("bpf ", &health.bpf), part("policy ", &health.policy), connected];
    parts.into_iter().flatten().collect::<Vec<_>>().join("   ")
}

/// One number where what is wanted is in force.
fn revision(policy: &Policy) -> Option<String> {
    let realized = policy.realized_revision?;
    let behind = policy.wanted_revision.filter(|wanted| *wanted != realized);
    Some(behind.map_or_else(|| realized.to_string(), |wanted| format!("{realized}, wanted {wanted}")))
}

/// 0 is everybody. Of hundreds only some are shown unless asked for.
fn peers(identities: &[u32], wide: bool) -> Option<String> {
    const SOME: usize = 8;
    let shown = if wide { usize::MAX } else { SOME };
    let named = |identity: &u32| if *identity == 0 { "all".to_owned() } else { identity.to_string() };
    let mut names: Vec<String> = identities.iter().take(shown).map(named).collect();
    let rest = identities.len().saturating_sub(names.len());
    if rest > 0 {
        names.push(format!("{rest} more (-o wide)"));
    }
    (!names.is_empty()).then(|| format!("identities {}", names.join(", ")))
}

/// A line a change: when, what came of it, the state it was in.
fn log(changes: &[StatusChange], now: jiff::Timestamp, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    for change in changes {
        let when = change.timestamp.map_or_else(|| NOTHING.to_owned(), |then| format!("{} ago", since(then, now)));
        let mark = if change.is_bad() { "! " } else { "" };
        let parts = [Some(format!("{mark}{when}")), change.code.clone(), change.state.clone(), change.message.clone()];
        sentence(page, out, 2, &parts.into_iter().flatten().collect::<Vec<_>>().join("   "))?;
    }
    Ok(())
}

/// Those that fail; with -o wide all.
fn controllers(endpoint: &Endpoint, now: jiff::Timestamp, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    let shown: Vec<&Controller> =
        endpoint.controllers.iter().filter(|controller| page.wide || controller.is_failing()).collect();
    if shown.is_empty() {
        return Ok(());
    }
    heading(page, out, "CONTROLLERS")?;
    let ago = |then: Option<jiff::Timestamp>| {
        then.map_or_else(|| "never".to_owned(), |then| format!("{} ago", since(then, now)))
    };
    for controller in shown {
        let mark = if controller.is_failing() { "! " } else { "" };
        let mut parts = vec![
            format!("{mark}{}", controller.name),
            format!("succeeded {} times, last {}", controller.successes, ago(controller.last_success)),
        ];
        if controller.failures > 0 {
            parts.push(format!("failed {} times, last {}", controller.failures, ago(controller.last_failure)));
        }
        flow(page, out, 2, &parts)?;
        if let Some(error) = &controller.last_error {
            sentence(page, out, 4, error)?;
        }
    }
    Ok(())
}

impl Show for EndpointLog {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            return writeln!(out, "the log of endpoint {} is empty", self.id);
        }
        log(&self.items, self.collected_at, page, out)
    }

    fn names(&self) -> Vec<String> {
        vec![format!("ep:{}", self.id)]
    }
}
