//! What the user types and sees: exit codes, errors, streams, formats.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod commands;
mod formats;
mod help;
mod logs;
mod ordinary;
mod readme;
mod schema;
mod streams;
mod terminal;
mod usage;

use support::podnet::Podnet;

/// A binary that no variable of the environment colours or widens.
fn podnet() -> Podnet {
    Podnet::with(&[("NO_COLOR", String::new()), ("COLUMNS", String::new()), ("TERM", "xterm".to_owned())])
}

/// The test's own process, as a target.
fn own_pid() -> String {
    format!("netns:/proc/{}/ns/net", std::process::id())
}
