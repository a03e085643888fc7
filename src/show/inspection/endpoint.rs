//! What the Cilium agent believes of it, and who gave it its addresses.

use std::io::{self, Write};

use crate::model::agent::SOURCE;
use crate::model::endpoint::Endpoint;
use crate::model::source::Status;
use crate::model::workload::State;
use crate::show::disagreement::disagreements;
use crate::show::endpoint::{told_by, troubles};
use crate::show::page::{flow, heading, sentence};
use crate::show::{Page, harmless};
use crate::view::inspected_ipam::HandedOut;
use crate::view::inspection::Inspection;

/// Labels that every pod of a cluster has alike.
const USUAL: &str = "k8s:io.cilium.k8s.";

impl Inspection {
    pub(super) fn endpoint(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(inspected) = &self.endpoint else { return self.unmanaged(page, out) };
        let endpoint = &inspected.endpoint;
        let title = format!("ENDPOINT {}", endpoint.id);
        let mut line = Vec::new();
        flow(page, &mut line, 0, &summary(&title, endpoint))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        write!(out, "\n{}{}", page.bold(&title), line.strip_prefix(&title).unwrap_or_default())?;
        let labels = endpoint.labels.iter().filter(|label| page.wide || !label.starts_with(USUAL));
        flow(page, out, 2, &labels.cloned().collect::<Vec<_>>())?;
        for trouble in troubles(endpoint) {
            sentence(page, out, 2, &format!("! {trouble}"))?;
        }
        disagreements(page, out, &inspected.disagreements)
    }

    /// The agent has none for a pod that runs: it does not know of it, or another plugin made its network.
    fn unmanaged(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let answered = self.sources.iter().any(|source| source.name == SOURCE && source.status == Status::Present);
        let runs = self.workload.as_ref().is_some_and(|workload| workload.state == State::Running);
        let own = self.netns.as_ref().is_some_and(|netns| !netns.is_host);
        if !(answered && runs && own) {
            return Ok(());
        }
        heading(page, out, "ENDPOINT   none")?;
        sentence(page, out, 2, "the Cilium agent has no endpoint for it: no policy, and no route to it by Cilium")
    }

    pub(super) fn ipam(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(ipam) = &self.ipam else { return Ok(()) };
        heading(page, out, "IPAM")?;
        for handed in &ipam.addresses {
            flow(page, out, 2, &handed_out(handed))?;
            if handed.unclaimed {
                sentence(page, out, 4, "! no endpoint has taken it: the agent takes it back 10 minutes after the ADD")?;
            }
            if let Some(seconds) = handed.valid_seconds {
                writeln!(out, "    the kernel drops it in {} s unless it is renewed", harmless(&seconds.to_string()))?;
            }
        }
        disagreements(page, out, &ipam.disagreements)
    }
}

fn summary(title: &str, endpoint: &Endpoint) -> Vec<String> {
    let policy = endpoint.policy.as_ref();
    let enforced = policy.and_then(|policy| policy.enforcement.as_deref()).map(|word| match word {
        "both" => "policy ingress, egress".to_owned(),
        word => format!("policy {word}"),
    });
    let revision = policy.and_then(|policy| {
        let realized = policy.realized_revision?;
        let wanted = policy.wanted_revision.filter(|wanted| *wanted != realized);
        let wanted = wanted.map(|wanted| format!(", wanted {wanted}")).unwrap_or_default();
        Some(format!("revision {realized}{wanted}"))
    });
    // A state says it already, as long as all is well.
    let health = endpoint.health.as_ref().and_then(|health| health.overall.as_ref()).filter(|health| *health != "OK");
    let parts = [
        Some(title.to_owned()),
        endpoint.state.clone(),
        told_by(endpoint.told_by),
        endpoint.identity.map(|identity| format!("identity {identity}")),
        health.map(|health| format!("health {health}")),
        enforced,
        revision,
    ];
    parts.into_iter().flatten().collect()
}

fn handed_out(handed: &HandedOut) -> Vec<String> {
    let mode = handed.mode.as_ref().map(|mode| format!(" ({mode})")).unwrap_or_default();
    let network = if handed.by == "host-local" { "network" } else { "pool" };
    let fill = handed.used.map(|used| match handed.size {
        Some(size) => format!("{used} of {size} used"),
        None => format!("{used} used"),
    });
    let parts = [
        Some(handed.address.to_string()),
        Some(format!("{}{mode}", handed.by)),
        Some(format!("{network} {}", handed.pool)),
        handed.cidr.map(|cidr| cidr.to_string()),
        handed.owner.as_ref().map(|owner| format!("owner {owner}")),
        fill,
    ];
    parts.into_iter().flatten().collect()
}
