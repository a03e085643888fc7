//! A snapshot may come from anybody: whatever is in it, nothing panics, and no control character reaches a terminal.

use std::path::Path;

use podnet::check::choice::Choice;
use podnet::check::{CheckReport, Facts, check};
use podnet::model::node::Node;
use podnet::model::snapshot::Snapshot;
use podnet::show::{Format, Page, Show, write};
use podnet::target::{Target, resolve};
use podnet::view;
use podnet::{snapshot, view::inspection::inspection};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// One that a nested node with a broken pair left; later versions must read it as well.
pub const RECORDED: &str = include_str!("../data/snapshot/node.json");

/// Where every value of the document is.
pub fn places(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            self::places(value, format!("{place}/{}", key.replace('~', "~0").replace('/', "~1")), places);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| self::places(value, format!("{place}/{at}"), places));
        }
        _ => {}
    }
    places.push(place);
}

#[derive(Clone, Debug)]
pub enum Change {
    /// Another value that fits the type, mostly.
    Spoil(Index),
    Remove,
    /// Twice in its list, or that list many times as long.
    Repeat(u8),
    /// What stands somewhere else.
    Copy(Index),
}

pub fn change() -> impl Strategy<Value = (Index, Change)> {
    let change = prop_oneof![
        8 => any::<Index>().prop_map(Change::Spoil),
        1 => Just(Change::Remove),
        1 => any::<u8>().prop_map(Change::Repeat),
        2 => any::<Index>().prop_map(Change::Copy),
    ];
    (any::<Index>(), change)
}

fn spoilt(value: &Value, pick: Index) -> Value {
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}\r\u{7}\u{0}";
    let text = |text: &str| match text {
        ip if ip.parse::<std::net::IpAddr>().is_ok() => {
            vec![
                json!("0.0.0.0"),
                json!("255.255.255.255"),
                json!("::"),
                json!("fe80::1"),
                json!("::ffff:1.2.3.4"),
                json!("127.0.0.1"),
            ]
        }
        net if net.parse::<ipnet::IpNet>().is_ok() => {
            vec![
                json!("0.0.0.0/0"),
                json!("::/0"),
                json!("10.0.0.1/32"),
                json!("255.255.255.255/31"),
                json!("ff02::1/128"),
            ]
        }
        time if time.parse::<jiff::Timestamp>().is_ok() => {
            vec![json!("9999-12-30T22:00:00Z"), json!("-009999-01-02T01:59:59Z"), json!("1970-01-01T00:00:00Z")]
        }
        text => vec![
            json!(""),
            json!(evil),
            json!("x".repeat(5_000)),
            json!(format!("{text}{evil}")),
            json!("/"),
            json!("18446744073709551616"),
            json!("-1"),
            json!("host"),
            json!("😀".repeat(40)),
        ],
    };
    let choices = match value {
        Value::Null => vec![json!(0), json!("")],
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(_) => vec![
            json!(0),
            json!(1),
            json!(2),
            json!(u32::MAX),
            json!(u32::MAX - 1),
            json!(u64::MAX),
            json!(i64::MAX),
            json!(i32::MIN),
            json!(i32::MAX),
            json!(255),
            json!(65_535),
        ],
        Value::String(own) => text(own),
        Value::Array(_) => vec![json!([])],
        Value::Object(_) => vec![json!({})],
    };
    choices[pick.index(choices.len())].clone()
}

pub fn changed(document: &mut Value, places: &[String], place: &str, change: &Change) {
    let copied = match change {
        Change::Copy(from) => document.pointer(&places[from.index(places.len())]).cloned(),
        _ => None,
    };
    let Some((parent, key)) = place.rsplit_once('/') else { return };
    match change {
        Change::Spoil(pick) => {
            if let Some(value) = document.pointer_mut(place) {
                *value = spoilt(value, *pick);
            }
        }
        Change::Copy(_) => {
            if let Some((slot, value)) = document.pointer_mut(place).zip(copied) {
                *slot = value;
            }
        }
        Change::Remove => match document.pointer_mut(parent) {
            Some(Value::Object(fields)) => drop(fields.remove(key)),
            Some(Value::Array(items)) => drop(items.pop()),
            _ => {}
        },
        Change::Repeat(times) => {
            if let Some(Value::Array(items)) = document.pointer_mut(parent)
                && let Some(item) = items.last().cloned()
                && items.len() < 1_000
            {
                items.extend(std::iter::repeat_n(item, usize::from(*times)));
            }
        }
    }
}

fn shown(document: &impl Show) {
    for (format, wide) in [(Format::Table, false), (Format::Wide, true), (Format::Json, false), (Format::Name, false)] {
        let page = Page { width: Some(80), colour: false, wide };
        let mut out = Vec::new();
        write(document, &format, &page, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let bad = text.chars().find(|letter| letter.is_control() && *letter != '\n' || *letter == '\u{202e}');
        assert_eq!(bad, None, "{format:?}: {text}");
    }
}

fn judged(node: &Node, earlier: Option<&Node>, before: Option<&CheckReport>) -> CheckReport {
    let choice = Choice { grace: jiff::SignedDuration::ZERO, ..Choice::default() };
    check(&Facts::new(node, earlier, choice.grace), None, &choice, before)
}

/// Everything that is shown of a snapshot.
fn look_at(snapshot: &Snapshot, healthy: &Snapshot) {
    let node = &snapshot.node;
    let report = match &snapshot.earlier {
        Some(earlier) => judged(node, Some(earlier), Some(&judged(earlier, None, None))),
        None => judged(node, None, None),
    };
    shown(&report);
    for choice in [view::list::Choice::default(), view::list::Choice { all: true, ..Default::default() }] {
        shown(&view::list::list(node, &choice));
    }
    let netns_only = view::list::Choice { netns_only: true, ..Default::default() };
    let list = view::list::list(node, &netns_only);
    for name in list.names().into_iter().chain(view::list::list(node, &view::list::Choice::default()).names()).take(8) {
        let Ok(target) = name.parse::<Target>() else { continue };
        if let Ok(pick) = resolve(node, &target) {
            shown(&inspection(node, pick, node.names.first().map(|names| names.dns.clone())));
        }
    }
    shown(&view::endpoint::list(snapshot::of_endpoints(node.clone())));
    let healthy_report = judged(&healthy.node, None, None);
    shown(&view::snapshot::diff((node, &report), (&healthy.node, &healthy_report)));
    shown(&view::snapshot::diff((&healthy.node, &healthy_report), (node, &report)));
}

#[test]
fn the_recorded_one_is_read_and_stays_what_it_was() {
    let recorded = snapshot::parse(Path::new("recorded"), RECORDED.as_bytes()).unwrap();
    look_at(&recorded, &recorded);
    assert_eq!(recorded.node.namespaces.len(), 5, "the host, the world, a node in a pod and its two pods");
    // What is written of it reads as the same.
    let again = snapshot::written(&serde_json::to_value(&recorded).unwrap());
    assert_eq!(snapshot::parse(Path::new("again"), &again).unwrap(), recorded);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_spoilt_snapshot_never_panics(changes in proptest::collection::vec(change(), 1..16)) {
        let mut document: Value = serde_json::from_str(RECORDED).unwrap();
        let healthy: Snapshot = serde_json::from_str(RECORDED).unwrap();
        let mut all = Vec::new();
        places(&document, String::new(), &mut all);
        for (at, change) in &changes {
            let before = document.clone();
            changed(&mut document, &all, &all[at.index(all.len())], change);
            // What does not fit the form is refused, and says nothing about what comes after the form.
            if snapshot::parse(Path::new("spoilt"), document.to_string().as_bytes()).is_err() {
                document = before;
            }
        }
        look_at(&snapshot::parse(Path::new("spoilt"), document.to_string().as_bytes()).unwrap(), &healthy);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<Index>()) {
        let _ = snapshot::parse(Path::new("bytes"), &bytes);
        let mut whole = RECORDED.as_bytes().to_vec();
        let place = at.index(whole.len() - bytes.len());
        whole.splice(place..place + bytes.len(), bytes.drain(..));
        let _ = snapshot::parse(Path::new("bytes"), &whole);
    }
}
