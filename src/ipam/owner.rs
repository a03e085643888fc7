//! Who holds an address: a container and its interface, as host-local writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest container ID that still leaves room for an interface in a file's name.
const LONGEST_ID: usize = 200;

/// An attachment in the CNI spec's sense. Both parts were checked, so they are safe in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Unchecked")]
pub struct Owner {
    container_id: String,
    ifname: String,
}

/// As it stands in a file that anyone may have edited.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unchecked {
    container_id: String,
    ifname: String,
}

impl TryFrom<Unchecked> for Owner {
    type Error = Invalid;

    fn try_from(unchecked: Unchecked) -> Result<Self, Invalid> {
        Self::new(&unchecked.container_id, &unchecked.ifname)
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("«{id}» is no container ID: letters, digits, _ . and -, a letter or digit first, {LONGEST_ID} at most")]
    ContainerId { id: String },
    #[error("«{name}» is no interface name: 1 to 15 bytes, not . or .., without / : and white space")]
    Ifname { name: String },
}

impl Owner {
    /// The rules of the CNI spec for `CNI_CONTAINERID` and `CNI_IFNAME`.
    pub fn new(container_id: &str, ifname: &str) -> Result<Self, Invalid> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let id = container_id.as_bytes();
        let begins_well = id.first().is_some_and(u8::is_ascii_alphanumeric);
        if !begins_well || !id.iter().all(|byte| allowed(*byte)) || id.len() > LONGEST_ID {
            return Err(Invalid::ContainerId { id: container_id.to_owned() });
        }
        let forbidden = |letter: char| letter == '/' || letter == ':' || letter.is_whitespace() || letter.is_control();
        if ifname.is_empty() || ifname.len() > 15 || matches!(ifname, "." | "..") || ifname.contains(forbidden) {
            return Err(Invalid::Ifname { name: ifname.to_owned() });
        }
        Ok(Self { container_id: container_id.to_owned(), ifname: ifname.to_owned() })
    }

    pub fn container_id(&self) -> &str {
        &self.container_id
    }

    pub fn ifname(&self) -> &str {
        &self.ifname
    }

    /// host-local's content of an address file.
    pub(super) fn to_content(&self) -> String {
        format!("{}\r\n{}", self.container_id, self.ifname)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "container {} interface {}", self.container_id, self.ifname)
    }
}
