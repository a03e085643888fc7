//! Which rules to run and what to leave out, by flags and by a file.

use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::catalogue::RULES;
use super::rule::{Rule, Severity};

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Only rules whose code one of these fits; all where there is none.
    pub rules: Vec<Pattern>,
    /// Findings less severe than this are left out.
    pub severity: Severity,
    pub ignore: Vec<Ignore>,
    /// Younger pods are not judged.
    pub grace: SignedDuration,
}

impl Default for Choice {
    fn default() -> Self {
        Self { rules: Vec::new(), severity: Severity::Info, ignore: Vec::new(), grace: SignedDuration::from_secs(10) }
    }
}

impl Choice {
    pub fn wants(&self, rule: &Rule) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|pattern| pattern.fits(rule.code))
    }
}

/// Text in which `*` stands for anything. What a user types of rules is parsed (`FromStr`), so that it fits one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Of anything, as it stands there.
    pub fn of_text(text: String) -> Self {
        Self(text)
    }

    pub fn fits(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        true
    }
}

/// A code with `*` in it where wanted; one that fits no rule is a typing error.
impl std::str::FromStr for Pattern {
    type Err = NoSuchRule;

    fn from_str(text: &str) -> Result<Self, NoSuchRule> {
        let code = text.to_ascii_uppercase();
        let code = if code.starts_with("PN-") || code.starts_with('*') { code } else { format!("PN-{code}") };
        let family = RULES.iter().any(|rule| rule.code.strip_prefix(&code).is_some_and(|rest| rest.starts_with('-')));
        let pattern = Pattern(if family { format!("{code}-*") } else { code });
        match RULES.iter().any(|rule| pattern.fits(rule.code)) {
            true => Ok(pattern),
            false => Err(NoSuchRule { text: text.to_owned() }),
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule is called «{text}» (podnet check --list shows them)")]
pub struct NoSuchRule {
    text: String,
}

/// Findings that somebody knows and has reasons for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ignore {
    #[serde(deserialize_with = "of_rules")]
    pub rule: Pattern,
    /// Only of these targets.
    #[serde(default, deserialize_with = "of_targets")]
    pub target: Option<Pattern>,
    pub reason: String,
}

fn of_rules<'de, D: Deserializer<'de>>(from: D) -> Result<Pattern, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

fn of_targets<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Pattern>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Pattern::of_text))
}

impl Ignore {
    pub fn fits(&self, code: &str, target: &str) -> bool {
        self.rule.fits(code) && self.target.as_ref().is_none_or(|pattern| pattern.fits(target))
    }
}

/// The form of `/etc/podnet/check.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub ignore: Vec<Ignore>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern(pattern.to_owned()).fits(text)
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in [("*", ""), ("*", "a"), ("a*", "abc"), ("*c", "abc"), ("a*c", "abc"), ("a*b*", "aXbY")] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", "ab"), ("a*c", "abcd"), ("*x*", "abc"), ("ab*b", "ab")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_family_means_all_its_rules() {
        let link: Pattern = "link".parse().unwrap();
        assert!(link.fits("PN-LINK-004") && !link.fits("PN-ADDR-001"));
        let one: Pattern = "pn-link-004".parse().unwrap();
        assert!(one.fits("PN-LINK-004") && !one.fits("PN-LINK-005"));
        assert!("PN-*-001".parse::<Pattern>().unwrap().fits("PN-ADDR-001"));
        assert!("nothing".parse::<Pattern>().is_err() && "PN-LINK-0".parse::<Pattern>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn patterns_never_panic(pattern: String, text: String) {
            fits(&pattern, &text);
        }
    }
}
