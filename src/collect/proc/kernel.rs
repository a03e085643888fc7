//! The kernel's release, and where its BPF file system is mounted.

use std::fs;
use std::path::Path;

use super::mounts::MountTable;
use crate::model::kernel::Kernel;

/// As podnet's own mount namespace has it.
pub fn kernel(root: &Path, mounts: &MountTable) -> Kernel {
    let release = fs::read_to_string(root.join("sys/kernel/osrelease")).unwrap_or_default();
    let mut places: Vec<String> =
        mounts.of_type("bpf").into_iter().map(|path| path.to_string_lossy().into_owned()).collect();
    places.dedup();
    Kernel { release: release.trim().to_owned(), bpf_file_systems: places }
}
