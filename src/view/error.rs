//! What a command that failed says to a program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::model::source::Asked;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorReport {
    pub api_version: String,
    pub kind: String,
    pub error: Failure,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// A stable word: usage, target/not-found, target/ambiguous, permission, command, failed.
    pub code: String,
    /// What was tried.
    pub message: String,
    /// What happened, from the nearest cause to the first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// What an ambiguous target may have meant, or one that names nothing.
    pub candidates: Vec<Choice>,
    /// Who was asked for a target that was not found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Asked>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The target that means only this.
    pub spelling: String,
    pub name: String,
    /// Why it fits.
    pub reason: String,
}

impl ErrorReport {
    pub fn new(error: Failure) -> Self {
        Self { api_version: API_VERSION.to_owned(), kind: "Error".to_owned(), error }
    }
}
