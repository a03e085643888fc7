//! Reads the world into the model, and changes nothing in it.

pub mod ahead;
mod ask_each;
pub mod background;
pub mod cilium;
mod contents;
pub mod dns;
mod dockerd;
mod doors;
mod host;
mod join;
pub mod kernel;
pub mod kube;
pub mod log;
pub mod namespaces;
pub mod options;
pub mod proc;
pub mod runtime;
pub mod survey;
