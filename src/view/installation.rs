//! `podnet install-cni` and `uninstall-cni`: what became of the files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use crate::cni::install::{Action, Placed};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Installation {
    pub api_version: String,
    pub kind: String,
    pub files: Vec<PlacedFile>,
    /// What an operator should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacedFile {
    pub path: String,
    pub action: FileAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileAction {
    Written,
    Replaced,
    Kept,
    Removed,
    Absent,
}

pub fn installation(files: &[Placed], remarks: Vec<String>) -> Installation {
    let file = |placed: &Placed| PlacedFile { path: placed.path.display().to_string(), action: action(placed.action) };
    let (api_version, kind) = (API_VERSION.to_owned(), "Installation".to_owned());
    Installation { api_version, kind, files: files.iter().map(file).collect(), remarks }
}

fn action(action: Action) -> FileAction {
    match action {
        Action::Written => FileAction::Written,
        Action::Replaced => FileAction::Replaced,
        Action::Kept => FileAction::Kept,
        Action::Removed => FileAction::Removed,
        Action::Absent => FileAction::Absent,
    }
}
