//! The file of a snapshot: what is left out of it, how it is written, and reading one that anybody may have written.

mod file;
mod part;
mod redact;

pub use file::{Error, parse, read, written};
pub use part::{listed, of_addresses, of_endpoints, sealed};
pub use redact::{LEFT_OUT, redact};

/// Its `kind`.
pub const KIND: &str = "Snapshot";
/// Of every document of podnet.
pub const API_VERSION: &str = "podnet/v1";
