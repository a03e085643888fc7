//! `podnet ipam` for a person.

use std::io::{self, Write};

use ipnet::IpNet;

use super::page::{columns, sentence};
use super::source::sources;
use super::{Page, Show, harmless};
use crate::model::source::Status;
use crate::view::ipam::{AddressList, AddressReport, FamilyUse, HeldAddress, OWN, PoolList, PoolUse, Released, State};

const NOTHING: &str = "–";
/// Cells of a bar that is full.
const BAR: usize = 10;
/// The bar's column; on a page narrower than this its percentage stands alone.
const FIGURES: usize = 6;
const ROOMY: usize = 80;

impl Show for PoolList {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if let Some(answer) = &self.answer {
            sentence(page, out, 0, answer)?;
        }
        if self.items.iter().all(|pool| pool.families.is_empty() && pool.uncounted.is_empty()) {
            return self.end(page, out);
        }
        if self.answer.is_some() {
            writeln!(out)?;
        }
        let manner = Manner {
            by: self.items.iter().any(|pool| pool.by != OWN),
            resting: self.items.iter().any(|pool| pool.families.iter().any(|family| family.resting > 0)),
        };
        let mut titles = vec!["POOL"];
        titles.extend(manner.by.then_some("BY"));
        titles.extend(["SUBNET", "SIZE", "USED"]);
        titles.extend(manner.resting.then_some("RESTING"));
        titles.extend(["FREE", ""]);
        let mut rows = vec![titles.iter().map(ToString::to_string).collect()];
        for pool in &self.items {
            rows.extend(manner.rows(pool));
        }
        if page.columns() < ROOMY {
            rows.iter_mut().filter_map(|row| row.get_mut(FIGURES)).for_each(|bar| *bar = percent_of(bar));
        }
        columns(out, 0, &rows)?;
        self.end(page, out)
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|pool| pool.name.clone()).collect()
    }
}

impl PoolList {
    /// What is wrong, and who did not answer.
    fn end(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        for pool in &self.items {
            if !pool.exclude.is_empty() {
                sentence(page, out, 0, &format!("pool {} never gives out {}", pool.name, pool.exclude.join(", ")))?;
            }
            for problem in &pool.problems {
                writeln!(out, "{} pool {}: {}", page.bad("!"), harmless(&pool.name), harmless(problem))?;
            }
        }
        let silent = self.sources.iter().any(|source| source.status == Status::Failed);
        if silent || (page.wide && !self.sources.is_empty()) { sources(page, out, &self.sources) } else { Ok(()) }
    }
}

/// Which columns there are.
struct Manner {
    by: bool,
    resting: bool,
}

impl Manner {
    /// A line a subnet, and one where none is known; the figures are those of the family, so they stand in its first
    /// line.
    fn rows(&self, pool: &PoolUse) -> Vec<Vec<String>> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for family in &pool.families {
            let mut figures = vec![family.size.to_string(), family.used.to_string()];
            figures.extend(self.resting.then(|| family.resting.to_string()));
            figures.extend([family.free.to_string(), bar(family)]);
            self.family(pool, &family.subnets, &figures, &mut rows);
        }
        for family in &pool.uncounted {
            let mut figures = vec![NOTHING.to_owned(), family.used.to_string()];
            figures.extend(self.resting.then(|| NOTHING.to_owned()));
            figures.push(NOTHING.to_owned());
            self.family(pool, &family.subnets, &figures, &mut rows);
        }
        rows
    }

    fn family(&self, pool: &PoolUse, subnets: &[IpNet], figures: &[String], rows: &mut Vec<Vec<String>>) {
        let texts = subnets.iter().map(ToString::to_string);
        let none = subnets.is_empty().then(|| NOTHING.to_owned());
        for (nth, subnet) in texts.chain(none).enumerate() {
            let once = |text: &str| if rows.is_empty() { text.to_owned() } else { String::new() };
            let mut row = vec![once(&pool.name)];
            row.extend(self.by.then(|| once(&pool.by)));
            row.push(subnet);
            row.extend(figures.iter().filter(|_| nth == 0).cloned());
            rows.push(row);
        }
    }
}

/// `▮▮▮▯▯▯▯▯▯▯ 30%`; a bar that is not empty shows at least a cell, one that is not full leaves one.
fn bar(family: &FamilyUse) -> String {
    let scaled = |whole: usize| match (family.used, family.size) {
        (0, _) | (_, 0) => 0,
        (used, size) if used >= size => whole,
        (used, size) => used.saturating_mul(whole).checked_div(size).unwrap_or(0).clamp(1, whole - 1),
    };
    let full = scaled(BAR);
    format!("{}{} {}%", "▮".repeat(full), "▯".repeat(BAR - full), scaled(100))
}

fn percent_of(bar: &str) -> String {
    bar.rsplit(' ').next().unwrap_or_default().to_owned()
}

impl Show for AddressList {
    fn table(&self, _page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            return writeln!(out, "no address is held");
        }
        let titles = ["ADDRESS", "BY", "POOL", "INTERFACE", "SINCE", "OWNER"];
        let mut rows = vec![titles.iter().map(ToString::to_string).collect()];
        rows.extend(self.items.iter().map(row));
        columns(out, 0, &rows)
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|held| held.address.to_string()).collect()
    }
}

/// The container ID is whole, to be pasted, and stands last, where it can be long.
fn row(held: &HeldAddress) -> Vec<String> {
    let nothing = || NOTHING.to_owned();
    vec![
        held.address.to_string(),
        held.by.clone(),
        held.pool.clone(),
        held.ifname.clone().unwrap_or_else(nothing),
        held.since.map_or_else(nothing, |since| since.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        held.owner
            .clone()
            .or_else(|| held.container_id.clone())
            .or_else(|| held.problem.clone())
            .unwrap_or_else(nothing),
    ]
}

impl Show for AddressReport {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let state = match self.state {
            State::Held => "held",
            State::Resting => "resting: released, given out again when the search comes round",
            State::Free => "free",
            State::Withheld => "never given out",
            State::Unknown => "in no pool of podnet's",
        };
        writeln!(out, "{}  {}", page.bold(self.address), state)?;
        let mut rows = Vec::new();
        let mut fact = |title: &str, value: Option<String>| {
            rows.extend(value.map(|value| vec![title.to_owned(), value]));
        };
        fact("reason", self.reason.clone());
        fact("pool", self.pool.clone());
        fact("subnet", self.subnet.map(|subnet| subnet.to_string()));
        fact("gateway", self.gateway.map(|gateway| gateway.to_string()));
        let title = if self.state == State::Held { "container" } else { "was held by" };
        fact(title, self.holder.as_ref().and_then(|holder| holder.container_id.clone()));
        fact("owner", self.holder.as_ref().and_then(|holder| holder.owner.clone()));
        fact("by", self.holder.as_ref().map(|holder| holder.by.clone()).filter(|by| by != OWN));
        fact("interface", self.holder.as_ref().and_then(|holder| holder.ifname.clone()));
        fact("since", self.holder.as_ref().and_then(|holder| holder.since).map(|since| since.to_string()));
        fact("problem", self.holder.as_ref().and_then(|holder| holder.problem.clone()));
        columns(out, 2, &rows)
    }

    fn names(&self) -> Vec<String> {
        vec![self.address.to_string()]
    }
}

impl Show for Released {
    fn table(&self, _page: &Page, out: &mut dyn Write) -> io::Result<()> {
        if self.addresses.is_empty() {
            return writeln!(out, "nothing was held");
        }
        self.addresses.iter().try_for_each(|address| writeln!(out, "released {address}"))
    }

    fn names(&self) -> Vec<String> {
        self.addresses.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::Family;

    #[test]
    fn a_bar_is_full_or_empty_only_when_the_pool_is() {
        let bar = |used, size| {
            let family = Family::Ipv4;
            let (subnets, gateways) = (Vec::new(), Vec::new());
            bar(&FamilyUse { family, subnets, gateways, size, used, resting: 0, free: 0, last_reserved: None })
        };
        for (used, size, shown) in [
            (0, 253, "▯▯▯▯▯▯▯▯▯▯ 0%"),
            (1, 65_533, "▮▯▯▯▯▯▯▯▯▯ 1%"),
            (127, 253, "▮▮▮▮▮▯▯▯▯▯ 50%"),
            (252, 253, "▮▮▮▮▮▮▮▮▮▯ 99%"),
            (253, 253, "▮▮▮▮▮▮▮▮▮▮ 100%"),
            (0, 0, "▯▯▯▯▯▯▯▯▯▯ 0%"),
        ] {
            assert_eq!(bar(used, size), shown);
        }
    }
}
