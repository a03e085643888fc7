//! Who it is: the workload, its pod and image, and who shares its network.

use std::io::{self, Write};

use jiff::Timestamp;

use crate::model::workload::{Role, Workload};
use crate::show::page::flow;
use crate::show::words::{short, since, state};
use crate::show::{Page, harmless};
use crate::view::inspection::Inspection;

impl Inspection {
    pub(super) fn head(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(workload) = &self.workload else {
            let host = self.netns.as_ref().is_some_and(|netns| netns.is_host);
            let what = match (host, &self.netns) {
                (true, _) => "the host's own network namespace",
                (false, Some(_)) => "a network namespace without a workload",
                (false, None) => "an endpoint without a workload",
            };
            return writeln!(out, "{}   node {}", page.bold(what), harmless(&self.node));
        };
        let id = workload.id.as_deref().map(short).map(str::to_owned);
        let name = workload.pod.as_ref().map(|pod| match &pod.container {
            Some(container) => format!("{} / {container}", pod.name),
            None => format!("{} (sandbox)", pod.name),
        });
        let age = |then: Option<Timestamp>| then.map(|then| format!(" {}", since(then, self.collected_at)));
        let ended_ago = age(workload.finished_at).map(|age| format!("{age} ago")).unwrap_or_default();
        let age = age(workload.started_at).unwrap_or_default();
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
                if workload.is_alive() {
                    format!("{}{age}", state(workload.state))
                } else {
                    format!("{}{ended_ago}{ended}", state(workload.state))
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
                workload.network_mode.as_deref().map(network).unwrap_or_default(),
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
}

/// Docker names the container whose network another one joined by all 64 digits.
fn network(mode: &str) -> String {
    match mode.strip_prefix("container:").filter(|id| id.len() == 64) {
        Some(id) => format!("network container:{}", short(id)),
        None => format!("network {mode}"),
    }
}

fn label(workload: &Workload) -> String {
    let container = workload.pod.as_ref().and_then(|pod| pod.container.clone());
    let sandbox = (workload.role == Role::Sandbox).then(|| "sandbox".to_owned());
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
