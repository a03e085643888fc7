//! The network namespace, where it is mounted and who holds it.

use std::io::{self, Write};

use crate::model::netns::{Holder, HolderKind};
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
            let why =
                if self.workload.is_some() { "the container does not run" } else { "nothing here is at its interface" };
            return writeln!(out, "  none any more: {why}");
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
        let mut holders: Vec<String> =
            netns.holders.iter().filter(|holder| holder.kind != HolderKind::Mount).take(shown).map(held_by).collect();
        let rest = netns
            .holders
            .iter()
            .filter(|holder| holder.kind != HolderKind::Mount)
            .count()
            .saturating_sub(holders.len());
        if rest > 0 {
            holders.push(format!("{rest} more (-o wide)"));
        }
        match (holders.is_empty(), netns.is_host) {
            (false, _) => flow(page, out, 2, &[&["held by".to_owned()], holders.as_slice()].concat()),
            (true, false) => writeln!(out, "  held by its mount alone: no process is in it"),
            (true, true) => Ok(()),
        }
    }
}

fn held_by(holder: &Holder) -> String {
    let process = format!(
        "{} {}",
        holder.pid.map_or_else(String::new, |pid| pid.to_string()),
        holder.process.clone().unwrap_or_default()
    );
    let container = holder.container.as_deref().map(|id| format!(" ({})", short(id))).unwrap_or_default();
    let path = holder.path.clone().unwrap_or_default();
    match holder.kind {
        HolderKind::Process | HolderKind::Mount => format!("{process}{container}"),
        HolderKind::ForeignMount => format!("mount {path} in the mount namespace of {process}{container}"),
        HolderKind::Fd => format!("descriptor {path} of {process}{container}"),
    }
}
