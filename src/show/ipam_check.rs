//! `podnet ipam check` and `release --from-report` for a person.

use std::io::{self, Write};

use super::check::findings;
use super::page::{columns, sentence};
use super::words::since;
use super::{Page, Show, harmless};
use crate::model::count::counted;
use crate::view::ipam_check::{IpamRelease, IpamReport};

impl Show for IpamReport {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.networks.is_empty() {
            sentence(
                page,
                out,
                0,
                "no address store was found on this node: the Cilium agent keeps its own (podnet status)",
            )?;
        } else {
            let mut rows =
                vec![["STORE", "NETWORK", "ALLOCATED", "ABSENT", "LEAKED", "UNALLOCATED"].map(str::to_owned).to_vec()];
            rows.extend(self.networks.iter().map(|network| {
                let numbers = [network.allocated, network.absent, network.leaked, network.unallocated];
                let names = vec![network.place.store.clone(), network.place.network.clone()];
                [names, numbers.map(|number| number.to_string()).to_vec()].concat()
            }));
            columns(out, 0, &rows)?;
        }
        for absent in &self.absent {
            let holder = absent.container_id.as_deref().unwrap_or("nobody that can be told");
            let age = absent.since.map(|then| format!(", since {}", since(then, self.collected_at)));
            let why = if absent.leaked { "leaked: held for" } else { "absent: held for" };
            let (network, address) = (&absent.place.network, absent.address);
            sentence(page, out, 0, &format!("{address} of {network} {why} {holder}{}", age.unwrap_or_default()))?;
        }
        for unallocated in &self.unallocated {
            let (network, address, of) = (&unallocated.place.network, unallocated.address, &unallocated.of);
            let line = format!("{address} of {network} unallocated: {of} has it on {}", unallocated.interface);
            sentence(page, out, 0, &line)?;
        }
        if !self.findings.is_empty() {
            writeln!(out)?;
            findings(page, out, &self.findings)?;
        }
        for skipped in self.skipped.iter().filter(|skipped| skipped.target.is_none()) {
            sentence(page, out, 0, &format!("{} not run: {}", skipped.code, skipped.why))?;
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.absent.iter().filter(|absent| absent.leaked).map(|absent| absent.address.to_string()).collect()
    }
}

impl Show for IpamRelease {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let mut free = 0;
        for item in &self.items {
            let name = format!("{} of {} {}", item.address, item.place.store, item.place.network);
            match &item.why {
                Some(why) => sentence(page, out, 0, &format!("- {name} is left alone: {why}"))?,
                None => {
                    free += 1;
                    writeln!(out, "{}", page.good(harmless(&format!("✔ {name}"))))?;
                }
            }
        }
        let addresses = counted(free, "address", "addresses");
        match (self.applied, free) {
            (true, _) => writeln!(out, "{addresses} released"),
            (false, 0) => writeln!(out, "nothing to release"),
            (false, _) => writeln!(out, "{addresses} would be released: --apply does it, after another look"),
        }
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().filter(|item| item.free).map(|item| item.address.to_string()).collect()
    }
}
