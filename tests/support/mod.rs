//! Private daemons, images and facts for the integration tests.
//!
//! Everything lives below one scratch directory in `/tmp`, with names and subnets of its own, and is
//! stopped, unmounted and removed when dropped, also when the test panics. Include it with
//! `#[path = "../support/mod.rs"] mod support;`.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod bpf;
pub mod containerd;
pub mod cri;
pub mod daemon;
pub mod docker;
pub mod facts;
pub mod fake_docker;
pub mod host;
pub mod image;
pub mod listener;
pub mod machine;
pub mod namespace;
pub mod netns;
pub mod podman;
pub mod podnet;
pub mod prerequisite;
pub mod schema;
pub mod scratch;
pub mod shell;
pub mod subnet;
