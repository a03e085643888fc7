//! How names are resolved inside.

use std::io::{self, Write};

use crate::show::page::{columns, flow, heading};
use crate::show::{Page, harmless};
use crate::view::inspection::Inspection;

impl Inspection {
    pub(super) fn dns(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(dns) = &self.dns else { return Ok(()) };
        heading(page, out, "DNS")?;
        let line = |name: &str, words: &[String]| {
            if words.is_empty() { String::new() } else { format!("{name} {}", words.join(" ")) }
        };
        let nameservers =
            if dns.nameservers.is_empty() { "no nameserver".to_owned() } else { line("nameserver", &dns.nameservers) };
        flow(
            page,
            out,
            2,
            &[
                nameservers,
                line("search", &dns.search),
                line("options", &dns.options),
                format!("hosts {} lines", dns.hosts.len()),
            ],
        )?;
        if page.wide {
            columns(
                out,
                2,
                &dns.hosts.iter().map(|host| vec![host.address.clone(), host.names.join(" ")]).collect::<Vec<_>>(),
            )?;
        }
        dns.problems.iter().try_for_each(|problem| writeln!(out, "  {}", harmless(problem)))
    }
}
