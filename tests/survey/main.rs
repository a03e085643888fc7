//! Finding every netns of a node and what holds it, and joining that with what is known of containers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod copied_proc;
mod hostile_path;
mod namespace;
mod resident;
