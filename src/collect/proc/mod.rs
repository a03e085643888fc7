//! What `/proc` alone tells: processes, their namespaces and containers, and who else holds a netns.

pub mod cgroup;
mod descriptors;
mod kernel;
mod mounts;
mod nsfs;
mod process;
mod threads;

pub use descriptors::{Descriptors, Inotify, OpenNetns};
pub use kernel::kernel;
pub use mounts::{MountTable, NetnsMount, netns_mounts};
pub use process::{Process, Walk, walk, walk_beside};
pub use threads::strays;
