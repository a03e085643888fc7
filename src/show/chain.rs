//! The turns of CNI plugins, for a person.

use std::io::{self, Write};

use serde_json::Value;

use super::page::{sentence, title};
use super::{Page, Show, harmless};
use crate::view::chain::{ChainNetwork, ChainPlan, ChainRun, PluginTurn};

const INDENT: usize = 12;

impl Show for ChainRun {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        heading(page, out, &self.verb, &self.network)?;
        if let Some(plan) = &self.plan {
            return self.planned(page, out, plan);
        }
        self.turns.iter().try_for_each(|each| turn(page, out, each))?;
        self.closing(page, out)
    }

    fn names(&self) -> Vec<String> {
        self.container_id.iter().cloned().collect()
    }
}

impl ChainRun {
    /// The turns to come; what each is told, where there is room for that.
    fn planned(&self, page: &Page, out: &mut dyn Write, plan: &ChainPlan) -> io::Result<()> {
        let netns = self.netns.as_deref().unwrap_or_default();
        sentence(page, out, 2, &format!("in {} {netns}", if plan.new_netns { "a new netns" } else { "the netns" }))?;
        for (nth, planned) in plan.plugins.iter().enumerate() {
            let place = format!("{}/{}", nth + 1, plan.plugins.len());
            let program = planned.program.as_ref().or(planned.error.as_ref()).cloned().unwrap_or_default();
            let mark = if planned.error.is_none() { String::new() } else { format!("{} ", page.bad("✖")) };
            sentence(page, out, 1, &format!("{place}  {mark}{:<15} {program}", planned.plugin))?;
            if page.wide {
                sentence(page, out, INDENT, &Value::from(planned.config.clone()).to_string())?;
            }
        }
        writeln!(out, "nothing was changed, and no plugin was called")
    }

    /// What is told after the turns.
    pub fn closing(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if let Some(attachments) = &self.attachments {
            for attached in &attachments.alive {
                sentence(page, out, 1, &format!("alive  {} {}", attached.container_id, attached.ifname))?;
            }
            let word = if attachments.applied { "removed" } else { "gone" };
            for attached in &attachments.gone {
                sentence(page, out, 1, &format!("{word}  {} {}", attached.container_id, attached.ifname))?;
            }
            if !attachments.applied {
                sentence(
                    page,
                    out,
                    0,
                    "nothing was changed: --apply sends DEL for what is gone, and GC with what is alive",
                )?;
            }
        }
        match &self.skipped {
            Some(why) => sentence(page, out, 0, &format!("no plugin was asked: {why}")),
            None => Ok(()),
        }
    }
}

/// Which network, and why.
pub fn heading(page: &Page, out: &mut dyn Write, verb: &str, network: &ChainNetwork) -> io::Result<()> {
    let plugins = network.plugins.join(", ");
    let text = format!("{verb} by {plugins}   network {}   CNI {}", network.name, network.cni_version);
    title(page, out, &text)?;
    sentence(page, out, 2, &format!("from {}", network.source))?;
    network.reasons.iter().try_for_each(|reason| sentence(page, out, 2, reason))
}

/// A plugin after its turn.
pub fn turn(page: &Page, out: &mut dyn Write, turn: &PluginTurn) -> io::Result<()> {
    let mark = if turn.error.is_none() { page.good("✔") } else { page.bad("✖") };
    writeln!(out, " {mark} {:<7} {:<15} {:>9.1} ms", turn.verb, harmless(&turn.plugin), turn.elapsed_ms)?;
    turn.made.iter().try_for_each(|made| sentence(page, out, INDENT, &format!("+ {made}")))?;
    turn.error.iter().try_for_each(|error| sentence(page, out, INDENT, error))
}
