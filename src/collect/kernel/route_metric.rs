//! What a route prescribes to the connections by it (`RTA_METRICS`), in the words and units of `ip route`.

use netlink_packet_route::route::RouteMetric;

/// By `RTAX_*` (linux/rtnetlink.h): the bits of `RTAX_LOCK`.
const NAMES: [&str; 18] = [
    "unspec",
    "lock",
    "mtu",
    "window",
    "rtt",
    "rttvar",
    "ssthresh",
    "cwnd",
    "advmss",
    "reordering",
    "hoplimit",
    "initcwnd",
    "features",
    "rto_min",
    "initrwnd",
    "quickack",
    "congctl",
    "fastopen_no_cookie",
];
/// `RTAX_FEATURE_*`.
const FEATURES: [&str; 5] = ["ecn", "sack", "timestamp", "allfrag", "tcp_usec_ts"];

/// Its name and value.
pub fn read(metric: &RouteMetric) -> Option<(String, String)> {
    let (name, value) = match metric {
        RouteMetric::Lock(bits) => ("lock", words(*bits, &NAMES)),
        RouteMetric::Window(bytes) => ("window", bytes.to_string()),
        RouteMetric::Rtt(eighths) => ("rtt", format!("{}ms", eighths / 8)),
        RouteMetric::RttVar(quarters) => ("rttvar", format!("{}ms", quarters / 4)),
        RouteMetric::SsThresh(segments) => ("ssthresh", segments.to_string()),
        RouteMetric::Cwnd(segments) => ("cwnd", segments.to_string()),
        RouteMetric::Reordering(segments) => ("reordering", segments.to_string()),
        RouteMetric::Hoplimit(hops) => ("hoplimit", hops.to_string()),
        RouteMetric::InitCwnd(segments) => ("initcwnd", segments.to_string()),
        RouteMetric::Features(bits) => ("features", words(*bits, &FEATURES)),
        RouteMetric::RtoMin(milliseconds) => ("rto_min", format!("{milliseconds}ms")),
        RouteMetric::InitRwnd(segments) => ("initrwnd", segments.to_string()),
        RouteMetric::QuickAck(on) => ("quickack", on.to_string()),
        RouteMetric::CcAlgo(name) => ("congctl", name.clone()),
        RouteMetric::FastopenNoCookie(on) => ("fastopen_no_cookie", on.to_string()),
        _ => return None,
    };
    Some((name.to_owned(), value))
}

/// The names of the bits that are set, or the number where one has none.
fn words(bits: u32, names: &[&str]) -> String {
    if bits >> names.len() != 0 {
        return format!("{bits:#x}");
    }
    let set = names.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}
