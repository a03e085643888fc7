//! Creating and tearing down: by the binary, on a host that the test made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod crash;
mod create;
mod demo;
mod dialogue;
mod faults;
mod in_use;
mod names;

use support::host;
