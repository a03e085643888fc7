//! Leaving out what nobody should find in a file that is sent around.
//!
//! podnet never reads environments, command lines, volumes or Secrets. What is left are names and values that people
//! chose (labels, annotations, options) and messages of others: there, whatever its name or its form gives away as a
//! secret is replaced. It is done on the JSON, so that what is added to the model later goes through it as well.

use serde_json::{Map, Value};

use crate::model::snapshot::{Because, LeftOut};

/// What stands in the place of a secret.
pub const LEFT_OUT: &str = "(left out)";

/// Replaces secrets, and says where they were.
pub fn redact(snapshot: &mut Value) -> Vec<LeftOut> {
    let mut found = Vec::new();
    for look in ["node", "earlier"] {
        if let Some(host) = snapshot.pointer_mut(&format!("/{look}/host")).and_then(Value::as_object_mut)
            && host.remove("machineId").is_some()
        {
            found.push(LeftOut { place: format!("/{look}/host/machineId"), because: Because::Identity });
        }
    }
    walk(snapshot, &mut String::new(), &mut found);
    found
}

fn walk(value: &mut Value, place: &mut String, found: &mut Vec<LeftOut>) {
    match value {
        Value::String(text) => {
            if let Some(without) = without_secrets(text) {
                *text = without;
                found.push(LeftOut { place: place.clone(), because: Because::Value });
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                below(place, &at.to_string(), |place| walk(item, place, found));
            }
        }
        Value::Object(fields) => object(fields, place, found),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Fields that `name` and `value` make a pair of are one, as lines of sysctl.d(5) are.
fn object(fields: &mut Map<String, Value>, place: &mut String, found: &mut Vec<LeftOut>) {
    let of_pair = fields.get("name").and_then(Value::as_str).is_some_and(is_secret_name);
    for (key, value) in fields {
        below(place, key, |place| match value {
            Value::String(text) if (is_secret_name(key) || (of_pair && key == "value")) && is_worth_hiding(text) => {
                *text = LEFT_OUT.to_owned();
                found.push(LeftOut { place: place.clone(), because: Because::Name });
            }
            _ => walk(value, place, found),
        });
    }
}

/// With the place one step down, as RFC 6901 writes it.
fn below(place: &mut String, step: &str, work: impl FnOnce(&mut String)) {
    let length = place.len();
    place.push('/');
    place.push_str(&step.replace('~', "~0").replace('/', "~1"));
    work(place);
    place.truncate(length);
}

/// Of the model's own: the file that credentials are in.
const HARMLESS_NAME: &str = "credentials";

/// Parts of names, in small letters and without separators. The annotation holds a whole manifest, environment and all.
const SECRET_NAMES: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
    "accesskey",
    "presharedkey",
    "fastopenkey",
    "authorization",
    "cookie",
    "lastappliedconfiguration",
];

fn is_secret_name(name: &str) -> bool {
    let plain: String =
        name.chars().filter(|letter| letter.is_alphanumeric()).map(|letter| letter.to_ascii_lowercase()).collect();
    name != HARMLESS_NAME && SECRET_NAMES.iter().any(|part| plain.contains(part))
}

/// A switch tells nothing.
fn is_worth_hiding(text: &str) -> bool {
    !matches!(text, "" | "true" | "false" | "0" | "1" | LEFT_OUT)
}

/// The text without what looks like a secret in it; None where nothing does.
fn without_secrets(text: &str) -> Option<String> {
    if text.contains("-----BEGIN ") {
        return Some(LEFT_OUT.to_owned());
    }
    let mut without = String::with_capacity(text.len());
    let mut after_scheme = false;
    let mut changed = false;
    for piece in text.split_inclusive(is_end_of_word) {
        let word = piece.strip_suffix(is_end_of_word).unwrap_or(piece);
        let end = piece.get(word.len()..).unwrap_or_default();
        let hidden = if after_scheme && word.len() >= SHORTEST { Some(LEFT_OUT.to_owned()) } else { hidden(word) };
        changed |= hidden.is_some();
        without.push_str(hidden.as_deref().unwrap_or(word));
        without.push_str(end);
        after_scheme = matches!(word, "Bearer" | "bearer" | "Basic");
    }
    changed.then_some(without)
}

/// Shorter words after «Bearer» are words.
const SHORTEST: usize = 8;

fn is_end_of_word(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(letter, '"' | '\'' | ',' | ';' | '{' | '}' | '(' | ')' | '[' | ']' | '&' | '?' | '<' | '>')
}

/// What to put in the place of a word: of `NAME=SECRET` and of a URL with a password something stays.
fn hidden(word: &str) -> Option<String> {
    if is_token(word) {
        return Some(LEFT_OUT.to_owned());
    }
    if let Some((name, value)) = word.split_once('=') {
        if is_secret_name(name) && is_worth_hiding(value) {
            return Some(format!("{name}={LEFT_OUT}"));
        }
        return hidden(value).map(|hidden| format!("{name}={hidden}"));
    }
    let (scheme, rest) = word.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let (user, _) = authority.rsplit_once('@')?;
    user.contains(':').then(|| format!("{scheme}://{LEFT_OUT}{}", rest.get(user.len()..).unwrap_or_default()))
}

/// What well-known issuers' tokens begin with, and how long they are at least.
const TOKENS: [(&str, usize); 17] = [
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 30),
    ("sk_live_", 20),
    ("npm_", 30),
    ("hvs.", 20),
    ("dckr_pat_", 20),
];

fn is_token(word: &str) -> bool {
    // Base64 of `{"`, a header, and two more parts.
    let is_jwt = word.starts_with("eyJ") && word.len() >= 30 && word.split('.').count() >= 3;
    is_jwt || TOKENS.iter().any(|(begin, length)| word.starts_with(begin) && word.len() >= *length)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_a_secret_goes_and_its_place_is_told() {
        let mut value = json!({ "node": {
            "host": { "machineId": "4c4c", "bootId": "b", "sysctlSettings": [
                { "name": "net.ipv6.conf.all.stable_secret", "value": "2001:db8::1" }, { "name": "net.ipv4.ip_forward", "value": "1" }] },
            "labels": { "app/db-password": "hunter2", "app": "web", "uses-token": "true" },
            "list": ["k8s:api_key=abc", "k8s:app=web", "GET https://me:pw@host/x failed"],
            "credentials": "/etc/kubernetes/admin.conf",
        }});
        let found = redact(&mut value);
        assert_eq!(
            value,
            json!({ "node": {
                "host": { "bootId": "b", "sysctlSettings": [
                    { "name": "net.ipv6.conf.all.stable_secret", "value": "(left out)" }, { "name": "net.ipv4.ip_forward", "value": "1" }] },
                "labels": { "app/db-password": "(left out)", "app": "web", "uses-token": "true" },
                "list": ["k8s:api_key=(left out)", "k8s:app=web", "GET https://(left out)@host/x failed"],
                "credentials": "/etc/kubernetes/admin.conf",
            }})
        );
        let mut places: Vec<&str> = found.iter().map(|left| left.place.as_str()).collect();
        places.sort_unstable();
        let expected = [
            "/node/host/machineId",
            "/node/host/sysctlSettings/0/value",
            "/node/labels/app~1db-password",
            "/node/list/0",
            "/node/list/2",
        ];
        assert_eq!(places, expected);
        assert_eq!(redact(&mut value), []);
    }

    #[test]
    fn secrets_in_messages() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl";
        for (text, without) in [
            (format!("401 with Authorization: Bearer {}", "x".repeat(20)), "401 with Authorization: Bearer (left out)"),
            (format!("jwt {jwt}, refused"), "jwt (left out), refused"),
            (format!(r#"{{"env":"GITHUB=ghp_{}"}}"#, "a".repeat(36)), r#"{"env":"GITHUB=(left out)"}"#),
            ("a\n-----BEGIN RSA PRIVATE KEY-----\nMII".to_owned(), "(left out)"),
            ("?user=me&password=hunter2&x=1".to_owned(), "?user=me&password=(left out)&x=1"),
        ] {
            assert_eq!(without_secrets(&text).as_deref(), Some(without), "{text}");
        }
    }

    #[test]
    fn names_of_the_field_stay() {
        for text in
            ["k8s:app=web", "lxc4f1c0d77a2b1", "10.0.0.1/24", "user@host", "http://[::1]:80/", "token refused", "a=b=c"]
        {
            assert_eq!(without_secrets(text), None, "{text}");
        }
        let id = "3f2a91c04d5e".repeat(6);
        assert_eq!(without_secrets(&id), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_goes_through_and_only_once(text: String) {
            if let Some(without) = without_secrets(&text) {
                proptest::prop_assert_eq!(without_secrets(&without), None);
            }
        }
    }
}
