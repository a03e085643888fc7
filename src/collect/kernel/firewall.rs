//! The packet filter: nf_tables over netlink (linux/netfilter/nf_tables.h), which is also where iptables-nft keeps its
//! rules. What a rule can hold is without end; what is decoded here is what says whose packets it means and what
//! becomes of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::NetlinkSerializable;
use nix::libc;

use super::bytes::{attributes, text};
use super::netlink::Netlink;
use super::problem;
use crate::model::firewall::{Chain, ChainHook, FilterRule, Firewall, Match};

/// `NFNL_SUBSYS_NFTABLES`, in the upper byte of a message's type.
const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;
const GET_CHAIN: u16 = SUBSYSTEM | libc::NFT_MSG_GETCHAIN as u16;
const GET_RULE: u16 = SUBSYSTEM | libc::NFT_MSG_GETRULE as u16;
/// `struct nfgenmsg`: family (1), version (1), resource id (2).
const HEADER: usize = 4;
/// Rules that are kept of one chain; a kube-proxy writes tens of thousands, which all say the same.
const MOST_RULES: usize = 512;

/// `NFTA_*`, by the thing that they describe.
mod attribute {
    pub const CHAIN_TABLE: u16 = 1;
    pub const CHAIN_NAME: u16 = 3;
    pub const CHAIN_HOOK: u16 = 4;
    pub const CHAIN_POLICY: u16 = 5;
    pub const CHAIN_TYPE: u16 = 7;
    pub const HOOK_NUMBER: u16 = 1;
    pub const HOOK_PRIORITY: u16 = 2;
    pub const RULE_TABLE: u16 = 1;
    pub const RULE_CHAIN: u16 = 2;
    pub const RULE_EXPRESSIONS: u16 = 4;
    pub const EXPRESSION_NAME: u16 = 1;
    pub const EXPRESSION_DATA: u16 = 2;
    pub const META_KEY: u16 = 2;
    pub const PAYLOAD_BASE: u16 = 2;
    pub const PAYLOAD_OFFSET: u16 = 3;
    pub const PAYLOAD_LENGTH: u16 = 4;
    pub const BITWISE_MASK: u16 = 4;
    pub const CMP_OPERATOR: u16 = 2;
    pub const CMP_DATA: u16 = 3;
    pub const IMMEDIATE_DATA: u16 = 2;
    pub const DATA_VALUE: u16 = 1;
    pub const DATA_VERDICT: u16 = 2;
    pub const VERDICT_CODE: u16 = 1;
    pub const VERDICT_CHAIN: u16 = 2;
    pub const COUNTER_PACKETS: u16 = 2;
    pub const CT_KEY: u16 = 2;
    /// Of the extensions that iptables brings along (`match`, `target`).
    pub const EXTENSION_NAME: u16 = 1;
    pub const EXTENSION_INFO: u16 = 3;
}
use attribute as a;

/// The packet filter of the calling thread's netns; None where the kernel has none.
pub fn read(problems: &mut Vec<String>) -> Option<Firewall> {
    let legacy_tables = fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    let legacy_tables = legacy_tables.lines().map(str::to_owned).collect();
    let mut netlink = match Netlink::open(libc::NETLINK_NETFILTER as isize) {
        Ok(netlink) => netlink,
        Err(error) if error.errno() == Some(libc::EPROTONOSUPPORT) => return None,
        Err(error) => {
            problems.push(format!("firewall: {}", problem::chain(&error)));
            return None;
        }
    };
    // The subsystem is a module that may not be loaded: then nobody filters with it.
    let chains = netlink.dump_with(Question(GET_CHAIN), |frame| chain(frame.payload));
    if chains.as_ref().is_err_and(|error| matches!(error.errno(), Some(libc::EINVAL | libc::EOPNOTSUPP))) {
        return Some(Firewall { chains: Vec::new(), legacy_tables });
    }
    let mut chains = problem::told(problems, "firewall", chains);
    if !chains.is_empty() {
        let rules = netlink.dump_with(Question(GET_RULE), |frame| rule(frame.payload));
        give(&mut chains, problem::told(problems, "firewall", rules));
    }
    Some(Firewall { chains, legacy_tables })
}

/// A dump of one kind of object, of all families.
#[derive(Clone)]
struct Question(u16);

impl NetlinkSerializable for Question {
    fn message_type(&self) -> u16 {
        self.0
    }

    fn buffer_len(&self) -> usize {
        HEADER
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// A rule, and the family, table and chain that it stands in.
struct Placed {
    place: (String, String, String),
    rule: FilterRule,
}

/// Gives each chain its rules, and leaves out those of chains that no filtering leads to.
fn give(chains: &mut [Chain], rules: Vec<Placed>) {
    let place = |chain: &Chain| (chain.family.clone(), chain.table.clone(), chain.name.clone());
    let at: BTreeMap<_, usize> = chains.iter().enumerate().map(|(at, chain)| (place(chain), at)).collect();
    for Placed { place, rule } in rules {
        let Some(chain) = at.get(&place).and_then(|at| chains.get_mut(*at)) else { continue };
        chain.rule_count += 1;
        let target = rule.verdict.as_deref().and_then(|verdict| {
            verdict.strip_prefix("jump ").or_else(|| verdict.strip_prefix("goto ")).map(str::to_owned)
        });
        chain.jumps.extend(target.filter(|target| !chain.jumps.contains(target)));
        if chain.rules.len() < MOST_RULES {
            chain.rules.push(rule);
        }
    }
    let mut filtering: Vec<usize> = Vec::new();
    let bases = chains.iter().enumerate().filter(|(_, chain)| chain.hook.as_ref().is_some_and(filters));
    let mut open: Vec<usize> = bases.map(|(at, _)| at).collect();
    while let Some(next) = open.pop() {
        let Some(chain) = chains.get(next).filter(|_| !filtering.contains(&next)) else { continue };
        filtering.push(next);
        let target = |name: &String| at.get(&(chain.family.clone(), chain.table.clone(), name.clone())).copied();
        open.extend(chain.jumps.iter().filter_map(target));
    }
    for (at, chain) in chains.iter_mut().enumerate() {
        if !filtering.contains(&at) {
            chain.rules.clear();
        }
    }
}

fn filters(hook: &ChainHook) -> bool {
    hook.kind == "filter"
}

fn chain(payload: &[u8]) -> Option<Chain> {
    let family = *payload.first()?;
    let mut chain = Chain { family: family_name(family), ..Chain::default() };
    let (mut hook, mut policy, mut kind) = (None, None, None);
    for (attribute, value) in attributes(payload.get(HEADER..)?) {
        match attribute {
            a::CHAIN_TABLE => chain.table = text(value),
            a::CHAIN_NAME => chain.name = text(value),
            a::CHAIN_HOOK => hook = hook_of(family, value),
            a::CHAIN_POLICY => policy = be32(value),
            a::CHAIN_TYPE => kind = Some(text(value)),
            _ => {}
        }
    }
    chain.hook = hook.map(|(name, priority)| ChainHook {
        name,
        priority,
        kind: kind.unwrap_or_default(),
        policy: if policy == Some(0) { "drop" } else { "accept" }.to_owned(),
    });
    Some(chain)
}

fn hook_of(family: u8, value: &[u8]) -> Option<(String, i32)> {
    let find = |wanted| attributes(value).find(|(kind, _)| *kind == wanted).and_then(|(_, value)| be32(value));
    let number = find(a::HOOK_NUMBER)?;
    let ip = ["prerouting", "input", "forward", "output", "postrouting", "ingress"];
    let arp = ["input", "output", "forward"];
    let device = ["ingress", "egress"];
    let names: &[&str] = match i32::from(family) {
        libc::NFPROTO_ARP => &arp,
        libc::NFPROTO_NETDEV => &device,
        _ => &ip,
    };
    let name = names.get(number as usize).map_or_else(|| number.to_string(), |name| (*name).to_owned());
    Some((name, find(a::HOOK_PRIORITY).unwrap_or_default().cast_signed()))
}

fn family_name(family: u8) -> String {
    match i32::from(family) {
        libc::NFPROTO_INET => "inet".to_owned(),
        libc::NFPROTO_IPV4 => "ip".to_owned(),
        libc::NFPROTO_ARP => "arp".to_owned(),
        libc::NFPROTO_NETDEV => "netdev".to_owned(),
        libc::NFPROTO_BRIDGE => "bridge".to_owned(),
        libc::NFPROTO_IPV6 => "ip6".to_owned(),
        other => other.to_string(),
    }
}

fn rule(payload: &[u8]) -> Option<Placed> {
    let family = family_name(*payload.first()?);
    let (mut table, mut chain, mut rule) = (String::new(), String::new(), FilterRule::default());
    for (attribute, value) in attributes(payload.get(HEADER..)?) {
        match attribute {
            a::RULE_TABLE => table = text(value),
            a::RULE_CHAIN => chain = text(value),
            a::RULE_EXPRESSIONS => rule = expressions(value),
            _ => {}
        }
    }
    Some(Placed { place: (family, table, chain), rule })
}

/// What a register holds, as far as it is followed: one comparison at a time, as nft and iptables write them.
#[derive(Clone, Default)]
struct Loaded {
    what: String,
    mask: Option<Vec<u8>>,
}

fn expressions(list: &[u8]) -> FilterRule {
    let mut rule = FilterRule::default();
    let mut loaded: Option<Loaded> = None;
    for (_, element) in attributes(list) {
        let part = |wanted| attributes(element).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let name = part(a::EXPRESSION_NAME).map(text).unwrap_or_default();
        let data = part(a::EXPRESSION_DATA).unwrap_or_default();
        let field = |wanted| attributes(data).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        match name.as_str() {
            "meta" => loaded = Some(meta(field(a::META_KEY).and_then(be32))),
            "payload" => {
                let number = |wanted| field(wanted).and_then(be32).unwrap_or_default();
                let (base, offset, length) =
                    (number(a::PAYLOAD_BASE), number(a::PAYLOAD_OFFSET), number(a::PAYLOAD_LENGTH));
                loaded = Some(payload_field(base, offset, length));
            }
            "bitwise" => {
                let mask = field(a::BITWISE_MASK).and_then(value_of);
                if let Some(loaded) = &mut loaded {
                    loaded.mask = mask.map(<[u8]>::to_vec);
                }
            }
            "cmp" => {
                let value = field(a::CMP_DATA).and_then(value_of).unwrap_or_default();
                let operator = field(a::CMP_OPERATOR).and_then(be32).unwrap_or_default();
                rule.matches.push(compared(loaded.take().unwrap_or_default(), operator, value));
            }
            "immediate" => {
                rule.verdict = field(a::IMMEDIATE_DATA).and_then(verdict).or(rule.verdict.take());
            }
            "counter" => rule.packets = field(a::COUNTER_PACKETS).and_then(be64),
            // 0 is NFT_CT_STATE.
            "ct" if field(a::CT_KEY).and_then(be32) == Some(0) => {
                loaded = Some(Loaded { what: "ctstate".to_owned(), mask: None });
            }
            "match" => {
                let name = field(a::EXTENSION_NAME).map(text).unwrap_or_default();
                rule.matches.extend(extension(&name, field(a::EXTENSION_INFO).unwrap_or_default()));
            }
            "target" => rule.verdict = field(a::EXTENSION_NAME).map(text),
            "reject" | "masq" | "nat" | "redir" | "queue" | "tproxy" | "fwd" => rule.verdict = Some(name),
            // They mark, write or count, and decide nothing.
            "log" | "notrack" | "objref" | "dup" | "last" => {}
            // `ct`, `fib`, `lookup`, `limit`, `range` and whatever comes: a condition of which no more is known.
            other => {
                loaded = None;
                rule.matches.push(undecoded(other));
            }
        }
    }
    rule
}

/// A condition that iptables brings along. A comment is none.
fn extension(name: &str, info: &[u8]) -> Option<Match> {
    match name {
        "comment" => None,
        "conntrack" => Some(conntrack(info).unwrap_or_else(|| undecoded(name))),
        other => Some(undecoded(other)),
    }
}

/// `struct xt_conntrack_mtinfo2` and 3: behind addresses, times and ports stand what is compared, what of that is
/// negated, and the states.
fn conntrack(info: &[u8]) -> Option<Match> {
    const COMPARES_STATE: u16 = 1;
    let at = |place: usize| info.get(place..place + 2)?.try_into().ok().map(u16::from_ne_bytes);
    let (compared, negated, states) = (at(146)?, at(148)?, at(150)?);
    let only_state = compared == COMPARES_STATE;
    let value = states_in(u32::from(states));
    only_state.then(|| Match { what: "ctstate".to_owned(), value, negated: negated & COMPARES_STATE != 0 })
}

/// `NF_CT_STATE_BIT`, the same in nf_tables and in iptables.
fn states_in(bits: u32) -> String {
    const STATES: [(u32, &str); 5] =
        [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
    let words: Vec<&str> = STATES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| *word).collect();
    words.join(",")
}

fn undecoded(what: &str) -> Match {
    Match { what: what.to_owned(), value: String::new(), negated: false }
}

/// `enum nft_meta_keys`.
fn meta(key: Option<u32>) -> Loaded {
    let what = match key {
        Some(3) => "mark",
        Some(6) => "iifname",
        Some(7) => "oifname",
        Some(15) => "family",
        Some(16) => "protocol",
        _ => "meta",
    };
    Loaded { what: what.to_owned(), mask: None }
}

/// Addresses stand at 12 and 16 of an IPv4 header, at 8 and 24 of an IPv6 one.
fn payload_field(base: u32, offset: u32, length: u32) -> Loaded {
    const NETWORK_HEADER: u32 = 1;
    let what = match (base, offset, length) {
        (NETWORK_HEADER, 12, 1..=4) | (NETWORK_HEADER, 8, 5..=16) => "saddr",
        (NETWORK_HEADER, 16, 1..=4) | (NETWORK_HEADER, 24, 1..=16) => "daddr",
        _ => "payload",
    };
    Loaded { what: what.to_owned(), mask: None }
}

fn compared(loaded: Loaded, operator: u32, value: &[u8]) -> Match {
    const EQUAL: u32 = 0;
    const UNEQUAL: u32 = 1;
    // «State and mask is not 0»: one of those in the mask.
    if let ("ctstate", Some(mask), UNEQUAL) = (loaded.what.as_str(), &loaded.mask, operator) {
        let bits = mask.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
        return Match { what: loaded.what, value: states_in(bits), negated: false };
    }
    if operator > UNEQUAL {
        return undecoded(&loaded.what);
    }
    let text = match loaded.what.as_str() {
        "iifname" | "oifname" => device(value),
        "saddr" | "daddr" => prefix(value, loaded.mask.as_deref()),
        _ => None,
    };
    // A value that was not decoded could be anything: which way it is compared says nothing then.
    let negated = operator != EQUAL && text.is_some();
    Match { what: loaded.what, value: text.unwrap_or_default(), negated }
}

/// A name compared whole has its NUL; one without is a beginning.
fn device(value: &[u8]) -> Option<String> {
    let name = text(value);
    let whole = value.contains(&0);
    Some(if whole { name } else { format!("{name}*") })
}

/// A prefix that ends at a byte is compared short, another one behind a mask.
fn prefix(value: &[u8], mask: Option<&[u8]>) -> Option<String> {
    let size = if value.len() <= 4 { 4 } else { 16 };
    let mut bytes = value.to_vec();
    bytes.resize(size, 0);
    let address = <[u8; 4]>::try_from(bytes.as_slice())
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from))
        .ok()?;
    let length = match mask {
        Some(mask) => mask.iter().map(|byte| byte.leading_ones()).sum::<u32>(),
        None => u32::try_from(value.len()).ok()?.checked_mul(8)?,
    };
    IpNet::new(address, u8::try_from(length).ok()?).ok().map(|net| net.to_string())
}

fn value_of(data: &[u8]) -> Option<&[u8]> {
    attributes(data).find(|(kind, _)| *kind == a::DATA_VALUE).map(|(_, value)| value)
}

/// None for data that is loaded for something else.
fn verdict(data: &[u8]) -> Option<String> {
    let (_, verdict) = attributes(data).find(|(kind, _)| *kind == a::DATA_VERDICT)?;
    let field = |wanted| attributes(verdict).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let chain = || field(a::VERDICT_CHAIN).map(text).unwrap_or_default();
    let code = field(a::VERDICT_CODE).and_then(be32)?.cast_signed();
    Some(match code {
        0 => "drop".to_owned(),
        1 => "accept".to_owned(),
        3 => "queue".to_owned(),
        -3 => format!("jump {}", chain()),
        -4 => format!("goto {}", chain()),
        -5 => "return".to_owned(),
        _ => return None, // continue, break
    })
}

fn be32(value: &[u8]) -> Option<u32> {
    value.get(..4)?.try_into().ok().map(u32::from_be_bytes)
}

fn be64(value: &[u8]) -> Option<u64> {
    value.get(..8)?.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::netns::Handle;

    fn in_new_netns<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
        let enter = || nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).ok().and_then(|()| Handle::own().ok());
        let netns = std::thread::scope(|scope| scope.spawn(enter).join().unwrap());
        if netns.is_none() {
            assert!(std::env::var_os("PODNET_TESTS_REQUIRE_ALL").is_none(), "no namespace could be made");
            eprintln!("skipped: no namespace could be made (needs root)");
        }
        netns.map(|netns| netns.run(work).unwrap())
    }

    fn run(program: &str, args: &[&str]) {
        let output = Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn chain<'a>(firewall: &'a Firewall, name: &str) -> &'a Chain {
        firewall.chains.iter().find(|chain| chain.name == name).unwrap_or_else(|| panic!("{name} in {firewall:#?}"))
    }

    fn shown(rule: &FilterRule) -> String {
        let not = |negated| if negated { "!" } else { "" };
        let matches: Vec<String> =
            rule.matches.iter().map(|each| format!("{}{} {}", not(each.negated), each.what, each.value)).collect();
        format!("{} → {}", matches.join(", "), rule.verdict.as_deref().unwrap_or("–"))
    }

    #[test]
    fn what_nft_writes() {
        let ruleset = "table inet t { chain f { type filter hook forward priority 10; policy drop;
            iifname \"eth0\" oifname != \"lxc*\" accept
            ip saddr 10.0.0.0/8 ip daddr 10.1.2.3 drop
            ip6 saddr fd00::/20 jump c
            ct state established accept
            counter packets 7 bytes 9; }
            chain c { tcp dport 80 return; }
            chain n { type nat hook postrouting priority 100; masquerade; }; }";
        let Some((firewall, problems)) = in_new_netns(|| {
            run("nft", &[ruleset]);
            let mut problems = Vec::new();
            (read(&mut problems).unwrap(), problems)
        }) else {
            return;
        };
        assert_eq!(problems, Vec::<String>::new());
        let forward = chain(&firewall, "f");
        let hook = forward.hook.as_ref().unwrap();
        assert_eq!((hook.name.as_str(), hook.priority, hook.policy.as_str()), ("forward", 10, "drop"));
        let rules: Vec<String> = forward.rules.iter().map(shown).collect();
        assert_eq!(rules[0], "iifname eth0, !oifname lxc* → accept");
        assert!(rules[1].ends_with("saddr 10.0.0.0/8, daddr 10.1.2.3/32 → drop"), "{rules:#?}");
        assert!(rules[2].ends_with("saddr fd00::/20 → jump c"), "{rules:#?}");
        assert_eq!(rules[3], "ctstate established → accept");
        assert_eq!((rules[4].as_str(), forward.rules[4].packets), (" → –", Some(7)));
        assert_eq!(forward.jumps, ["c"]);
        assert_eq!(chain(&firewall, "c").rules.len(), 1, "filtering leads there");
        let nat = chain(&firewall, "n");
        assert_eq!((nat.rule_count, nat.rules.len()), (1, 0), "it filters nothing");
    }

    #[test]
    fn what_iptables_writes() {
        let Some(firewall) = in_new_netns(|| {
            run("iptables", &["-P", "FORWARD", "DROP"]);
            run("iptables", &["-N", "DOCKER-USER"]);
            run("iptables", &["-A", "FORWARD", "-j", "DOCKER-USER"]);
            run("iptables", &["-A", "FORWARD", "-i", "docker0", "!", "-o", "docker0", "-j", "ACCEPT"]);
            run(
                "iptables",
                &[
                    "-A",
                    "FORWARD",
                    "-m",
                    "conntrack",
                    "--ctstate",
                    "RELATED,ESTABLISHED",
                    "-m",
                    "comment",
                    "--comment",
                    "x",
                    "-j",
                    "ACCEPT",
                ],
            );
            run("iptables", &["-A", "FORWARD", "-o", "cali+", "-m", "mark", "--mark", "1", "-j", "ACCEPT"]);
            read(&mut Vec::new()).unwrap()
        }) else {
            return;
        };
        let forward = chain(&firewall, "FORWARD");
        assert_eq!(forward.hook.as_ref().unwrap().policy, "drop");
        let rules: Vec<String> = forward.rules.iter().map(shown).collect();
        assert_eq!(rules[0], " → jump DOCKER-USER");
        assert_eq!(rules[1], "iifname docker0, !oifname docker0 → accept");
        assert_eq!(rules[2], "ctstate established,related → accept");
        assert!(rules[3].starts_with("oifname cali*, ") && rules[3].ends_with("mark  → accept"), "{rules:#?}");
        assert_eq!(firewall.legacy_tables, Vec::<String>::new());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            super::chain(&bytes);
            rule(&bytes);
            expressions(&bytes);
        }
    }
}
