//! The files that are written by what they describe: they must be what podnet would write now.
//!
//! `PODNET_RENEW=1 cargo test --test assets` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod completions;
mod kept;
mod man;
mod schema;
mod sources;
