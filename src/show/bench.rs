//! `podnet bench` for a person.

use std::io::{self, Write};

use super::page::columns;
use super::{Page, Show, sentence};
use crate::model::count::counted;
use crate::view::bench::{Bench, Times};

impl Show for Bench {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{}",
            page.bold(format!("{}, {} at once, times in ms", counted(self.pods, "pod", "pods"), self.jobs))
        )?;
        let row = |name: &str, times: &Times, share: String| {
            let figures = [times.p50_ms, times.p99_ms, times.max_ms].map(|figure| format!("{figure:.2}"));
            [vec![name.to_owned()], figures.to_vec(), vec![share]].concat()
        };
        let mut rows = vec![["", "P50", "P99", "MAX", "SHARE"].map(str::to_owned).to_vec()];
        rows.push(row("create", &self.create, String::new()));
        let steps = self.steps.iter();
        rows.extend(
            steps.map(|step| row(&format!("  {}", step.step), &step.times, format!("{:.0}%", step.share * 100.0))),
        );
        rows.push(row("delete", &self.delete, String::new()));
        columns(out, 0, &rows)?;
        match &self.error {
            Some(error) => sentence(page, out, 0, &format!("{} of {} failed: {error}", self.failed, self.pods)),
            None => Ok(()),
        }
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}
