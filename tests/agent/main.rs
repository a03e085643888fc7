//! The Cilium agent: a stand-in in a process of its own, and podnet as an operator runs it beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod endpoint;
mod every_recording;
mod faults;
mod flow;
mod inspect;
mod ipam;
mod openapi;
mod pod;
mod recordings;
mod remains;
mod snapshot;
mod stand_in;
mod status;
