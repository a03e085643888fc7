//! `-o jsonpath=…`: parts of the document that `-o json` prints whole. RFC 9535, and kubectl's way to write it.

use std::io::{self, Write};
use std::iter::Peekable;
use std::str::Chars;

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::{errors::JsonPathError, parse_json_path};
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

use super::harmless;

/// The parser takes a piece of the stack for each.
const DEEPEST: usize = 32;

/// A path that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Query(JpQuery);

#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("the expression is empty; $.items[*].state is one")]
    Empty,
    #[error("more than {DEEPEST} parentheses and brackets inside each other")]
    TooDeep,
    #[error("only one expression, without text or range around it: use jq to lay out several")]
    Template,
    #[error("{source}")]
    Path { source: Box<JsonPathError> },
}

impl std::str::FromStr for Query {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let path = parse_json_path(&standard(bare(text)?));
        path.map(Self).map_err(|source| Unreadable::Path { source: Box::new(source) })
    }
}

impl Query {
    /// What the path leads to, one a line: text as it is, everything else as JSON.
    pub fn write(&self, document: &Value, out: &mut dyn Write) -> io::Result<()> {
        for found in js_path_process(&self.0, document).map_err(io::Error::other)? {
            match found.val() {
                Value::String(text) => writeln!(out, "{}", harmless(text))?,
                other => writeln!(out, "{}", super::harmless_json(&other.to_string()))?,
            }
        }
        Ok(())
    }
}

/// Without kubectl's braces.
fn bare(text: &str) -> Result<&str, Unreadable> {
    let text = text.trim();
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or(Unreadable::Template)?.trim(),
        None => text,
    };
    match inner {
        "" => Err(Unreadable::Empty),
        _ if depth(inner) > DEEPEST => Err(Unreadable::TooDeep),
        _ if inner.contains("}{") || inner.starts_with("range ") || inner.starts_with('"') => Err(Unreadable::Template),
        _ => Ok(inner),
    }
}

/// Also of what is only quoted: that much nobody quotes.
fn depth(text: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for character in text.chars() {
        match character {
            '(' | '[' | '!' => now += 1,
            ')' | ']' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// From the root, and with names that the RFC has in brackets only (`.labels.app\.kubernetes\.io/name`) there.
fn standard(text: &str) -> String {
    let text = text.strip_prefix(['$', '@']).unwrap_or(text);
    let mut path = String::from("$");
    if !text.is_empty() && !text.starts_with(['.', '[']) {
        path.push('.');
    }
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '[' => brackets(&mut rest, &mut path),
            '.' => path.push('.'),
            first => name(first, &mut rest, &mut path),
        }
    }
    path
}

/// Up to the bracket that closes, whatever stands between.
fn brackets(rest: &mut Peekable<Chars<'_>>, path: &mut String) {
    path.push('[');
    let (mut depth, mut quote) = (1, None);
    while depth > 0
        && let Some(character) = rest.next()
    {
        path.push(character);
        match (quote, character) {
            (Some(_), '\\') => path.extend(rest.next()),
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
}

fn name(first: char, rest: &mut Peekable<Chars<'_>>, path: &mut String) {
    let mut name = String::new();
    let mut next = Some(first);
    while let Some(character) = next {
        name.extend(if character == '\\' { rest.next() } else { Some(character) });
        next = rest.next_if(|character| !matches!(character, '.' | '['));
    }
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii();
    if name == "*" || (name.chars().all(plain) && !name.starts_with(|first: char| first.is_ascii_digit())) {
        path.push_str(&name);
        return;
    }
    // `.name` is `['name']`, `..name` is `..['name']`.
    if !path.ends_with("..") {
        path.pop();
    }
    path.push_str(&format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Result<String, Unreadable> {
        let document = serde_json::json!({
            "items": [
                {"name": "web", "mtu": 1500, "labels": {"app.kubernetes.io/name": "web", "a-b": 1}},
                {"name": "db\u{1b}[2J", "mtu": 1450, "labels": {}},
            ],
        });
        let mut out = Vec::new();
        path.parse::<Query>()?.write(&document, &mut out).unwrap();
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_same_path_can_be_written_in_many_ways() {
        for path in [
            "$.items[*].mtu",
            "{.items[*].mtu}",
            "{ $.items[*].mtu }",
            "items[*].mtu",
            ".items.*.mtu",
            "{$['items'][*][\"mtu\"]}",
            "..mtu",
        ] {
            assert_eq!(found(path).unwrap(), "1500\n1450\n", "{path}");
        }
        for path in [
            r"{.items[0].labels.app\.kubernetes\.io/name}",
            "$.items[?(@.mtu == 1500)].name",
            "{.items[?@.name=='web'].name}",
            r#"{..["app.kubernetes.io/name"]}"#,
            r"{..app\.kubernetes\.io/name}",
            "$.items[?match(@.name, 'w.b')].name",
        ] {
            assert_eq!(found(path).unwrap(), "web\n", "{path}");
        }
        assert_eq!(found("{.items[0].labels.a-b}").unwrap(), "1\n");
        assert_eq!(found("{.items[-1:].name}").unwrap(), "db\\u{1b}[2J\n");
        assert_eq!(found("$.nothing").unwrap(), "");
    }

    #[test]
    fn what_is_no_path_is_said_to_be_none() {
        for path in ["", "{}", "{.a}{.b}", "{.a", "{range .items[*]}", "{\"x\"}", "$.items[", "$.items[?]", "$.."] {
            assert!(found(path).is_err(), "{path}");
        }
    }

    #[test]
    fn no_depth_takes_all_of_the_stack() {
        let nested = |depth: usize| format!("$[?{}@.mtu{}]", "(".repeat(depth), ")".repeat(depth));
        assert!(found(&nested(30)).is_ok());
        assert!(matches!(found(&nested(10_000)), Err(Unreadable::TooDeep)));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = found(&text);
        }
    }
}
