//! Policy routing rules: `RTM_GETRULE`.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::Netlink;
use super::problem;
use crate::model::address::Family;
use crate::model::rule::Rule;

/// Every rule of the socket's netns, in the order in which the kernel tries them.
pub fn read(netlink: &mut Netlink, problems: &mut Vec<String>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut question = RuleMessage::default();
        question.header.family = family;
        let messages = problem::dump(netlink, problems, "rules", RouteNetlinkMessage::GetRule(question));
        rules.extend(messages.iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRule(rule) => convert(rule),
            _ => None,
        }));
    }
    rules
}

fn convert(message: &RuleMessage) -> Option<Rule> {
    let header = &message.header;
    let any = match header.family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut rule = Rule {
        family: Family::of(&any),
        priority: 0, // the attribute is left out when 0
        action: action(header.action),
        table: (header.action == RuleAction::ToTable).then_some(u32::from(header.table)),
        from: None,
        to: None,
        input_interface: None,
        output_interface: None,
        mark: None,
        mark_mask: None,
        inverted: header.flags.contains(RuleFlags::Invert),
        goto: None,
        suppress_prefix_length: None,
        selectors: (header.tos != 0).then(|| format!("tos {:#x}", header.tos)).into_iter().collect(),
        narrowed: false,
    };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) if rule.table.is_some() => rule.table = Some(*table),
            RuleAttribute::Source(address) => rule.from = IpNet::new(*address, header.src_len).ok(),
            RuleAttribute::Destination(address) => rule.to = IpNet::new(*address, header.dst_len).ok(),
            RuleAttribute::Iifname(name) => rule.input_interface = Some(name.clone()),
            RuleAttribute::Oifname(name) => rule.output_interface = Some(name.clone()),
            RuleAttribute::FwMark(mark) => rule.mark = Some(*mark),
            RuleAttribute::FwMask(mask) => rule.mark_mask = Some(*mask),
            RuleAttribute::Goto(priority) => rule.goto = Some(*priority),
            // The kernel writes -1 for «none».
            RuleAttribute::SuppressPrefixLen(length) => {
                rule.suppress_prefix_length = Some(*length).filter(|length| *length <= 128);
            }
            RuleAttribute::L3MDev(true) => rule.selectors.push("l3mdev".to_owned()),
            RuleAttribute::UidRange(users) => rule.selectors.push(range("uidrange", users.start, users.end)),
            RuleAttribute::IpProtocol(protocol) => {
                rule.selectors.push(format!("ipproto {}", format!("{protocol:?}").to_lowercase()));
            }
            RuleAttribute::SourcePortRange(ports) => rule.selectors.push(range("sport", ports.start, ports.end)),
            RuleAttribute::DestinationPortRange(ports) => rule.selectors.push(range("dport", ports.start, ports.end)),
            RuleAttribute::TunId(id) if *id != 0 => rule.selectors.push(format!("tun_id {id}")),
            _ => {}
        }
    }
    rule.narrowed = !rule.selectors.is_empty();
    Some(rule)
}

fn range<T: Display + PartialEq>(name: &str, start: T, end: T) -> String {
    if start == end { format!("{name} {start}") } else { format!("{name} {start}-{end}") }
}

fn action(action: RuleAction) -> String {
    match action {
        RuleAction::ToTable => "table".to_owned(),
        RuleAction::Other(number) => number.to_string(),
        named => format!("{named:?}").to_lowercase(),
    }
}
