//! How a person sees an answer. The only room that knows about width, colour and tables.

mod escape;
mod inspection;
mod ipam;
mod list;
mod page;
mod source;
mod words;

use std::io::{self, Write};

use serde::Serialize;

pub use escape::{harmless, harmless_json};
pub use page::Page;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Table,
    /// The table with more in it.
    Wide,
    Json,
    Yaml,
    /// One name a line, that podnet takes as a target.
    Name,
}

/// A document that a person can read.
pub trait Show: Serialize {
    /// Writes it for `page`.
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()>;

    /// Its things by name, for `-o name`.
    fn names(&self) -> Vec<String>;
}

/// Writes `document` as `format` asks. Every format but the name list shows the same value whole.
pub fn write(document: &impl Show, format: Format, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Table | Format::Wide => document.table(page, out),
        Format::Json => {
            let json = serde_json::to_string_pretty(document)?;
            writeln!(out, "{}", harmless_json(&json))
        }
        Format::Yaml => out.write_all(serde_saphyr::to_string(document).map_err(io::Error::other)?.as_bytes()),
        Format::Name => document.names().into_iter().try_for_each(|name| writeln!(out, "{}", harmless(&name))),
    }
}
