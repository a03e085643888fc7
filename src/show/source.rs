//! The sources that were asked, at the end of every screen.

use std::io::{self, Write};

use super::Page;
use super::page::{flow, heading, sentence};
use crate::model::source::{Asked, Status};

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
