//! `podnet schema`.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Common, Error};
use crate::view::schema::{self, KINDS, Kind};

/// Print the JSON Schema of what -o json prints
///
/// Without KIND, which kinds there are. Every document names its own in «kind»; within podnet/v1 fields are only
/// added.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet schema\n  podnet schema Inspection >inspection.schema.json\n  podnet schema List -o jsonpath='{.properties.items}'"
)]
pub struct Schema {
    /// The document's kind
    #[arg(value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name)), ignore_case = true, hide_possible_values = true)]
    kind: Option<String>,
}

impl Schema {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        match self.kind.as_deref().and_then(Kind::named) {
            Some(kind) => common.print(&schema::schema(kind)),
            None => common.print(&schema::kinds()),
        }?;
        Ok(0)
    }
}
