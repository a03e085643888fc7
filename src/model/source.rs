//! Which sources were asked, and what each answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer of one source. A missing answer is never shown as an empty one.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    Present(T),
    /// Not installed here, not asked for; why.
    Absent(String),
    /// Denied, timed out, garbage; why, and what to do where that is known.
    Failed(String),
}

/// A line under «sources».
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    pub name: String,
    pub status: Status,
    /// Version or count when present; why when not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub elapsed_ms: f64,
}

/// The sources that are container runtimes; «podman storage» knows Podman's containers where its service does not run.
pub const RUNTIMES: [&str; 6] = ["docker", "podman", "podman storage", "containerd", "cri-o", "cri"];

impl Asked {
    /// Whether it knows containers by name.
    pub fn is_runtime(&self) -> bool {
        RUNTIMES.contains(&self.name.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Present,
    Absent,
    Failed,
}
