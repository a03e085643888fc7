//! The kernel settings that decide most often.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::model::sysctl::Sysctls;
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
        parts.extend(unusual(sysctls));
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

/// The settings of interfaces that answer or speak for others, each 0 where nobody set it.
const USUALLY_OFF: [&str; 6] = ["proxy_arp", "arp_accept", "arp_announce", "arp_filter", "arp_ignore", "arp_notify"];

/// Those that somebody set, by value with the interfaces that have it: `proxy_arp 1 cali1, cali2`.
fn unusual(sysctls: &Sysctls) -> Vec<String> {
    let mut found: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (name, value) in sysctls.values.iter().filter(|(_, value)| *value != "0") {
        if let Some((interface, setting)) = of_interface(name) {
            found.entry((setting, value)).or_default().push(interface);
        }
    }
    found.into_iter().map(|((setting, value), who)| format!("{setting} {value} {}", who.join(", "))).collect()
}

fn of_interface(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix("net.ipv4.conf.").or_else(|| name.strip_prefix("net/ipv4/conf/"))?;
    let (interface, setting) = rest.rsplit_once(['.', '/'])?;
    USUALLY_OFF.contains(&setting).then_some((interface, setting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_set_is_told_with_the_interfaces() {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let values = [
            set("net.ipv4.conf.all.arp_ignore", "0"),
            set("net.ipv4.conf.eth0.arp_ignore", "1"),
            set("net.ipv4.conf.eth0.forwarding", "1"),
            set("net.ipv4.conf.eth0.proxy_arp", "1"),
            set("net/ipv4/conf/eth0.5/proxy_arp", "1"),
            set("net.ipv6.conf.eth0.accept_ra", "1"),
        ];
        let sysctls = Sysctls { values: values.into(), ..Sysctls::default() };
        assert_eq!(unusual(&sysctls), ["arp_ignore 1 eth0", "proxy_arp 1 eth0, eth0.5"]);
    }
}
