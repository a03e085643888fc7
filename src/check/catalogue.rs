//! All rules there are.

use super::cilium::{agent, drops, endpoint, ipam as agent_ipam, map, node, program, state};
use super::cni::{attachment, network, runtime, several};
use super::rule::Rule;
use super::{
    address, asymmetry, bridge, declared, default_route, dns, firewall, flushed, host_route, ipam, kube, limit, link,
    loops, mtu, neighbour, netns, nsid, offload, overlap, peer, policy_rule, socket, sysctl, uplink,
};

/// By family and number. A new rule is one line here.
pub static RULES: &[&Rule] = &[
    &peer::MISSING,
    &peer::LEADS_NOWHERE,
    &peer::LEFT_OVER_PAIR,
    &link::DOWN,
    &peer::DOWN,
    &link::LOWER_DEVICE_DOWN,
    &mtu::ENDS_DIFFER,
    &mtu::WAY_OUT_SMALLER,
    &mtu::NO_ROOM_FOR_HEADER,
    &mtu::TOO_SMALL_FOR_IPV6,
    &bridge::DUPLICATE_MAC,
    &link::COUNTERS_GROW,
    &bridge::DOWN,
    &bridge::PORT_THOUGH_ROUTED,
    &link::NO_QUEUE_LENGTH,
    &offload::SEGMENTS_TOO_LARGE,
    &link::NO_ARP,
    &mtu::BRIDGE_OF_SEVERAL_MTUS,
    &link::MISSING,
    &offload::SEGMENTS_TOO_SMALL,
    &offload::WAY_OUT_TAKES_LESS,
    &address::NONE,
    &address::TENTATIVE,
    &address::DAD_FAILED,
    &address::DUPLICATE,
    &address::DEPRECATED,
    &address::NO_HOST_ADDRESS,
    &default_route::NONE,
    &neighbour::GATEWAY_OFF_LINK,
    &neighbour::GATEWAY_SILENT,
    &neighbour::GATEWAY_FOREIGN,
    &host_route::MISSING,
    &host_route::ELSEWHERE,
    &host_route::SHADOWED,
    &host_route::REFUSES,
    &host_route::STALE,
    &overlap::OVERLAPPING,
    &policy_rule::NO_LOCAL,
    &policy_rule::TWO_LOCAL,
    &policy_rule::NO_MAIN,
    &policy_rule::PASS_BY,
    &uplink::DEAD_HOPS,
    &uplink::WITHOUT_CARRIER,
    &default_route::REFUSES,
    &loops::OWN_RANGE_LED_AWAY,
    &asymmetry::ANSWERED_ELSEWHERE,
    &asymmetry::LED_ELSEWHERE_FROM_OUTSIDE,
    &overlap::RANGE_OF_ANOTHER,
    &sysctl::FORWARDING_OFF,
    &sysctl::INTERFACE_FORWARDING_OFF,
    &sysctl::IPV6_FORWARDING_OFF,
    &sysctl::REVERSE_PATH,
    &sysctl::IPV6_DISABLED,
    &neighbour::NOBODY_ANSWERS,
    &limit::CONNTRACK_FILLING,
    &limit::CONNTRACK_FULL,
    &limit::NEIGHBOURS_FULL,
    &limit::INOTIFY,
    &limit::OPEN_FILES,
    &sysctl::FORWARDING_WILL_GO,
    &sysctl::ADVERTISEMENTS_IGNORED,
    &limit::INOTIFY_WATCHES,
    &netns::LEAKED_MOUNT,
    &netns::PATH_GONE,
    &netns::HELD_FROM_OUTSIDE,
    &netns::WRONG_NETNS,
    &netns::JOINED_A_DEAD_ONE,
    &netns::SANDBOX_GONE,
    &netns::TWO_SANDBOXES,
    &nsid::LEAKED,
    &attachment::ADDRESS_LOST,
    &attachment::ADDRESS_ADDED,
    &attachment::ROUTE_LOST,
    &attachment::MTU_CHANGED,
    &attachment::MAC_CHANGED,
    &attachment::OTHER_HOST_END,
    &network::VERSION_UNKNOWN,
    &network::NO_VERSION,
    &network::CONFIGURATION_DAMAGED,
    &network::NO_CONFIGURATION,
    &network::PLUGIN_MISSING,
    &network::SHADOWED,
    &network::WRONG_ORDER,
    &several::TWO_DEFAULT_NETWORKS,
    &several::TWO_DEFAULT_ROUTES,
    &several::MULTUS_WITHOUT_DEFAULT,
    &attachment::CACHE_DAMAGED,
    &attachment::STALE_ATTACHMENT,
    &attachment::NOT_ON_RECORD,
    &runtime::NOT_READY,
    &ipam::LEAKED,
    &ipam::NOT_HELD,
    &ipam::HELD_BY_ANOTHER,
    &ipam::HELD_TWICE,
    &ipam::DAMAGED,
    &ipam::OUT_OF_RANGE,
    &ipam::FILLING,
    &ipam::FULL,
    &ipam::STRANGER,
    &agent_ipam::OUTSIDE_RANGES,
    &agent_ipam::HELD_FOR_NOBODY,
    &agent_ipam::NOT_ALLOCATED,
    &overlap::POOLS_OVERLAP,
    &dns::UNREACHABLE,
    &dns::PARTLY_UNREACHABLE,
    &dns::NOBODY_LISTENS,
    &dns::NO_NAMESERVER,
    &dns::TOO_MANY,
    &dns::LONG_SEARCH,
    &socket::NOBODY,
    &socket::LOOPBACK_ONLY,
    &socket::QUEUE_FULL,
    &declared::NOBODY,
    &declared::LOOPBACK_ONLY,
    &firewall::POLICY_DROPS,
    &firewall::RULE_DROPS,
    &firewall::ORPHANED,
    &firewall::BRIDGE_UNFILTERED,
    &firewall::DOCKER_HALF_GONE,
    &flushed::CILIUMS,
    &flushed::DOCKERS,
    &endpoint::INTERFACE_GONE,
    &endpoint::INTERFACE_UNKNOWN,
    &endpoint::UNMANAGED,
    &state::NOT_READY,
    &state::STUCK,
    &state::CONTROLLER_FAILS,
    &state::POLICY_BEHIND,
    &state::NO_LABELS,
    &endpoint::OTHER_INTERFACE,
    &endpoint::OTHER_MAC,
    &endpoint::OTHER_ADDRESS,
    &endpoint::POD_GONE,
    &program::MISSING,
    &program::WRONG_SIDE,
    &program::TWICE,
    &program::FOREIGN,
    &program::TOWARDS_MISSING,
    &map::ENTRY_MISSING,
    &map::ENTRY_DIFFERS,
    &map::ENTRY_STALE,
    &map::OTHER_IDENTITY,
    &map::NO_POLICY_PROGRAM,
    &agent::HEARTBEAT,
    &drops::GROW,
    &agent::QUEUE,
    &agent::SILENT,
    &agent::UNWELL,
    &agent::CONTROLLERS,
    &agent::OTHER_CIDR,
    &agent::NODES_UNREACHABLE,
    &state::PENDING_OPTIONS,
    &agent_ipam::NOT_CILIUMS,
    &node::OTHER_NODE_ADDRESS,
    &node::OTHER_ROUTER,
    &node::ROUTER_MISSING,
    &node::NO_CILIUM_NODE,
    &node::NO_ADDRESSES,
    &node::NO_HEALTH_ENDPOINT,
    &node::HEALTH_UNREACHABLE,
    &node::OTHER_HEALTH_ADDRESS,
    &node::OTHER_KEY,
    &kube::OTHER_ADDRESS,
    &kube::NO_SANDBOX,
    &kube::POD_UNKNOWN,
    &kube::NO_CILIUM_ENDPOINT,
    &kube::CILIUM_ENDPOINT_DIFFERS,
    &kube::NODE_NOT_READY,
    &kube::AGENT_TAINT,
    &kube::HOST_PORT,
    &declared::HOST_PORT_TAKEN,
];

/// The rule of a code, in any case.
pub fn rule_of(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_well_formed_and_each_is_given_once() {
        let mut seen = BTreeSet::new();
        for rule in RULES {
            let parts: Vec<&str> = rule.code.split('-').collect();
            let [prefix, family, number] = parts.as_slice() else { panic!("{}", rule.code) };
            assert!(*prefix == "PN" && family.bytes().all(|byte| byte.is_ascii_uppercase()), "{}", rule.code);
            assert!(number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()), "{}", rule.code);
            assert!(seen.insert(rule.code), "{} twice", rule.code);
        }
    }

    #[test]
    fn every_rule_says_all_there_is_to_say() {
        for rule in RULES {
            for text in [rule.sentence, rule.meaning, rule.origin, rule.confirm, rule.fix] {
                assert!(text.len() > 10, "{}: «{text}»", rule.code);
                assert!(!text.contains("  ") && text.trim() == text, "{}: «{text}»", rule.code);
            }
            assert!(rule.sentence.ends_with('.') && rule.meaning.ends_with('.'), "{}", rule.code);
            assert!(!rule.sentence.contains('\n'), "{}", rule.code);
        }
    }

    /// A chain of reasons must end somewhere.
    #[test]
    fn no_rule_follows_from_itself() {
        for start in RULES {
            let (mut open, mut seen) = (vec![start.code], BTreeSet::new());
            while let Some(code) = open.pop() {
                for deeper in rule_of(code).map(|rule| rule.follows).unwrap_or_default() {
                    assert_ne!(*deeper, start.code, "{} explains itself", start.code);
                    if seen.insert(*deeper) {
                        open.push(deeper);
                    }
                }
            }
        }
    }
}
