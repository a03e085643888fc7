//! `podnet exec` on real namespaces: whose network, whose /sys, whose exit status.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod many;
mod names;
mod network;
mod node;
mod privilege;
mod resident;
mod target;
mod terminal;
