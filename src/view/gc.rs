//! `podnet gc`: what podnet made and nobody has any more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::flow::gc::{Kind, Leftover};
use crate::flow::step::Change;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Leftovers {
    pub api_version: String,
    pub kind: String,
    /// Whether they were removed; else this was only a look.
    pub applied: bool,
    pub items: Vec<LeftoverReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftoverReport {
    pub kind: Kind,
    pub what: String,
    pub why: String,
    /// What was removed of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

pub fn leftovers(applied: bool, items: Vec<LeftoverReport>) -> Leftovers {
    Leftovers { api_version: API_VERSION.to_owned(), kind: "Leftovers".to_owned(), applied, items }
}

/// One of them, with what its removal did where it was removed.
pub fn leftover(leftover: &Leftover, removed: Option<Result<Vec<Change>, String>>) -> LeftoverReport {
    let (changes, error) = match removed {
        Some(Ok(changes)) => (changes, None),
        Some(Err(error)) => (Vec::new(), Some(error)),
        None => (Vec::new(), None),
    };
    LeftoverReport { kind: leftover.kind(), what: leftover.to_string(), why: leftover.why().to_owned(), changes, error }
}
