//! `podnet status`.

use clap::Args;

use super::node::{add_address_stores, add_networks};
use super::{Common, Error, block_on};
use crate::collect::options::{Depth, Options};
use crate::collect::survey::survey;
use crate::view::status::status;

/// Show what makes the network of pods here, and how it is
///
/// The kernel, its BPF file system, the container runtimes, the CNI configuration in force, the Cilium agent with its
/// mode, how full its addresses are, and the Kubernetes API server: each ok, degraded or absent, with why.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet status\n  podnet status --no-kube\n  podnet status -o jsonpath='{.parts[?@.state==\"degraded\"].name}'"
)]
pub struct Status {}

impl Status {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let options = Options { agent: true, ..common.options_with_kube()? };
        let mut node = block_on(survey(&options, Depth::Holders))?.node;
        add_networks(&mut node);
        add_address_stores(&mut node);
        common.print(&status(&node))?;
        Ok(0)
    }
}
