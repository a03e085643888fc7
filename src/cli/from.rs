//! `--from FILE`: a node as it was, in the place of this one.

use std::path::PathBuf;

use clap::Args;

use super::Error;
use crate::model::snapshot::Snapshot;
use crate::snapshot;

#[derive(Args, Debug)]
pub struct From {
    /// Look at a file of `podnet snapshot save` instead of this node; `-` is standard input
    #[arg(long, global = true, value_name = "FILE")]
    from: Option<PathBuf>,
}

impl From {
    /// The snapshot, where one was named.
    pub fn read(&self) -> Result<Option<Snapshot>, Error> {
        Ok(self.from.as_deref().map(snapshot::read).transpose()?)
    }
}
