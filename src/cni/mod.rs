//! The CNI protocol, as a plugin and as a runtime speak it: configurations, environment, results and errors,
//! the run of a plugin, a chain of them, libcni's cache and the directory that runtimes read.
//!
//! Nothing here changes the kernel, and nothing knows podnet's own way of making an interface.

pub mod alive;
pub mod args;
pub mod cache;
pub mod chain;
pub mod config_dir;
pub mod error;
pub mod evidence;
pub mod exec;
mod file;
mod flannel;
pub mod install;
pub mod invocation;
pub mod netconf;
pub mod result;
mod streams;
pub mod version;

pub use error::Refusal;
pub use invocation::{Invocation, Verb};
pub use netconf::Network;
pub use result::AddResult;
pub use version::SpecVersion;

/// Where libcni keeps what it knows of attachments, unless it is told another place.
pub const CACHE_ROOT: &str = "/var/lib/cni";
/// Where runtimes look for networks and plugins, unless they are told other places.
pub const CONFIG_DIRECTORY: &str = "/etc/cni/net.d";
pub const PLUGIN_DIRECTORY: &str = "/opt/cni/bin";

/// The rule of the CNI spec for names of networks and IDs of containers, which makes them safe in a path.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && text.bytes().all(allowed)
}
