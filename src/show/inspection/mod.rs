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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn inspection(parts: serde_json::Value) -> Inspection {
        let mut whole = json!({"apiVersion": "podnet/v1", "kind": "Inspection", "node": "n", "collectedAt": "2026-11-24T00:00:00Z",
            "sharedWith": [], "interfaces": [], "routes": [], "rules": [], "neighbours": [], "problems": [], "sources": []});
        whole.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    /// The page, none of whose lines is wider.
    fn on_page(width: usize, inspection: &Inspection) -> String {
        let mut text = Vec::new();
        inspection.table(&Page { width: Some(width), colour: false, wide: false }, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.lines().all(|line| line.width() <= width), "{text}");
        text
    }

    #[test]
    fn a_rule_of_many_words_keeps_to_the_page() {
        let rule = json!({"family": "ipv6", "priority": 100, "inverted": true, "action": "table", "table": 2004,
            "from": "2001:db8:1111:2222:3333:4444:5555:6666/128", "to": "2001:db8:1111:2222:3333:4444:5555:7777/128",
            "mark": 0x200, "markMask": 0xf00, "selectors": ["ipproto tcp", "dport 443"], "suppressPrefixLength": 0});
        let text = on_page(60, &inspection(json!({"rules": [rule]})));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = "100: ipv6 not from 2001:db8:1111:2222:3333:4444:5555:6666/128 to \
            2001:db8:1111:2222:3333:4444:5555:7777/128 fwmark 0x200/0xf00 ipproto tcp dport 443 table 2004 suppress_prefixlength 0";
        assert!(words.contains(told), "{text}");
    }

    #[test]
    fn a_process_is_hidden_only_where_some_are() {
        let told = |proc: &str| {
            let workload = json!({"runtime": "docker", "id": "3f2a", "pid": 7, "state": "running", "role": "container", "seenBy": []});
            let proc = json!({"name": "proc", "status": proc, "elapsedMs": 1.0});
            on_page(80, &inspection(json!({"workload": workload, "sources": [proc]})))
        };
        assert!(told("failed").contains("its process is hidden (needs CAP_SYS_PTRACE)"));
        assert!(told("present").contains("no living process of it is to be seen here"));
    }

    #[test]
    fn what_was_not_read_keeps_to_the_page() {
        let why = "routes: the kernel refused: Operation not permitted (os error 1)\u{1b}[2J";
        let dns = json!({"nameservers": [], "search": [], "options": [], "hosts": [], "problems": [format!("/etc/hosts: {why}")]});
        let text = on_page(60, &inspection(json!({"dns": dns, "problems": [why]})));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = "routes: the kernel refused: Operation not permitted (os error 1)\\u{1b}[2J";
        for line in [format!("! not read: {told}"), format!("/etc/hosts: {told}")] {
            assert!(words.contains(&line), "«{line}» in\n{text}");
        }
    }
}
