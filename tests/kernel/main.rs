//! What podnet reads from the kernel, of namespaces that the tests build, and what it concludes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod deletion;
mod inside;
mod link;
mod outside;
mod peer;
mod routing;

use podnet::collect::kernel::{self, Visit, Want};
use podnet::model::netns::{Netns, NetnsState};
use support::netns::TestNetns;

/// The namespaces as podnet reads them, the first one as the host's; `others` are known to it too, but not read.
fn read(namespaces: &[&TestNetns], others: &[&TestNetns], want: &Want) -> Vec<NetnsState> {
    let visit = |(place, namespace): (usize, &&TestNetns)| Visit {
        netns: Netns { inode: namespace.inode(), is_host: place == 0, ..Netns::default() },
        handle: namespaces[place].handle(),
        want: want.clone(),
        known: Vec::new(),
    };
    let visits: Vec<Visit<'_>> = namespaces.iter().enumerate().map(visit).collect();
    let candidates: Vec<_> = namespaces.iter().chain(others).map(|namespace| namespace.handle()).collect();
    kernel::read(&visits, &candidates)
}

/// One namespace, of which nothing may have failed.
fn read_one(namespace: &TestNetns, want: &Want) -> NetnsState {
    let state = read(&[namespace], &[], want).remove(0);
    assert_eq!(state.problems, Vec::<String>::new());
    state
}
