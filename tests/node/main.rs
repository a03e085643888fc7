//! A node end to end: real daemons, real containers, and podnet as an operator runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod ambiguity;
mod asked;
mod attachments;
mod handles;
mod networks;
mod places;
mod plain_user;
mod pods;
mod programs;
mod screen;
mod sources;
mod whole;
