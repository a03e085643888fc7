//! `podnet gc`.

use std::time::Duration;

use clap::Args;

use super::attachment::State;
use super::{Common, Error, block_on, seconds};
use crate::collect::kernel::problem::chain;
use crate::collect::options::Depth;
use crate::collect::survey::survey;
use crate::flow::Engine;
use crate::flow::gc::{self, Leftover};
use crate::view::gc as view;

/// Find and remove what podnet made and nobody has any more
///
/// Interfaces, namespaces, addresses and entries of runs that were killed, or of pods that went without being
/// deleted. It only looks, unless told to apply; then it looks twice, and touches only what podnet made, and nothing
/// that a container, a process or a run in flight holds.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  podnet gc\n  podnet gc --apply")]
pub struct Gc {
    /// Remove what is found
    #[arg(long)]
    apply: bool,
    /// Seconds between the two looks
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    grace: Duration,
    #[command(flatten)]
    state: State,
}

impl Gc {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let engine = self.state.engine();
        let mut found = self.look(common, &engine)?;
        if !self.apply {
            common.print(&view::leftovers(false, found.iter().map(|each| view::leftover(each, None)).collect()))?;
            return Ok(0);
        }
        if !found.is_empty() {
            std::thread::sleep(self.grace);
            let again = self.look(common, &engine)?;
            found.retain(|each| again.contains(each));
        }
        let remove = |each: &Leftover| {
            let removed = gc::remove(&engine, &self.state.root, each).map_err(|error| chain(&error));
            view::leftover(each, Some(removed))
        };
        let items: Vec<_> = found.iter().map(remove).collect();
        let failed = items.iter().any(|item| item.error.is_some());
        common.print(&view::leftovers(true, items))?;
        Ok(u8::from(failed))
    }

    fn look(&self, common: &Common, engine: &Engine) -> Result<Vec<Leftover>, Error> {
        let options = common.options()?;
        let survey = block_on(survey(&options, Depth::AllLinks))?;
        Ok(gc::look(engine, &self.state.root, &survey.node)?)
    }
}
