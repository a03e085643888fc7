//! Podman without its service: there is no daemon to ask, but its storage names the containers.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::Deserialize;

use super::Told;
use crate::model::source::Answer;
use crate::model::workload::{State, Workload};

/// The source's name.
pub const STORAGE: &str = "podman storage";

/// The storage drivers' lists (containers/storage).
const LISTS: [&str; 3] = [
    "overlay-containers/containers.json",
    "vfs-containers/containers.json",
    "overlay-containers/volatile-containers.json",
];
/// Root's.
const STORAGE_ROOT: &str = "/var/lib/containers/storage";

/// A plain user has one of his own, and cannot read root's.
fn storage() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return STORAGE_ROOT.into();
    }
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")));
    data.map_or_else(|| STORAGE_ROOT.into(), |data| data.join("containers/storage"))
}

#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    /// JSON in a string; holds the image's name.
    metadata: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    image_name: Option<String>,
}

/// Which containers there are; whether they run is for `/proc` to say.
pub fn from_state_files() -> Answer<Told> {
    let mut workloads = Vec::new();
    let mut found = false;
    let storage = storage();
    for list in LISTS.map(|list| storage.join(list)) {
        let failed = |why: &dyn std::fmt::Display| Answer::Failed(format!("{}: {why}", list.display()));
        match fs::read(&list) {
            Ok(text) => match serde_json::from_slice::<Vec<Stored>>(&text) {
                Ok(stored) => {
                    found = true;
                    workloads.extend(stored.into_iter().map(convert));
                }
                Err(error) => return failed(&error),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return failed(&error),
        }
    }
    if found {
        Answer::Present(Told { workloads, ..Told::default() })
    } else {
        Answer::Absent(format!("no containers in {}", storage.display()))
    }
}

fn convert(stored: Stored) -> Workload {
    let metadata: Option<Metadata> = stored.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
    Workload {
        runtime: Some("podman".to_owned()),
        id: Some(stored.id),
        name: stored.names.into_iter().next(),
        image: metadata.and_then(|metadata| metadata.image_name),
        state: State::Stopped,
        seen_by: vec![STORAGE.to_owned()],
        ..Workload::default()
    }
}
