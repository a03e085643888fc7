//! `podnet create` and `podnet delete` for a person: line by line while they run, and whole afterwards.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::page::{columns, prose, title};
use super::{Page, Show, harmless, sentence};
use crate::flow::step::{Action, Change};
use crate::view::creation::{Creation, Deletion, StepReport, StepStatus};

/// Where the text of a step begins.
const INDENT: usize = 7;

impl Show for Creation {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        title(page, out, &self.title())?;
        for (nth, step) in self.steps.iter().enumerate() {
            if self.dry_run {
                planned(page, out, nth + 1, self.steps.len(), step)?;
            } else {
                finished(page, out, step)?;
            }
        }
        self.closing(page, out)
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

impl Creation {
    /// The first line.
    pub fn title(&self) -> String {
        let netns = &self.netns.path;
        format!(
            "create {}: interface {} in {}, network {}",
            harmless(&self.name),
            self.ifname,
            harmless(netns),
            harmless(&self.network)
        )
    }

    /// The last lines: what there is now, and what to do next.
    pub fn closing(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        for note in &self.notes {
            sentence(page, out, 0, &format!("note: {note}"))?;
        }
        if self.dry_run {
            return writeln!(out, "nothing was changed");
        }
        let Some(result) = &self.result else { return Ok(()) };
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let addresses: Vec<String> =
            result["ips"].as_array().into_iter().flatten().map(|ip| text(&ip["address"])).collect();
        let host = text(&result["interfaces"][0]["name"]);
        writeln!(
            out,
            "{} {}   {} on {}   {:.1} ms",
            page.good("up"),
            harmless(&self.name),
            addresses.join("  "),
            harmless(&host),
            self.elapsed_ms
        )?;
        let name = harmless(&self.name);
        sentence(
            page,
            out,
            0,
            &format!("next: podnet inspect {name}, podnet exec {name} -- ip addr, podnet delete {name}"),
        )
    }
}

impl Show for Deletion {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        for interface in &self.interfaces {
            let title = format!("delete {}: interface {}", harmless(&self.name), interface.ifname);
            writeln!(out, "{}", page.bold(title))?;
            interface.steps.iter().try_for_each(|step| finished(page, out, step))?;
        }
        self.closing(page, out)
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

impl Deletion {
    /// The last lines.
    pub fn closing(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        for note in &self.notes {
            sentence(page, out, 0, &format!("note: {note}"))?;
        }
        let steps = || self.interfaces.iter().flat_map(|interface| &interface.steps);
        let removed = steps().map(|step| step.changes.len()).sum::<usize>();
        let left = steps().filter(|step| step.status == StepStatus::Left).count();
        let kept: BTreeSet<&String> = self.interfaces.iter().filter_map(|interface| interface.netns.as_ref()).collect();
        let name = harmless(&self.name);
        match (left, removed) {
            (0, 0) if kept.is_empty() => writeln!(out, "nothing of {name} is left"),
            (0, 0) => writeln!(out, "nothing of podnet's is in {name}"),
            (0, _) => writeln!(out, "{} {name}", page.good("gone")),
            _ => writeln!(out, "{} {left} steps could not be undone: podnet gc --apply tries again", page.bad("!")),
        }?;
        kept.into_iter().try_for_each(|path| {
            sentence(page, out, 0, &format!("podnet did not make the netns {path}, and left it alone"))
        })
    }
}

/// The plan as a table: `--dry-run` is not asked for, so commands are left out.
pub fn overview(page: &Page, out: &mut dyn Write, creation: &Creation) -> io::Result<()> {
    title(page, out, &creation.title())?;
    let row = |(nth, step): (usize, &StepReport)| vec![(nth + 1).to_string(), step.step.clone(), step.purpose.clone()];
    columns(out, 2, &creation.steps.iter().enumerate().map(row).collect::<Vec<_>>())
}

/// A step before it is run: what it is, the commands that do the same, and those that undo it.
pub fn planned(page: &Page, out: &mut dyn Write, nth: usize, of: usize, step: &StepReport) -> io::Result<()> {
    step_begins(page, out, &format!("{nth:>2}/{of}"), "", step)?;
    commands(page, out, "", &step.commands)?;
    commands(page, out, "undo: ", &step.undo)
}

/// A step before it is undone.
pub fn to_undo(page: &Page, out: &mut dyn Write, nth: usize, of: usize, step: &StepReport) -> io::Result<()> {
    step_begins(page, out, &format!("{nth:>2}/{of}"), "undo ", step)?;
    commands(page, out, "", &step.undo)
}

fn step_begins(page: &Page, out: &mut dyn Write, place: &str, what: &str, step: &StepReport) -> io::Result<()> {
    write!(out, "{place:<INDENT$}{what}{}  ", page.bold(&step.step))?;
    let used = place.len().max(INDENT) + what.len() + step.step.len() + 2;
    prose(page, out, INDENT + 2, used, &step.purpose)?;
    writeln!(out)
}

fn commands(page: &Page, out: &mut dyn Write, label: &str, lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|line| {
        let line = format!("{label}{line}");
        let mut text = Vec::new();
        broken(page, &mut text, &harmless(&line))?;
        out.write_all(page.dim(String::from_utf8_lossy(&text).trim_end_matches('\n')).as_bytes())?;
        writeln!(out)
    })
}

/// A command stays one that can be pasted: its lines end with a backslash.
fn broken(page: &Page, out: &mut dyn Write, line: &str) -> io::Result<()> {
    let limit = page.width.unwrap_or(usize::MAX).saturating_sub(2);
    let mut used = 0;
    for word in line.split(' ') {
        let width = unicode_width::UnicodeWidthStr::width(word);
        if used == 0 {
            write!(out, "{:INDENT$}{word}", "")?;
            used = INDENT + width;
        } else if used + 1 + width <= limit {
            write!(out, " {word}")?;
            used += 1 + width;
        } else {
            write!(out, " \\\n{:inner$}{word}", "", inner = INDENT + 2)?;
            used = INDENT + 2 + width;
        }
    }
    writeln!(out)
}

/// A step after it was run, in a line and a line a change.
pub fn finished(page: &Page, out: &mut dyn Write, step: &StepReport) -> io::Result<()> {
    let (mark, word) = match step.status {
        StepStatus::Planned => return Ok(()),
        // Nothing of it was there.
        StepStatus::Undone if step.changes.is_empty() => return Ok(()),
        StepStatus::Done => (page.good("✔"), "done"),
        StepStatus::Failed => (page.bad("✖"), "failed"),
        StepStatus::Undone => (page.dim("↩"), "undone"),
        StepStatus::Left => (page.bad("!"), "left"),
    };
    let elapsed = step.elapsed_ms.map(|ms| format!("{ms:.1} ms")).unwrap_or_default();
    writeln!(out, " {mark} {word:<7} {:<11} {elapsed:>9}   {}", step.step, step.purpose)?;
    for change in &step.changes {
        sentence(page, out, INDENT + 5, &described(change))?;
    }
    match &step.error {
        Some(error) => sentence(page, out, INDENT + 5, error),
        None => Ok(()),
    }
}

/// What came of a step, below it in the dialogue.
pub fn outcome(page: &Page, out: &mut dyn Write, step: &StepReport) -> io::Result<()> {
    let word = match (step.status, &step.error) {
        (StepStatus::Undone, _) => page.dim("undone"),
        (_, Some(_)) => page.bad("failed"),
        _ => page.good("done"),
    };
    writeln!(out, " {word}  {}  {:.1} ms", step.step, step.elapsed_ms.unwrap_or_default())?;
    let changes = step.changes.iter().map(described);
    changes.chain(step.error.clone()).try_for_each(|line| sentence(page, out, INDENT, &line))
}

pub(super) fn described(change: &Change) -> String {
    let sign = match change.action {
        Action::Added => '+',
        Action::Removed => '-',
        Action::Set => '~',
    };
    format!("{sign} {}", change.what)
}
