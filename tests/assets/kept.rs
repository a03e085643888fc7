//! Comparing files with what they should be, or writing them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Below the folder stand exactly these files, by name.
pub fn folder(name: &str, files: &BTreeMap<String, String>) {
    let folder = root().join(name);
    if is_renewing() {
        std::fs::create_dir_all(&folder).unwrap();
    }
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let stray = !files.contains_key(entry.file_name().to_str().unwrap());
        if stray && is_renewing() {
            std::fs::remove_file(entry.path()).unwrap();
        } else {
            assert!(!stray, "nothing writes {} any more: {RENEW}", entry.path().display());
        }
    }
    for (file, content) in files {
        self::file(&folder.join(file), content);
    }
}

fn file(path: &Path, content: &str) {
    if is_renewing() {
        std::fs::write(path, content).unwrap();
        return;
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let differs = found.lines().zip(content.lines()).position(|(found, wanted)| found != wanted);
    let line = differs.unwrap_or(found.lines().count().min(content.lines().count()));
    assert!(
        found == content,
        "{} is not what podnet would write now: {RENEW}\nline {}: {:?}\nwould be: {:?}",
        path.display(),
        line + 1,
        found.lines().nth(line),
        content.lines().nth(line)
    );
}

const RENEW: &str = "PODNET_RENEW=1 cargo test --test assets";

pub fn is_renewing() -> bool {
    std::env::var_os("PODNET_RENEW").is_some_and(|value| value == "1")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
