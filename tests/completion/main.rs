//! What TAB does: asked as the shells' scripts ask, and in the shells themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod shells;
