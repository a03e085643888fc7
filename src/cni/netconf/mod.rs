//! Network configurations: what runtimes read from disk, what plugins read from their standard input.

mod load;
mod network;
mod plugin;
mod podnet;

use std::io;
use std::path::PathBuf;

pub use load::{Form, load};
pub use network::{GcAttachment, Network};
pub use plugin::Plugin;
pub(super) use plugin::is_program;
pub use podnet::{Ipam, PodnetConf};

use super::version;

/// Why something is no network configuration.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    #[error("it is no JSON")]
    Json(#[source] serde_json::Error),
    #[error("it is no JSON object")]
    NotAnObject,
    #[error("«{key}» must be {expected}")]
    Key { key: String, expected: &'static str },
    #[error("it has no «name»")]
    NoName,
    #[error("its name «{name}» is none: letters, digits, _ . and -, a letter or digit first")]
    Name { name: String },
    #[error(transparent)]
    Version(#[from] version::Unknown),
    #[error("it supports only versions of the CNI spec that are later than podnet's 1.1.0: {}", stated.join(", "))]
    TooNew { stated: Vec<String> },
    #[error("it has neither «plugins» nor a «type»")]
    Neither,
    #[error("it is a list of plugins, but its file is not called .conflist")]
    ListInConf,
    #[error("it has no plugins")]
    NoPlugins,
    #[error("«loadOnlyInlinedPlugins» is true, and it has no «plugins»")]
    NothingInlined,
    #[error("its plugin {nth} has no «type»")]
    NoType { nth: usize },
    #[error("the type «{kind}» is no name of a program")]
    Type { kind: String },
    #[error("its plugin {nth} is no JSON object")]
    PluginNotAnObject { nth: usize },
    #[error("the file {path} beside it is refused")]
    Sibling { path: PathBuf, source: Box<Invalid> },
}

impl Invalid {
    /// The versions that it asks for, where only they are what is wrong with it.
    pub fn versions(&self) -> Option<Vec<String>> {
        match self {
            Self::Version(unknown) => Some(vec![unknown.text.clone()]),
            Self::TooNew { stated } => Some(stated.clone()),
            _ => None,
        }
    }
}
