//! The sysctls that decide a packet's fate. `/proc/sys/net` shows those of the netns of whoever opens it,
//! so this is read by the thread that visits.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::path::Arg;

use super::devconf::Devconf;
use crate::collect::contents::read_contents;
use crate::model::sysctl::{Fill, Sysctls};

const ROOT: &str = "/proc/sys/net";
const OF_IPV4: [&str; 7] = [
    "ip_forward",
    "ip_nonlocal_bind",
    "fib_multipath_use_neigh",
    "tcp_mtu_probing",
    "ip_unprivileged_port_start",
    "ping_group_range",
    "ip_local_port_range",
];
const CALL_IPTABLES: &str = "bridge-nf-call-iptables";
const IPV4_OF_INTERFACE: [&str; 11] = [
    "forwarding",
    "rp_filter",
    "proxy_arp",
    "arp_accept",
    "arp_announce",
    "arp_filter",
    "arp_ignore",
    "arp_notify",
    "accept_local",
    "route_localnet",
    "send_redirects",
];
const IPV6_OF_INTERFACE: [&str; 5] = ["forwarding", "disable_ipv6", "accept_ra", "proxy_ndp", "accept_dad"];

/// Reads those of the calling thread's netns, and takes those of its interfaces, which came with the links. `default` is only for
/// interfaces to come; `bridges` says whether there are any.
pub fn read<'a>(interfaces: impl Iterator<Item = (&'a str, &'a Devconf)>, bridges: bool) -> Sysctls {
    let mut found = Vec::with_capacity(128);
    let mut keep = |folder: &Folder, file: &str, name: String| {
        found.extend(folder.value(file).map(|value| (name, value)));
    };
    let root = Folder::open(CWD, ROOT);
    let (ipv4, ipv6) = (root.below("ipv4"), root.below("ipv6"));
    for name in OF_IPV4 {
        keep(&ipv4, name, format!("net.ipv4.{name}"));
    }
    if bridges {
        keep(&root.below("bridge"), CALL_IPTABLES, format!("net.bridge.{CALL_IPTABLES}"));
    }
    let groups = [("ipv4", ipv4, IPV4_OF_INTERFACE.as_slice()), ("ipv6", ipv6, IPV6_OF_INTERFACE.as_slice())];
    for (family, folder, names) in groups {
        let all = folder.below("conf/all");
        for name in names {
            keep(&all, name, dotted(family, "all", name));
        }
    }
    for (interface, conf) in interfaces.filter(|(name, _)| *name != "lo") {
        let settings =
            conf.settings().map(|(family, name, value)| (dotted(family, interface, name), value.to_string()));
        found.extend(settings);
    }
    // Sorted once: they begin alike, and are long to compare.
    let mut sysctls = Sysctls { values: found.into_iter().collect(), ..Sysctls::default() };
    effective_rp_filter(&mut sysctls);
    let netfilter = root.below("netfilter");
    let number = |name: &str| netfilter.value(name)?.parse().ok();
    sysctls.conntrack =
        number("nf_conntrack_count").zip(number("nf_conntrack_max")).map(|(count, max)| Fill { count, max });
    sysctls
}

/// One below /proc/sys/net, where there is one. Those of all namespaces bear the same few names below one folder, and the
/// kernel goes through them at each lookup (`proc_sys_compare`): with hundreds of pods a path from the root takes long.
struct Folder(Option<OwnedFd>);

impl Folder {
    fn open(parent: impl AsFd, name: impl Arg) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self(openat(parent, name, flags, Mode::empty()).ok())
    }

    fn below(&self, name: &str) -> Self {
        self.0.as_ref().map_or(Self(None), |parent| Self::open(parent, name))
    }

    fn value(&self, name: &str) -> Option<String> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(|text| text.trim().replace('\t', " "));
        read_contents(self.0.as_ref()?, name, text).ok()?
    }
}

/// As sysctl(8) writes it: with slashes throughout where an interface's name holds a dot.
fn dotted(family: &str, interface: &str, name: &str) -> String {
    let separator = if interface.contains('.') { "/" } else { "." };
    ["net", family, "conf", interface, name].join(separator)
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
    let interfaces: Vec<String> = sysctls.values.keys().filter_map(split).filter(|name| name != "all").collect();
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
