//! The packages: the .deb is built, installed into a root of its own, run and removed; the .rpm holds the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod binary;
mod contents;
mod deb;
mod image;
mod rpm;
