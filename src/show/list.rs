//! `podnet list` as a table, without lines, as kubectl prints it.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table};

use super::inspection::spelling;
use super::source::sources;
use super::words::{short, state};
use super::{Page, Show, harmless};
use crate::model::netns::{HolderKind, Netns};
use crate::model::source::Status;
use crate::model::workload::Role;
use crate::view::list::{Item, List};

/// From this width on, the runtime and state have room too.
const ROOMY: usize = 120;
const NOTHING: &str = "–";

impl Show for List {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            writeln!(out, "no workload has a network of its own here")?;
        } else {
            self.rows(page, out)?;
        }
        let silent = self.sources.iter().any(|source| source.status == Status::Failed);
        if silent || page.wide { sources(page, out, &self.sources) } else { Ok(()) }
    }

    fn names(&self) -> Vec<String> {
        let netns = |item: &Item| item.netns.as_ref().map(|netns| format!("netns:{}", netns.inode));
        self.items.iter().filter_map(|item| item.workload.as_ref().and_then(spelling).or_else(|| netns(item))).collect()
    }
}

impl List {
    fn rows(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let roomy = page.wide || page.width.is_none_or(|width| width >= ROOMY);
        let pods = self.items.iter().any(|item| item.workload.as_ref().is_some_and(|workload| workload.pod.is_some()));
        let mut header = if pods { vec!["NAMESPACE", "POD", "CONTAINER"] } else { vec!["NAME"] };
        header.extend(["ID", "PID", "NETNS", "ADDRESS", "HOST IF"]);
        if roomy {
            header.extend(["STATE", "RUNTIME"]);
        }
        header.push("");
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header);
        let unseen = self.sources.iter().any(|source| source.name == "proc" && source.status == Status::Failed);
        let manner =
            Manner { pods, roomy, wide: page.wide, nobody: if unseen { "process hidden" } else { "no process" } };
        let mut last = None;
        for item in &self.items {
            let inode = item.netns.as_ref().map(|netns| netns.inode);
            let of_pod = item.workload.as_ref().is_some_and(|workload| workload.pod.is_some());
            let row = manner.row(item, of_pod && inode.is_some() && last == inode);
            table.add_row(row.iter().map(|cell| harmless(cell).into_owned()));
            last = inode;
        }
        // Painted after the widths were counted: the table takes colour codes for text.
        for (at, line) in table.lines().enumerate() {
            let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
            writeln!(out, "{}", if at == 0 { page.bold(line) } else { line.to_owned() })?;
        }
        Ok(())
    }
}

/// Which columns there are, and how what is not there is called.
struct Manner {
    pods: bool,
    roomy: bool,
    wide: bool,
    nobody: &'static str,
}

impl Manner {
    /// What stands in the line above already, for another container of the pod, is left out.
    fn row(&self, item: &Item, repeated: bool) -> Vec<String> {
        let once = |text: String| if repeated { String::new() } else { text };
        let workload = item.workload.as_ref();
        let mut row = Vec::new();
        if self.pods {
            let pod = workload.and_then(|workload| workload.pod.as_ref());
            row.push(once(or_nothing(pod.map(|pod| pod.namespace.clone()))));
            row.push(once(or_nothing(pod.map(|pod| pod.name.clone()))));
        }
        row.push(self.name(item));
        let id = workload.and_then(|workload| workload.id.as_deref());
        row.push(or_nothing(id.map(|id| if self.wide { id } else { short(id) }.to_owned())));
        row.push(or_nothing(workload.and_then(|workload| workload.pid).map(|pid| pid.to_string())));
        let netns = |netns: &Netns| if netns.is_host { "host".to_owned() } else { netns.inode.to_string() };
        row.push(once(or_nothing(item.netns.as_ref().map(netns))));
        let shown = if self.wide { usize::MAX } else { 1 };
        let addresses: Vec<String> = item.addresses.iter().take(shown).map(ToString::to_string).collect();
        row.push(once(or_nothing(Some(addresses.join(" ")).filter(|text| !text.is_empty()))));
        row.push(once(or_nothing(item.host_interface.clone())));
        if self.roomy {
            row.push(or_nothing(workload.map(|_| state(item.state).to_owned())));
            row.push(or_nothing(workload.and_then(|workload| workload.runtime.clone())));
        }
        row.push(self.note(item));
        row
    }

    /// The container of a pod, else whatever it is called.
    fn name(&self, item: &Item) -> String {
        if let Some(workload) = &item.workload {
            let container = workload.pod.as_ref().and_then(|pod| pod.container.clone());
            let sandbox = (workload.role == Role::Sandbox).then(|| "(sandbox)".to_owned());
            return or_nothing(
                container.or(sandbox).or_else(|| workload.name.clone()).or_else(|| workload.process.clone()),
            );
        }
        let host = item.netns.as_ref().is_some_and(|netns| netns.is_host);
        or_nothing(host.then(|| "host".to_owned()))
    }

    /// How else to know a netns that stands alone: by its mount, and whether anybody is in it. How a pod stands of which
    /// nothing runs.
    fn note(&self, item: &Item) -> String {
        if let Some(standing) = &item.standing {
            return standing.clone();
        }
        let Some(netns) = item.netns.as_ref().filter(|netns| item.workload.is_none() && !netns.is_host) else {
            return String::new();
        };
        let name = netns.paths.first().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
        let inhabited = netns.holders.iter().any(|holder| holder.kind == HolderKind::Process);
        let nobody = (!inhabited).then(|| self.nobody.to_owned());
        name.into_iter().chain(nobody).collect::<Vec<_>>().join(", ")
    }
}

fn or_nothing(text: Option<String>) -> String {
    text.unwrap_or_else(|| NOTHING.to_owned())
}
