//! What two sources tell differently, where it is, marked by a sign and not by colour alone.

use std::io::{self, Write};

use super::Page;
use super::page::flow;
use crate::view::disagreement::Disagreement;

/// A line for each.
pub fn disagreements(page: &Page, out: &mut dyn Write, all: &[Disagreement]) -> io::Result<()> {
    for each in all {
        let told = each.told.iter().map(|told| format!("{} {}", told.by, told.value));
        let parts: Vec<String> = [each.what.clone()].into_iter().chain(told).collect();
        let mut line = Vec::new();
        flow(page, &mut line, 4, &parts)?;
        let text = String::from_utf8_lossy(&line);
        write!(out, "  {} {}", page.bad("!"), text.trim_start())?;
    }
    Ok(())
}
