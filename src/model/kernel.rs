//! The kernel that runs here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Where a BPF file system is mounted, as podnet sees it.
    #[serde(default)]
    pub bpf_file_systems: Vec<String>,
}
