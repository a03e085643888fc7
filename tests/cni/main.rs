//! The CNI protocol against real plugins, and against plugins that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

mod bad_input;
mod called;
mod chain;
mod command;
mod decode;
mod exec;
mod plugins;
mod races;
mod runtime;
mod spec;
#[path = "../support/mod.rs"]
mod support;

use support::host;
