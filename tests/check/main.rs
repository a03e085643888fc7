//! `podnet check`: each rule on a node that is broken in exactly that way, and every kind of network that is well.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[allow(dead_code, reason = "tests/kube asks more of it")]
#[path = "../kube/apiserver.rs"]
mod apiserver;
#[path = "../support/mod.rs"]
mod support;

mod answering;
mod asked;
mod case;
mod cilium;
mod cilium_node;
mod cilium_rules;
mod containerd;
mod created;
mod declared;
mod docker;
mod dockerd;
mod elsewhere;
mod kube;
mod lost;
mod networks;
mod node;
mod once;
mod promises;
mod proof;
mod release;
mod rules;
mod runtime;
mod table;
mod taken;
mod topologies;
mod watch;
mod ways;
mod whole_node;
mod young;
