//! `podnet schema`.

use std::io::{self, Write};

use super::page::columns_and_prose;
use super::{Page, Show, harmless_json};
use crate::view::schema::{KindList, KindSchema};

impl Show for KindList {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = vec![("KIND".to_owned(), "PRINTED BY".to_owned())];
        rows.extend(self.items.iter().map(|item| (item.name.clone(), item.printed_by.clone())));
        columns_and_prose(page, out, &rows)
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|item| item.name.clone()).collect()
    }
}

impl Show for KindSchema {
    /// There is no shorter way to say it.
    fn table(&self, _page: &Page, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", harmless_json(&serde_json::to_string_pretty(self)?))
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.to_owned()]
    }
}
