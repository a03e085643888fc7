//! `podnet status`: a line a part, what is wrong with it below.

use std::io::{self, Write};

use super::page::{flow, sentence};
use super::source::sources;
use super::{Page, Show, harmless};
use crate::view::status::{Part, PartState, Status};

/// Where the facts begin.
const INDENT: usize = 27;

impl Show for Status {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", page.bold(format!("node {}", harmless(&self.node))))?;
        self.parts.iter().try_for_each(|part| line(page, out, part))?;
        if page.wide { sources(page, out, &self.sources) } else { Ok(()) }
    }

    fn names(&self) -> Vec<String> {
        self.parts.iter().map(|part| part.name.clone()).collect()
    }
}

fn line(page: &Page, out: &mut dyn Write, part: &Part) -> io::Result<()> {
    let word = match part.state {
        PartState::Ok => page.good(format!("{:<8}", "ok")),
        PartState::Degraded => page.bad(format!("{:<8}", "degraded")),
        PartState::Absent => page.dim(format!("{:<8}", "absent")),
    };
    let facts: Vec<String> = part.facts.iter().map(|fact| format!("{} {}", fact.name, fact.value)).collect();
    let mut rest = Vec::new();
    // A thing that is not there has nothing but its reason.
    match (facts.is_empty(), part.why.as_slice()) {
        (true, [why]) => sentence(page, &mut rest, INDENT, why)?,
        _ => flow(page, &mut rest, INDENT, &facts)?,
    }
    let rest = String::from_utf8_lossy(&rest).into_owned();
    let rest = rest.strip_prefix(&" ".repeat(INDENT)).unwrap_or(&rest);
    write!(out, "{word}  {:<15}  {}", part.name, if rest.is_empty() { "\n" } else { rest })?;
    if !facts.is_empty() {
        for why in &part.why {
            sentence(page, out, INDENT, &format!("! {why}"))?;
        }
    }
    Ok(())
}
