//! Podman without its service: there is no daemon to ask, but its storage names the containers.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use super::Told;
use crate::model::source::Answer;
use crate::model::workload::{State, Workload};

/// The source's name.
pub const STORAGE: &str = "podman storage";

/// The storage drivers' lists (containers/storage), of root's containers.
const LISTS: [&str; 3] = [
    "/var/lib/containers/storage/overlay-containers/containers.json",
    "/var/lib/containers/storage/vfs-containers/containers.json",
    "/var/lib/containers/storage/overlay-containers/volatile-containers.json",
];

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
    for list in LISTS {
        match fs::read(Path::new(list)) {
            Ok(text) => match serde_json::from_slice::<Vec<Stored>>(&text) {
                Ok(stored) => {
                    found = true;
                    workloads.extend(stored.into_iter().map(convert));
                }
                Err(error) => return Answer::Failed(format!("{list}: {error}")),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Answer::Failed(format!("{list}: {error}")),
        }
    }
    if found {
        Answer::Present(Told { version: None, workloads })
    } else {
        Answer::Absent("no containers in its storage".to_owned())
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
