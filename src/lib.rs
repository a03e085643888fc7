//! podnet, the library that the binary, its tests and its benchmarks share.
//!
//! The rooms, lower ones first; a lower room never imports an upper one:
//! `model` (plain data), `descriptors` (how many files may be open), `netns` (entering), `collect` (reading the world), `ipam` (the embedded
//! address store), `cni` (the CNI protocol), `flow` (creating and tearing down), `snapshot` (a node in a file),
//! `target` (what the user named), `check` (what is wrong), `view` (what a command answers), `show` (how a person
//! sees it), `cli` (one file a command).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr))]

pub mod check;
pub mod cli;
pub mod cni;
pub mod collect;
pub mod descriptors;
pub mod exec;
pub mod flow;
pub mod ipam;
pub mod model;
pub mod netns;
pub mod show;
pub mod snapshot;
pub mod target;
pub mod view;
