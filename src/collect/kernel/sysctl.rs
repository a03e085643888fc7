//! The sysctls that decide a packet's fate. `/proc/sys/net` shows those of the netns of whoever opens it,
//! so this is read by the thread that visits.

use std::path::Path;

use rustix::fs::CWD;

use super::devconf::Devconf;
use crate::collect::contents::contents;
use crate::model::sysctl::{Fill, Sysctls};

const ROOT: &str = "/proc/sys/net";
const ONCE: [&str; 8] = [
    "ipv4/ip_forward",
    "ipv4/ip_nonlocal_bind",
    "ipv4/fib_multipath_use_neigh",
    "ipv4/tcp_mtu_probing",
    "ipv4/ip_unprivileged_port_start",
    "ipv4/ping_group_range",
    "ipv4/ip_local_port_range",
    "bridge/bridge-nf-call-iptables",
];
const IPV4_OF_INTERFACE: [&str; 9] = [
    "forwarding",
    "rp_filter",
    "proxy_arp",
    "arp_ignore",
    "arp_announce",
    "arp_filter",
    "accept_local",
    "route_localnet",
    "send_redirects",
];
const IPV6_OF_INTERFACE: [&str; 5] = ["forwarding", "disable_ipv6", "accept_ra", "proxy_ndp", "accept_dad"];

/// Reads those of the calling thread's netns, for `all` and `default`, and takes those of its interfaces, which came with
/// the links.
pub fn read<'a>(interfaces: impl Iterator<Item = (&'a str, &'a Devconf)>) -> Sysctls {
    let mut sysctls = Sysctls::default();
    for path in ONCE {
        keep(&mut sysctls, path.to_owned(), path.replace('/', "."));
    }
    for interface in ["all", "default"] {
        let groups = [("ipv4", IPV4_OF_INTERFACE.as_slice()), ("ipv6", IPV6_OF_INTERFACE.as_slice())];
        for (family, names) in groups {
            for name in names {
                let path = format!("{family}/conf/{interface}/{name}");
                keep(&mut sysctls, path, dotted(family, interface, name));
            }
        }
    }
    for (interface, conf) in interfaces.filter(|(name, _)| *name != "lo") {
        let settings =
            conf.settings().map(|(family, name, value)| (dotted(family, interface, name), value.to_string()));
        sysctls.values.extend(settings);
    }
    effective_rp_filter(&mut sysctls);
    sysctls.conntrack = number("netfilter/nf_conntrack_count")
        .zip(number("netfilter/nf_conntrack_max"))
        .map(|(count, max)| Fill { count, max });
    sysctls
}

/// As sysctl(8) writes it: with slashes throughout where an interface's name holds a dot.
fn dotted(family: &str, interface: &str, name: &str) -> String {
    let separator = if interface.contains('.') { "/" } else { "." };
    ["net", family, "conf", interface, name].join(separator)
}

fn keep(sysctls: &mut Sysctls, path: String, name: String) {
    let name = if name.starts_with("net") { name } else { format!("net.{name}") };
    if let Some(value) = value(&path) {
        sysctls.values.insert(name, value);
    }
}

fn value(path: &str) -> Option<String> {
    let text = String::from_utf8(contents(CWD, Path::new(ROOT).join(path)).ok()?).ok()?;
    Some(text.trim().replace('\t', " "))
}

fn number(path: &str) -> Option<u64> {
    value(path)?.parse().ok()
}

/// The larger of `all` and the interface's own (ip-sysctl.rst).
fn effective_rp_filter(sysctls: &mut Sysctls) {
    let of =
        |interface: &str| -> Option<u8> { sysctls.values.get(&dotted("ipv4", interface, "rp_filter"))?.parse().ok() };
    let all = of("all").unwrap_or(0);
    let split = |name: &String| {
        let inner = name.strip_prefix("net.ipv4.conf.").or_else(|| name.strip_prefix("net/ipv4/conf/"))?;
        inner.strip_suffix(".rp_filter").or_else(|| inner.strip_suffix("/rp_filter")).map(str::to_owned)
    };
    let interfaces: Vec<String> =
        sysctls.values.keys().filter_map(split).filter(|name| name != "all" && name != "default").collect();
    let effective = interfaces.into_iter().filter_map(|name| of(&name).map(|own| (name, own.max(all)))).collect();
    sysctls.effective_rp_filter = effective;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_rp_filter_wins() {
        let mut sysctls = Sysctls::default();
        for (name, value) in [
            ("net.ipv4.conf.all.rp_filter", "2"),
            ("net.ipv4.conf.eth0.rp_filter", "1"),
            ("net/ipv4/conf/eth0.5/rp_filter", "0"),
        ] {
            sysctls.values.insert(name.to_owned(), value.to_owned());
        }
        effective_rp_filter(&mut sysctls);
        let found: Vec<_> = sysctls.effective_rp_filter.into_iter().collect();
        assert_eq!(found, [("eth0".to_owned(), 2), ("eth0.5".to_owned(), 2)]);
    }
}
