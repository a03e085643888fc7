//! Versions of the CNI spec, and the document that a plugin answers VERSION with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of the spec that podnet can speak to a plugin. Ordered as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum SpecVersion {
    V0_1_0,
    V0_2_0,
    V0_3_0,
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

use SpecVersion::*;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("«{text}» is no version of the CNI spec that podnet knows (0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0)")]
pub struct Unknown {
    pub text: String,
}

impl SpecVersion {
    pub const ALL: [Self; 7] = [V0_1_0, V0_2_0, V0_3_0, V0_3_1, V0_4_0, V1_0_0, V1_1_0];
    pub const NEWEST: Self = V1_1_0;
    /// What podnet speaks when it is the plugin.
    pub const OF_PLUGIN: [Self; 5] = [V0_3_0, V0_3_1, V0_4_0, V1_0_0, V1_1_0];
    /// What a configuration without a version conforms to.
    pub const UNSTATED: Self = V0_1_0;

    pub fn as_str(self) -> &'static str {
        match self {
            V0_1_0 => "0.1.0",
            V0_2_0 => "0.2.0",
            V0_3_0 => "0.3.0",
            V0_3_1 => "0.3.1",
            V0_4_0 => "0.4.0",
            V1_0_0 => "1.0.0",
            V1_1_0 => "1.1.0",
        }
    }

    /// A version that is left out or empty is the first.
    pub fn stated(text: Option<&str>) -> Result<Self, Unknown> {
        text.filter(|text| !text.is_empty()).map_or(Ok(Self::UNSTATED), str::parse)
    }

    /// CHECK, and a `prevResult` for DEL.
    pub fn has_check(self) -> bool {
        self >= V0_4_0
    }

    /// GC and STATUS.
    pub fn has_gc(self) -> bool {
        self >= V1_1_0
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for SpecVersion {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let known = Self::ALL.into_iter().find(|version| version.as_str() == text);
        known.ok_or_else(|| Unknown { text: text.chars().take(64).collect() })
    }
}

impl From<SpecVersion> for String {
    fn from(version: SpecVersion) -> Self {
        version.as_str().to_owned()
    }
}

impl TryFrom<String> for SpecVersion {
    type Error = Unknown;

    fn try_from(text: String) -> Result<Self, Unknown> {
        text.parse()
    }
}

/// Whether `text` is a version later than any that podnet knows. A runtime passes such a one over.
pub(super) fn is_later(text: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u64>> { text.split('.').map(|part| part.parse().ok()).collect() };
    numbers(text) > numbers(SpecVersion::NEWEST.as_str())
}

/// What a plugin says of itself. Later versions than podnet's are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    #[serde(default)]
    pub cni_version: String,
    #[serde(default)]
    pub supported_versions: Vec<String>,
}

impl Versions {
    /// podnet's own answer, in the version that it was asked in.
    pub fn of_podnet(asked: &str) -> Self {
        let supported_versions = SpecVersion::OF_PLUGIN.map(String::from).to_vec();
        Self { cni_version: asked.to_owned(), supported_versions }
    }

    /// A plugin that knows no VERSION is one of 0.1.0.
    pub fn of_old_plugin() -> Self {
        let cni_version = SpecVersion::UNSTATED.to_string();
        Self { supported_versions: vec![cni_version.clone()], cni_version }
    }

    pub fn supports(&self, version: SpecVersion) -> bool {
        self.supported_versions.iter().any(|text| text == version.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_written_and_ordered() {
        for version in SpecVersion::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        assert!(SpecVersion::ALL.is_sorted());
        assert_eq!(SpecVersion::stated(None), Ok(V0_1_0));
        assert_eq!(SpecVersion::stated(Some("")), Ok(V0_1_0));
        for text in ["1", "1.0", "01.0.0", "1.0.0 ", "9.9.9", "\u{1b}[2J"] {
            assert!(SpecVersion::stated(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_later_version_is_known_from_an_unknown_one() {
        for (text, later) in [("1.2.0", true), ("1.10.0", true), ("2.0.0", true), ("1.1.0", false), ("1.0.9", false)] {
            assert_eq!(is_later(text), later, "{text}");
        }
        assert!(!is_later("x"));
    }
}
