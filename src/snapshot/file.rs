//! Bytes to a snapshot and back. What is read is not trusted: it is bounded, and refused with a reason.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{API_VERSION, KIND};
use crate::model::snapshot::Snapshot;

/// Of a node with five hundred pods it has some twenty megabytes.
pub const LARGEST: u64 = 128 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the snapshot {}", .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("the snapshot {} is longer than {} MiB", .path.display(), LARGEST >> 20)]
    TooLong { path: PathBuf },
    #[error("{} is no snapshot{}", .path.display(), hint(.source))]
    Form { path: PathBuf, source: serde_json::Error },
    #[error("{} is no snapshot: it is a {kind} of {version}, and this podnet reads {KIND} of {API_VERSION}", .path.display())]
    Kind { path: PathBuf, kind: String, version: String },
}

fn hint(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { " that is whole (was it cut off while it was copied?)" } else { "" }
}

/// Reads one; `-` is standard input.
pub fn read(path: &Path) -> Result<Snapshot, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    source.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    parse(path, &bytes)
}

/// Takes the bytes for a snapshot; `path` is where they come from, for the reader of an error.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Snapshot, Error> {
    if bytes.len() as u64 > LARGEST {
        return Err(Error::TooLong { path: path.to_owned() });
    }
    let form = |source| Error::Form { path: path.to_owned(), source };
    let head: Head = serde_json::from_slice(bytes).map_err(form)?;
    if head.kind != KIND || head.api_version != API_VERSION {
        let (kind, version) = (brief(&head.kind, "document"), brief(&head.api_version, "no version"));
        return Err(Error::Kind { path: path.to_owned(), kind, version });
    }
    serde_json::from_slice(bytes).map_err(form)
}

/// What says whether the rest can be understood.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

/// Text of unknown length, in a message.
fn brief(text: &str, none: &str) -> String {
    const ENOUGH: usize = 40;
    if text.is_empty() { none.to_owned() } else { text.chars().take(ENOUGH).collect() }
}

/// The bytes that are written.
pub fn written(snapshot: &serde_json::Value) -> Vec<u8> {
    let mut bytes = snapshot.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        parse(Path::new("f"), bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_none_is_refused_with_a_reason() {
        assert_eq!(refused(b"hello"), "f is no snapshot");
        assert!(refused(br#"{"apiVersion":"podnet/v1","kind":"Snapshot","no"#).contains("cut off"));
        assert!(refused(br#"{"apiVersion":"podnet/v1","kind":"List"}"#).contains("it is a List of podnet/v1"));
        assert!(refused(br#"{"apiVersion":"podnet/v2","kind":"Snapshot"}"#).contains("Snapshot of podnet/v2"));
        assert!(refused(b"{}").contains("a document of no version"));
        assert_eq!(refused(br#"{"apiVersion":"podnet/v1","kind":"Snapshot","node":7}"#), "f is no snapshot");
    }

    #[test]
    fn depth_and_length_have_a_limit() {
        let deep = format!(r#"{{"kind":"Snapshot","apiVersion":"podnet/v1","node":{}"#, "[".repeat(100_000));
        assert!(refused(deep.as_bytes()).starts_with("f is no snapshot"));
        let long = vec![b' '; LARGEST as usize + 1];
        assert!(refused(&long).contains("longer than 128 MiB"));
    }
}
