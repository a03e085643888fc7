//! `podnet check`: each rule on a node that is broken in exactly that way, and every kind of network that is well.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod docker;
mod elsewhere;
mod node;
mod promises;
mod rules;
mod runtime;
mod table;
