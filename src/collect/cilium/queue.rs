//! The deletion queue: what the CNI plugin leaves for the agent when it is asked to delete while that is down.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use serde::Deserialize;

use crate::model::endpoint::QueuedDelete;

/// `{"container-id":"…"}` or an endpoint id.
const LONGEST: u64 = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Batch {
    container_id: String,
}

/// The entries, the oldest first. No directory, no entries.
pub fn deletes(directory: &Path) -> io::Result<Vec<QueuedDelete>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "delete") {
            found.push(delete(&path));
        }
    }
    found.sort_by(|one, other| (one.queued_at, &one.file).cmp(&(other.queued_at, &other.file)));
    Ok(found)
}

fn delete(path: &Path) -> QueuedDelete {
    let mut delete = QueuedDelete { file: path.to_string_lossy().into_owned(), ..QueuedDelete::default() };
    let text = match content(path, &mut delete.queued_at) {
        Ok(text) => text,
        Err(error) => {
            delete.problem = Some(error.to_string());
            return delete;
        }
    };
    match serde_json::from_str::<Batch>(&text) {
        Ok(batch) => delete.container_id = Some(batch.container_id),
        Err(_) if is_endpoint_id(text.trim()) => delete.endpoint = Some(text.trim().to_owned()),
        Err(_) => delete.problem = Some("the file names neither a container nor an endpoint".to_owned()),
    }
    delete
}

/// `<prefix>:<value>`, in one printable word.
fn is_endpoint_id(text: &str) -> bool {
    let word = !text.is_empty() && text.chars().all(|character| character.is_ascii_graphic());
    word && !text.starts_with('{') && text.contains(':')
}

fn content(path: &Path, since: &mut Option<Timestamp>) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)?;
    *since = file.metadata()?.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}
