//! The network namespace, where it is mounted and who holds it.

use std::io::{self, Write};

use crate::model::netns::{Holder, HolderKind};
use crate::model::source::Status;
use crate::show::Page;
use crate::show::page::{flow, heading};
use crate::show::words::short;
use crate::view::inspection::Inspection;

/// More holders than this are counted, not named, unless asked for.
const HOLDERS: usize = 6;

impl Inspection {
    pub(super) fn netns(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(netns) = &self.netns else {
            heading(page, out, "NETNS")?;
            return writeln!(out, "  {}", self.without_netns());
        };
        heading(page, out, &format!("NETNS  {}{}", netns.inode, if netns.is_host { "   the host's own" } else { "" }))?;
        flow(page, out, 2, &netns.paths)?;
        flow(
            page,
            out,
            2,
            &[
                netns.nsid.map(|nsid| format!("nsid {nsid}")).unwrap_or_default(),
                netns.owner_user_ns.map(|owner| format!("owned by user namespace {owner}")).unwrap_or_default(),
            ],
        )?;
        let shown = if page.wide { usize::MAX } else { HOLDERS };
        let told = || netns.holders.iter().filter(|holder| holder.kind != HolderKind::Mount);
        let mut holders: Vec<String> = told().take(shown).flat_map(held_by).collect();
        let rest = told().count().saturating_sub(shown);
        if rest > 0 {
            holders.push(format!("{rest} more (-o wide)"));
        }
        match (holders.is_empty(), netns.is_host) {
            (false, _) => flow(page, out, 2, &[&["held by".to_owned()], holders.as_slice()].concat()),
            (true, false) => writeln!(out, "  held by its mount alone: no process is in it"),
            (true, true) => Ok(()),
        }
    }

    /// That nothing was seen of it does not mean that there is none.
    fn without_netns(&self) -> &'static str {
        let hidden = self.sources.iter().any(|source| source.name == "proc" && source.status == Status::Failed);
        match &self.workload {
            None => "none any more: nothing here is at its interface",
            Some(workload) if !workload.is_alive() => "none: the container does not run",
            Some(workload) if workload.pid.is_some() && hidden => {
                "not known: its process is hidden (needs CAP_SYS_PTRACE)"
            }
            Some(_) => "not known: no living process of it is to be seen here",
        }
    }
}

/// In parts that may stand in lines of their own.
fn held_by(holder: &Holder) -> Vec<String> {
    let pid = holder.pid.map_or_else(String::new, |pid| pid.to_string());
    let container = holder.container.as_deref().map(|id| format!(" ({})", short(id))).unwrap_or_default();
    let process = format!("{pid} {}{container}", holder.process.as_deref().unwrap_or_default());
    let path = holder.path.clone().unwrap_or_default();
    match holder.kind {
        HolderKind::Process | HolderKind::Mount => vec![process],
        HolderKind::ForeignMount => vec![format!("{process}, whose mount namespace has it at"), path],
        HolderKind::Fd => vec![format!("{process}, by its descriptor"), path],
        HolderKind::Thread => vec![format!("{process}, by its thread"), path],
    }
}
