//! What stands in the sources.

use std::fs;
use std::path::Path;

/// Every file below the folder.
pub fn below(folder: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                texts.push(fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    texts
}
