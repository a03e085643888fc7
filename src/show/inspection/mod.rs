//! `podnet inspect` on one screen, from top to bottom: who, where, interfaces, routes, the rest, the sources; a file a
//! section.

mod cni;
mod dns;
mod endpoint;
mod interface;
mod kube;
mod netns;
mod routing;
mod socket;
mod sysctl;
mod workload;

use std::io::{self, Write};

use super::page::{prose, sentence};
use super::source::sources;
use super::{Page, Show, harmless};
use crate::model::workload::Workload;
use crate::view::inspection::Inspection;

impl Show for Inspection {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        self.head(page, out)?;
        self.netns(page, out)?;
        self.interfaces(page, out)?;
        self.routing(page, out)?;
        self.sysctls(page, out)?;
        self.sockets(page, out)?;
        self.dns(page, out)?;
        self.endpoint(page, out)?;
        self.ipam(page, out)?;
        self.cni(page, out)?;
        self.kubernetes(page, out)?;
        for problem in &self.problems {
            let sign = "! not read:";
            write!(out, "{} ", page.bad(sign))?;
            prose(page, out, 2, sign.len() + 1, &harmless(problem))?;
            writeln!(out)?;
        }
        sources(page, out, &self.sources)?;
        self.faults(page, out)
    }

    fn names(&self) -> Vec<String> {
        let netns = || self.netns.as_ref().map(|netns| format!("netns:{}", netns.inode));
        let endpoint = || self.endpoint.as_ref().map(|found| format!("ep:{}", found.endpoint.id));
        self.workload.as_ref().and_then(spelling).or_else(netns).or_else(endpoint).into_iter().collect()
    }
}

impl Inspection {
    /// The last line: whether to look further.
    fn faults(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(first) = self.faults.first() else { return Ok(()) };
        let target = self.names().into_iter().next().unwrap_or_default();
        let count = match self.faults.len() {
            1 => "1 fault".to_owned(),
            more => format!("{more} faults"),
        };
        writeln!(out)?;
        sentence(page, out, 0, &format!("{count}: {} {}", first.code, first.message))?;
        writeln!(out, "  podnet check {}", harmless(&target))
    }
}

/// What podnet takes as a target for exactly this workload.
pub fn spelling(workload: &Workload) -> Option<String> {
    let id = workload.id.as_ref().map(|id| {
        format!(
            "{}{id}",
            workload.runtime.as_ref().map_or_else(|| "container:".to_owned(), |runtime| format!("{runtime}://"))
        )
    });
    id.or_else(|| workload.pid.map(|pid| format!("pid:{pid}")))
}
