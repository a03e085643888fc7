//! `podnet snapshot`, and `--from`: a node that is no more, byte for byte as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../check/node.rs"]
// Each test binary uses a part of it.
#[allow(dead_code)]
mod node;

mod diff;
mod fuzz;
mod fuzz_commands;
mod limit;
mod replay;
mod save;
