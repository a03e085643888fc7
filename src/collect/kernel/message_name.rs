//! What the kernel's headers call a netlink message.

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE, NETLINK_SOCK_DIAG};

/// The groups of four that rtnetlink has, from 16 on (`linux/rtnetlink.h`).
const NOUNS: [&str; 23] = [
    "LINK",
    "ADDR",
    "ROUTE",
    "NEIGH",
    "RULE",
    "QDISC",
    "TCLASS",
    "TFILTER",
    "ACTION",
    "PREFIX",
    "MULTICAST",
    "ANYCAST",
    "NEIGHTBL",
    "NDUSEROPT",
    "ADDRLABEL",
    "DCB",
    "NETCONF",
    "MDB",
    "NSID",
    "STATS",
    "CACHEREPORT",
    "CHAIN",
    "NEXTHOP",
];
const VERBS: [&str; 4] = ["NEW", "DEL", "GET", "SET"];
const FIRST: u16 = 16;

/// `RTM_GETLINK`; a number where it has no name here.
pub fn message_name(protocol: isize, kind: u16) -> String {
    let number = || format!("message {kind} of protocol {protocol}");
    match protocol {
        NETLINK_ROUTE => {
            let place = usize::from(kind.saturating_sub(FIRST));
            let noun = NOUNS.get(place / VERBS.len()).filter(|_| kind >= FIRST);
            let verb = VERBS.get(place % VERBS.len());
            noun.zip(verb).map_or_else(number, |(noun, verb)| format!("RTM_{verb}{noun}"))
        }
        NETLINK_SOCK_DIAG if kind == 20 => "SOCK_DIAG_BY_FAMILY".to_owned(),
        NETLINK_NETFILTER => format!("NFNL subsystem {}, message {}", kind >> 8, kind & 0xff),
        _ => number(),
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::link::LinkMessage;
    use netlink_packet_route::nsid::NsidMessage;
    use netlink_packet_route::route::RouteMessage;

    use super::*;

    #[test]
    fn names_are_those_of_the_headers() {
        for (message, name) in [
            (RouteNetlinkMessage::GetLink(LinkMessage::default()), "RTM_GETLINK"),
            (RouteNetlinkMessage::NewRoute(RouteMessage::default()), "RTM_NEWROUTE"),
            (RouteNetlinkMessage::GetNsId(NsidMessage::default()), "RTM_GETNSID"),
        ] {
            assert_eq!(message_name(NETLINK_ROUTE, message.message_type()), name);
        }
        assert_eq!(message_name(NETLINK_ROUTE, 106), "RTM_GETNEXTHOP");
        assert_eq!(message_name(NETLINK_SOCK_DIAG, 20), "SOCK_DIAG_BY_FAMILY");
        assert_eq!(message_name(NETLINK_ROUTE, 3), "message 3 of protocol 0");
    }
}
