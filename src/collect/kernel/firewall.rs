//! The packet filter: nf_tables over netlink (linux/netfilter/nf_tables.h), which is also where iptables-nft keeps its
//! rules. What a rule says is in `expression`.

use std::collections::BTreeMap;
use std::fs;

use netlink_packet_core::NetlinkSerializable;
use nix::libc;

use super::bytes::{attributes, be32, text};
use super::expression::expressions;
use super::netlink::Netlink;
use super::problem;
use crate::model::firewall::{Chain, ChainHook, FilterRule, Firewall};

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
