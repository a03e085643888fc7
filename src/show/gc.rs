//! `podnet gc` for a person.

use std::io::{self, Write};

use super::creation::described;
use super::{Page, Show, harmless, sentence};
use crate::view::gc::Leftovers;

impl Show for Leftovers {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            return writeln!(out, "nothing is left over");
        }
        for item in &self.items {
            writeln!(out, "{}", page.bold(harmless(&item.what)))?;
            sentence(page, out, 2, &item.why)?;
            item.changes.iter().try_for_each(|change| sentence(page, out, 2, &described(change)))?;
            if let Some(error) = &item.error {
                sentence(page, out, 2, &format!("{} {error}", page.bad("✖")))?;
            }
        }
        let count = self.items.len();
        if self.applied {
            writeln!(out, "{count} looked after")
        } else {
            writeln!(out, "{count} left over: podnet gc --apply removes what is still there after a second look")
        }
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|item| item.what.clone()).collect()
    }
}
