//! The expressions that a rule of nf_tables is made of. What they can hold is without end; what is decoded here is what
//! says whose packets the rule means and what becomes of them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::bytes::{attributes, be32, be64, text, words};
use crate::model::firewall::{FilterRule, Match};

/// `NFTA_*`, by the thing that they describe.
mod attribute {
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

/// What a register holds, as far as it is followed: one comparison at a time, as nft and iptables write them.
#[derive(Clone, Default)]
struct Loaded {
    what: String,
    mask: Option<Vec<u8>>,
}

pub(super) fn expressions(list: &[u8]) -> FilterRule {
    let mut rule = FilterRule::default();
    let mut loaded: Option<Loaded> = None;
    for (_, element) in attributes(list) {
        let part = |wanted| attributes(element).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let name = part(a::EXPRESSION_NAME).map(words).unwrap_or_default();
        let data = part(a::EXPRESSION_DATA).unwrap_or_default();
        let field = |wanted| attributes(data).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        match &*name {
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
                let name = field(a::EXTENSION_NAME).map(words).unwrap_or_default();
                rule.matches.extend(extension(&name, field(a::EXTENSION_INFO).unwrap_or_default()));
            }
            "target" => rule.verdict = field(a::EXTENSION_NAME).map(text),
            "reject" | "masq" | "nat" | "redir" | "queue" | "tproxy" | "fwd" => rule.verdict = Some(name.into_owned()),
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
