//! Which way the kernel would send a packet, by the rules and routes that were read (fib_rules.c, fib_semantics.c): no
//! packet is sent to find out, and it works on what somebody else read.

use std::net::IpAddr;

use super::address::Family;
use super::netns::NetnsState;
use super::route::Route;
use super::rule::Rule;

/// A packet, as far as routing looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    pub to: IpAddr,
    pub from: Option<IpAddr>,
    /// The interface that it came in by; None for one that is sent here.
    pub input: Option<&'a str>,
    pub mark: u32,
}

impl Flow<'_> {
    /// One sent here to an address, by nobody in particular.
    pub fn to(to: IpAddr) -> Self {
        Self { to, from: None, input: None, mark: 0 }
    }
}

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way<'a> {
    /// By a route, which the rule led to. The route may refuse it (blackhole, unreachable, prohibit).
    Route { rule: &'a Rule, route: &'a Route },
    /// A rule refuses it.
    Refused { rule: &'a Rule },
    /// No rule leads to a route: «network is unreachable».
    Nowhere,
}

impl<'a> Way<'a> {
    pub fn route(&self) -> Option<&'a Route> {
        match self {
            Way::Route { route, .. } => Some(route),
            Way::Refused { .. } | Way::Nowhere => None,
        }
    }

    /// The route, unless it leads nowhere.
    pub fn leads(&self) -> Option<&'a Route> {
        self.route().filter(|route| matches!(route.kind.as_str(), "unicast" | "local" | "broadcast" | "multicast"))
    }
}

/// The table of addresses that are the namespace's own (`RT_TABLE_LOCAL`), and the usual one (`RT_TABLE_MAIN`).
pub const LOCAL: u32 = 255;
pub const MAIN: u32 = 254;

/// Looks a packet up.
pub fn way<'a>(state: &'a NetnsState, flow: Flow<'_>) -> Way<'a> {
    let family = Family::of(&flow.to);
    let mut rules: Vec<&Rule> = state.rules.iter().filter(|rule| rule.family == family).collect();
    rules.sort_by_key(|rule| rule.priority);
    let mut from = 0;
    for rule in rules {
        if rule.priority < from || !fits(rule, &flow) {
            continue;
        }
        match (rule.action.as_str(), rule.table) {
            ("table", Some(table)) => {
                let route = best(state, table, flow.to);
                let suppressed = |route: &&Route| {
                    rule.suppress_prefix_length
                        .is_some_and(|length| u32::from(route.destination.prefix_len()) <= length)
                };
                match route.filter(|route| !suppressed(route)) {
                    Some(route) if route.kind == "throw" => {}
                    Some(route) => return Way::Route { rule, route },
                    None => {}
                }
            }
            ("goto", _) => from = rule.goto.unwrap_or(from),
            ("blackhole" | "unreachable" | "prohibit", _) => return Way::Refused { rule },
            _ => {}
        }
    }
    Way::Nowhere
}

fn fits(rule: &Rule, flow: &Flow<'_>) -> bool {
    let within = |net: Option<ipnet::IpNet>, address: Option<IpAddr>| {
        net.is_none_or(|net| net.prefix_len() == 0 || address.is_some_and(|address| net.contains(&address)))
    };
    let marked = rule.mark.is_none_or(|mark| flow.mark & rule.mark_mask.unwrap_or(u32::MAX) == mark);
    let by_input = rule.input_interface.as_deref().is_none_or(|name| flow.input.unwrap_or("lo") == name);
    // Whose socket it is bound to is not known here.
    let plain = rule.output_interface.is_none() && !rule.narrowed;
    let fits = within(rule.from, flow.from) && within(rule.to, Some(flow.to)) && marked && by_input && plain;
    fits != rule.inverted
}

/// The longest prefix, of those alike the lowest metric. A route whose hops are all dead does not count, nor one for a type
/// of service, which a packet here does not have.
pub fn best(state: &NetnsState, table: u32, to: IpAddr) -> Option<&Route> {
    let alive = |route: &Route| {
        route.next_hops.is_empty() || route.next_hops.iter().any(|hop| !hop.flags.iter().any(|flag| flag == "dead"))
    };
    let meant = |route: &Route| route.table == table && route.tos.is_none() && route.destination.contains(&to);
    let fits = state.routes.iter().filter(|route| meant(route) && alive(route));
    fits.min_by_key(|route| (std::cmp::Reverse(route.destination.prefix_len()), route.metric.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::route::NextHop;

    fn route(destination: &str, table: u32, device: &str) -> Route {
        let destination: ipnet::IpNet = destination.parse().unwrap();
        Route {
            family: Family::of(&destination.addr()),
            destination,
            source_prefix: None,
            tos: None,
            kind: "unicast".into(),
            table,
            metric: None,
            protocol: "boot".into(),
            scope: "global".into(),
            preferred_source: None,
            next_hops: vec![NextHop { interface: Some(device.into()), ..NextHop::default() }],
            nexthop_id: None,
            mtu: None,
            advmss: None,
            metrics: BTreeMap::new(),
            preference: None,
            flags: Vec::new(),
        }
    }

    fn rule(priority: u32, table: u32) -> Rule {
        Rule {
            family: Family::Ipv4,
            priority,
            action: "table".into(),
            table: Some(table),
            from: None,
            to: None,
            input_interface: None,
            output_interface: None,
            mark: None,
            mark_mask: None,
            inverted: false,
            goto: None,
            suppress_prefix_length: None,
            selectors: Vec::new(),
            narrowed: false,
        }
    }

    fn device(state: &NetnsState, flow: Flow<'_>) -> Option<String> {
        way(state, flow).leads()?.next_hops.first()?.interface.clone()
    }

    fn usual(routes: Vec<Route>, more: Vec<Rule>) -> NetnsState {
        let rules = [more, vec![rule(0, LOCAL), rule(32766, MAIN)]].concat();
        NetnsState { routes, rules, ..NetnsState::default() }
    }

    #[test]
    fn the_longest_prefix_wins_then_the_lowest_metric() {
        let mut costly = route("10.1.0.0/16", MAIN, "costly");
        costly.metric = Some(100);
        let state =
            usual(vec![route("0.0.0.0/0", MAIN, "up"), costly, route("10.1.0.0/16", MAIN, "cheap")], Vec::new());
        assert_eq!(device(&state, Flow::to([10, 1, 2, 3].into())).as_deref(), Some("cheap"));
        assert_eq!(device(&state, Flow::to([10, 2, 2, 3].into())).as_deref(), Some("up"));
    }

    #[test]
    fn a_route_for_a_type_of_service_is_not_for_every_packet() {
        let urgent = Route { tos: Some(0x10), ..route("10.1.0.0/16", MAIN, "urgent") };
        let state = usual(vec![urgent, route("0.0.0.0/0", MAIN, "up")], Vec::new());
        assert_eq!(device(&state, Flow::to([10, 1, 2, 3].into())).as_deref(), Some("up"));
    }

    #[test]
    fn rules_choose_the_table_in_their_order() {
        let routes = vec![route("0.0.0.0/0", MAIN, "up"), route("0.0.0.0/0", 100, "tunnel")];
        let from_pod = Rule { from: Some("10.9.0.0/24".parse().unwrap()), ..rule(500, 100) };
        let marked = Rule { mark: Some(0x200), mark_mask: Some(0xf00), ..rule(400, 100) };
        let state = usual(routes, vec![from_pod, marked]);
        let flow = Flow::to([1, 1, 1, 1].into());
        assert_eq!(device(&state, flow).as_deref(), Some("up"));
        assert_eq!(device(&state, Flow { from: Some([10, 9, 0, 7].into()), ..flow }).as_deref(), Some("tunnel"));
        assert_eq!(device(&state, Flow { mark: 0x1200, ..flow }).as_deref(), Some("tunnel"));
    }

    #[test]
    fn wireguards_pair_of_rules() {
        // wg-quick: everything but what the main table knows better than by its default route.
        let routes =
            vec![route("0.0.0.0/0", MAIN, "up"), route("10.1.0.0/16", MAIN, "lan"), route("0.0.0.0/0", 51820, "wg0")];
        let main = Rule { suppress_prefix_length: Some(0), ..rule(100, MAIN) };
        let not_marked = Rule { mark: Some(51820), inverted: true, ..rule(200, 51820) };
        let state = usual(routes, vec![main, not_marked]);
        assert_eq!(device(&state, Flow::to([1, 1, 1, 1].into())).as_deref(), Some("wg0"));
        assert_eq!(device(&state, Flow::to([10, 1, 1, 1].into())).as_deref(), Some("lan"));
        let own = Flow { mark: 51820, ..Flow::to([1, 1, 1, 1].into()) };
        assert_eq!(device(&state, own).as_deref(), Some("up"));
    }

    #[test]
    fn refusals_and_dead_ends() {
        let mut blackhole = route("10.1.0.0/16", MAIN, "");
        (blackhole.kind, blackhole.next_hops) = ("blackhole".into(), Vec::new());
        let mut dead = route("10.2.0.0/16", MAIN, "dead");
        dead.next_hops[0].flags = vec!["dead".into()];
        let state = usual(vec![blackhole, dead], Vec::new());
        let refused = way(&state, Flow::to([10, 1, 1, 1].into()));
        assert!(refused.leads().is_none() && refused.route().is_some());
        assert_eq!(way(&state, Flow::to([10, 2, 1, 1].into())), Way::Nowhere);
        let refusing = Rule { action: "prohibit".into(), table: None, ..rule(1, 0) };
        let state = usual(Vec::new(), vec![refusing]);
        assert!(matches!(way(&state, Flow::to([1, 1, 1, 1].into())), Way::Refused { .. }));
    }
}
