//! How names are resolved inside.

use std::io::{self, Write};

use crate::show::Page;
use crate::show::page::{columns, flow, heading, sentence};
use crate::view::inspection::Inspection;

impl Inspection {
    pub(super) fn dns(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(dns) = &self.dns else { return Ok(()) };
        heading(page, out, "DNS")?;
        let line = |name: &str, words: &[String]| {
            if words.is_empty() { String::new() } else { format!("{name} {}", words.join(" ")) }
        };
        // What could not be read is told below, and not that it is empty.
        let unread = |file: &str| dns.problems.iter().any(|problem| problem.starts_with(file));
        let nameservers = match dns.nameservers.as_slice() {
            [] if unread("/etc/resolv.conf") => String::new(),
            [] => "no nameserver".to_owned(),
            some => line("nameserver", some),
        };
        let hosts = if unread("/etc/hosts") { String::new() } else { format!("hosts {} lines", dns.hosts.len()) };
        flow(page, out, 2, &[nameservers, line("search", &dns.search), line("options", &dns.options), hosts])?;
        if page.wide {
            columns(
                out,
                2,
                &dns.hosts.iter().map(|host| vec![host.address.clone(), host.names.join(" ")]).collect::<Vec<_>>(),
            )?;
        }
        dns.problems.iter().try_for_each(|problem| sentence(page, out, 2, problem))
    }
}
