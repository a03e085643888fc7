//! One step of the flow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::record::Record;
use super::work::Work;

/// A step holds no state: what it does depends on the record alone, so that another process can undo it.
pub trait Step: Sync {
    /// Stable: it stands in journals, JSON and `--fail-at`.
    fn name(&self) -> &'static str;

    /// One line: what it is good for.
    fn purpose(&self) -> &'static str;

    /// The function of the Cilium CNI that does this, for those who know its code.
    fn in_cilium(&self) -> &'static str;

    /// The commands that would do the same by hand.
    fn preview(&self, record: &Record) -> Vec<String>;

    /// The commands that would undo it.
    fn undo_preview(&self, _record: &Record) -> Vec<String> {
        Vec::new()
    }

    /// Does it, and tells what changed.
    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error>;

    /// Takes back whatever of it was done, also nothing, and also when it was killed half-way.
    fn undo(&self, _work: &mut Work) -> Result<Vec<Change>, Error> {
        Ok(Vec::new())
    }
}

/// Something that is different now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub action: Action,
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Added,
    Removed,
    Set,
}

impl Change {
    pub fn added(what: impl Into<String>) -> Self {
        Self { action: Action::Added, what: what.into() }
    }

    pub fn removed(what: impl Into<String>) -> Self {
        Self { action: Action::Removed, what: what.into() }
    }

    pub fn set(what: impl Into<String>) -> Self {
        Self { action: Action::Set, what: what.into() }
    }
}
