//! What the flow writes into the kernel: one file a table. Each takes the netlink socket of the netns that it means.

pub mod address;
pub mod cookie;
pub mod deletion;
mod errand;
pub mod link;
pub mod masquerade;
pub mod mount;
mod nft;
pub mod route;
pub mod sysctl;

use super::error::Error;
use crate::collect::kernel::netlink;

/// A refusal with what was tried.
fn refused(what: impl Into<String>) -> impl FnOnce(netlink::Error) -> Error {
    let what = what.into();
    move |source| Error::Kernel { what, source }
}

/// Passes over the answer that something is there, or gone, already.
fn unless(errno: i32, result: Result<(), netlink::Error>) -> Result<bool, netlink::Error> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(errno) => Ok(false),
        Err(error) => Err(error),
    }
}
