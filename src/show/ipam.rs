//! `podnet ipam` for a person.

use std::io::{self, Write};

use super::page::columns;
use super::{Page, Show, harmless};
use crate::view::ipam::{AddressList, AddressReport, FamilyUse, HeldAddress, PoolList, Released, State};

/// Cells of a bar that is full.
const BAR: usize = 10;
/// The bar's column; on a page narrower than this its percentage stands alone.
const FIGURES: usize = 6;
const ROOMY: usize = 80;

impl Show for PoolList {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let titles = ["POOL", "SUBNET", "SIZE", "USED", "RESTING", "FREE", ""];
        let mut rows = vec![titles.iter().map(ToString::to_string).collect()];
        for pool in &self.items {
            for (nth, family) in pool.families.iter().enumerate() {
                let name = if nth == 0 { pool.name.as_str() } else { "" };
                rows.extend(subnet_rows(name, family));
            }
        }
        if page.columns() < ROOMY {
            rows.iter_mut().filter_map(|row| row.get_mut(FIGURES)).for_each(|bar| *bar = percent_of(bar));
        }
        columns(out, 0, &rows)?;
        for pool in &self.items {
            if !pool.exclude.is_empty() {
                writeln!(out, "pool {} never gives out {}", pool.name, pool.exclude.join(", "))?;
            }
            for problem in &pool.problems {
                writeln!(out, "{} pool {}: {}", page.bad("!"), pool.name, harmless(problem))?;
            }
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|pool| pool.name.clone()).collect()
    }
}

/// A line a subnet; the figures are those of the family, so they stand in its first line.
fn subnet_rows(name: &str, family: &FamilyUse) -> Vec<Vec<String>> {
    let figures = [family.size, family.used, family.resting, family.free].map(|figure| figure.to_string());
    let row = |nth: usize, subnet: String| match nth {
        0 => [vec![name.to_owned(), subnet], figures.to_vec(), vec![bar(family)]].concat(),
        _ => vec![String::new(), subnet],
    };
    family.subnets.iter().enumerate().map(|(nth, subnet)| row(nth, subnet.to_string())).collect()
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
        let titles = ["ADDRESS", "POOL", "INTERFACE", "SINCE", "CONTAINER"];
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
    let nothing = || "–".to_owned();
    vec![
        held.address.to_string(),
        held.pool.clone(),
        held.ifname.clone().unwrap_or_else(nothing),
        held.since.map_or_else(nothing, |since| since.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        held.container_id.clone().or_else(|| held.problem.clone()).unwrap_or_else(nothing),
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
