//! What `-v` tells: each source that was asked, and what it answered.

use crate::model::source::{Asked, Status};

/// Tells it on the way to «sources».
pub fn told(asked: Asked) -> Asked {
    let source = asked.name.as_str();
    let status = match asked.status {
        Status::Present => "present",
        Status::Absent => "absent",
        Status::Failed => "failed",
    };
    let detail = asked.detail.as_deref().unwrap_or_default();
    tracing::info!(source, status, detail, elapsed_ms = asked.elapsed_ms, "answered");
    asked
}
