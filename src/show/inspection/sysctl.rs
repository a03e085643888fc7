//! The kernel settings that decide most often.

use std::io::{self, Write};

use crate::show::Page;
use crate::show::page::{columns, flow, heading};
use crate::view::inspection::Inspection;

impl Inspection {
    pub(super) fn sysctls(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(sysctls) = &self.sysctls else { return Ok(()) };
        heading(page, out, "SYSCTLS")?;
        let shown =
            |name: &str| sysctls.values.get(name).map(|value| format!("{} {value}", name.trim_start_matches("net.")));
        let mut parts: Vec<String> =
            ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.all.disable_ipv6"]
                .into_iter()
                .filter_map(shown)
                .collect();
        parts.extend(
            sysctls.effective_rp_filter.iter().map(|(interface, value)| format!("rp_filter {interface} {value}")),
        );
        parts.extend(sysctls.conntrack.map(|fill| format!("conntrack {} of {}", fill.count, fill.max)));
        flow(page, out, 2, &parts)?;
        if page.wide {
            columns(
                out,
                2,
                &sysctls.values.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect::<Vec<_>>(),
            )?;
        }
        Ok(())
    }
}
