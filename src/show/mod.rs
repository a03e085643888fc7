//! How a person sees an answer. The only room that knows about width, colour and tables.

mod bench;
pub mod chain;
mod charset;
mod check;
pub mod creation;
mod disagreement;
mod endpoint;
mod escape;
mod gc;
mod inspection;
mod installation;
mod ipam;
mod ipam_check;
mod jsonpath;
mod list;
mod page;
mod schema;
mod snapshot;
mod source;
mod status;
mod words;

use std::io::{self, Write};

use serde::Serialize;

pub use charset::{ascii, steady};
pub use escape::{brief, harmless, harmless_json};
pub use page::{Page, columns, sentence};
pub use snapshot::left_out;
pub use source::answers;

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    #[default]
    Table,
    /// The table with more in it.
    Wide,
    Json,
    Yaml,
    /// One name a line, that podnet takes as a target.
    Name,
    JsonPath(jsonpath::Query),
}

impl Format {
    /// How they are asked for, with what each is.
    pub const WORDS: [(&str, &str); 6] = [
        ("table", "for people"),
        ("wide", "the table with more in it"),
        ("json", "the whole answer, for programs"),
        ("yaml", "the whole answer, for programs and people"),
        ("name", "one name a line, that podnet takes as a target"),
        (JSONPATH, "parts of the answer (RFC 9535)"),
    ];
}

/// What stands before the expression.
const JSONPATH: &str = "jsonpath=";

#[derive(Debug, thiserror::Error)]
pub enum NoFormat {
    #[error("{}use table, wide, json, yaml, name or jsonpath=EXPRESSION", .near.map(|near| format!("did you mean {near}? ")).unwrap_or_default())]
    Unknown { near: Option<&'static str> },
    #[error(transparent)]
    Path(#[from] jsonpath::Unreadable),
}

impl std::str::FromStr for Format {
    type Err = NoFormat;

    fn from_str(text: &str) -> Result<Self, NoFormat> {
        match text {
            "table" => Ok(Format::Table),
            "wide" => Ok(Format::Wide),
            "json" => Ok(Format::Json),
            "yaml" => Ok(Format::Yaml),
            "name" => Ok(Format::Name),
            _ => match text.strip_prefix(JSONPATH) {
                Some(path) => Ok(Format::JsonPath(path.parse()?)),
                None => Err(NoFormat::Unknown { near: nearest(text) }),
            },
        }
    }
}

fn nearest(text: &str) -> Option<&'static str> {
    /// Below this two words have little to do with each other.
    const ALIKE: f64 = 0.75;
    let alike = Format::WORDS.map(|(word, _)| (strsim::jaro_winkler(word, text), word));
    let best = alike.into_iter().max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(score, _)| *score >= ALIKE).map(|(_, word)| word)
}

/// A document that a person can read.
pub trait Show: Serialize {
    /// Writes it for `page`.
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()>;

    /// Its things by name, for `-o name`.
    fn names(&self) -> Vec<String>;

    /// Whether the table's first line is a header above rows of data.
    fn has_header(&self) -> bool {
        false
    }
}

/// Writes `document` as `format` asks. Every format but the name list shows the same value whole.
pub fn write(document: &impl Show, format: &Format, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Table | Format::Wide => document.table(page, out),
        Format::Json => {
            let json = serde_json::to_string_pretty(document)?;
            writeln!(out, "{}", harmless_json(&json))
        }
        Format::Yaml => out.write_all(serde_saphyr::to_string(document).map_err(io::Error::other)?.as_bytes()),
        Format::JsonPath(query) => query.write(&serde_json::to_value(document)?, out),
        Format::Name => document.names().into_iter().try_for_each(|name| writeln!(out, "{}", harmless(&name))),
    }
}
