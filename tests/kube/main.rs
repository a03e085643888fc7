//! What podnet reads from a Kubernetes API server, and what it makes of one that does not answer as it should: the
//! binary against a stand-in over TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod apiserver;
mod credentials;
mod faults;
mod status;
