//! The embedded address management: pools, and who holds which of their addresses.
//!
//! Everything is a file under one root, in the layout of the CNI plugin `host-local`, so that `ls`
//! and `cat` are enough to read it, and one kill or power cut leaves nothing half-done:
//!
//! ```text
//! pools/NAME.json                        a pool that the operator added
//! networks/POOL/10.42.0.7                held; the content says by whom: container ID, CR LF, interface
//! networks/POOL/last_reserved_ip.0       where the next search begins (0: IPv4, 1: IPv6)
//! networks/POOL/lock                     flock(2)ed by whoever changes the directory
//! owners/CONTAINER@INTERFACE             a symlink whose target lists what was given: POOL/ADDRESS,…
//! resting/POOL/10.42.0.9                 released, not yet to be given out again; who held it last
//! staging/POOL                           a file that is being written; it gets its name by link(2) when whole
//! ```
//!
//! The truth is `networks/`; `owners/` finds the addresses of a container without reading them all,
//! and is checked against the truth wherever it is used.

mod books;
pub mod choose;
mod config;
mod error;
pub mod evidence;
pub mod leak;
mod ledger;
pub mod lock;
pub mod owner;
pub mod pool;
pub mod range;
pub mod reader;
mod record;
mod search;
mod store;

pub use error::Error;
pub use owner::Owner;
pub use pool::Pool;
pub use store::{Held, Lease, LeasedAddress, Request, Store};

/// Where podnet keeps its addresses unless it is told another place.
pub const DEFAULT_ROOT: &str = "/var/lib/podnet";
