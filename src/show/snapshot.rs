//! `podnet snapshot` for a person.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::page::flow;
use super::words::{bytes, since};
use super::{Page, Show, harmless, sentence};
use crate::model::count::counted;
use crate::model::snapshot::{Because, LeftOut};
use crate::view::snapshot::{Change, Difference, Field, Saved, SnapshotDiff, What};

impl Show for Saved {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let parts = [
            self.file.clone(),
            bytes(self.bytes),
            format!("node {}", self.node),
            counted(self.workloads, "workload", "workloads"),
            counted(self.namespaces, "namespace", "namespaces"),
        ];
        flow(page, out, 0, &parts)?;
        left_out(&self.left_out).iter().try_for_each(|line| sentence(page, out, 0, line))
    }

    fn names(&self) -> Vec<String> {
        vec![self.file.clone()]
    }
}

/// A line a reason, with the places.
pub fn left_out(left_out: &[LeftOut]) -> Vec<String> {
    let mut places: BTreeMap<Because, Vec<&str>> = BTreeMap::new();
    left_out.iter().for_each(|left| places.entry(left.because).or_default().push(&left.place));
    let line = |(because, places): (Because, Vec<&str>)| {
        let why = match because {
            Because::Name => "called like secrets",
            Because::Value => "with what looks like a secret",
            Because::Identity => "the machine's identity",
        };
        format!("left out, {why}: {}", places.join(", "))
    };
    places.into_iter().map(line).collect()
}

impl Show for SnapshotDiff {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let (before, after) = (&self.before, &self.after);
        let nodes = match before.node == after.node {
            true => format!("node {}", after.node),
            false => format!("node {} → {}: these are two nodes", before.node, after.node),
        };
        let later = match after.collected_at >= before.collected_at {
            true => format!("{} later", since(before.collected_at, after.collected_at)),
            false => format!("{} earlier", since(after.collected_at, before.collected_at)),
        };
        let booted = (before.node == after.node && before.boot_id != after.boot_id).then_some("booted in between");
        let times = format!("{:.0} → {:.0}", before.collected_at, after.collected_at);
        flow(page, out, 0, &[nodes, times, later, booted.unwrap_or_default().to_owned()])?;
        let mut last = None;
        for item in &self.items {
            if last != Some(item.what) {
                writeln!(out, "\n{}", page.bold(title(item.what)))?;
                last = Some(item.what);
            }
            difference(page, out, item)?;
        }
        if self.items.is_empty() { writeln!(out, "nothing changed") } else { Ok(()) }
    }

    fn names(&self) -> Vec<String> {
        let of = |item: &Difference| item.of.as_ref().map(|of| format!("{of}: ")).unwrap_or_default();
        self.items.iter().map(|item| format!("{} {}{}", mark(item.change), of(item), item.name)).collect()
    }
}

fn difference(page: &Page, out: &mut dyn Write, item: &Difference) -> io::Result<()> {
    let name = match &item.of {
        Some(of) => format!("{}  {}", harmless(of), harmless(&item.name)),
        None => harmless(&item.name).into_owned(),
    };
    let line = format!("{} {name}", mark(item.change));
    let line = match item.change {
        Change::Appeared => page.good(line),
        Change::Went => page.bad(line),
        Change::Changed => line,
    };
    writeln!(out, "  {line}")?;
    let fields: Vec<String> = item.fields.iter().map(field).collect();
    flow(page, out, 6, &fields)
}

fn field(field: &Field) -> String {
    let name = &field.field;
    match (&field.before, &field.after) {
        (Some(before), Some(after)) => format!("{name} {before} → {after}"),
        (Some(before), None) => format!("{name} {before}"),
        (None, Some(after)) => format!("{name} {after}"),
        (None, None) => String::new(),
    }
}

fn mark(change: Change) -> &'static str {
    match change {
        Change::Appeared => "+",
        Change::Went => "-",
        Change::Changed => "~",
    }
}

fn title(what: What) -> &'static str {
    match what {
        What::Finding => "FINDINGS",
        What::Source => "SOURCES",
        What::Workload => "WORKLOADS",
        What::Namespace => "NAMESPACES",
        What::Interface => "INTERFACES",
        What::Address => "ADDRESSES",
        What::Route => "ROUTES",
        What::Rule => "RULES",
        What::Neighbour => "NEIGHBOURS",
        What::Sysctl => "SYSCTLS",
        What::Listener => "LISTENERS",
        What::Endpoint => "ENDPOINTS",
        What::HeldAddress => "HELD ADDRESSES",
    }
}
