//! The embedded address store: on real files, killed, starved and raced.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

mod crash;
mod faults;
mod model;
mod reserve;
mod store;
