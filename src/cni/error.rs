//! The error object of the CNI spec: what a plugin prints when it fails, and what podnet prints as one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::version::SpecVersion;

/// A number with a meaning that the spec or libcni gave it. From 100 on they are a plugin's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(pub u32);

impl Code {
    pub const INCOMPATIBLE_VERSION: Self = Self(1);
    pub const UNSUPPORTED_FIELD: Self = Self(2);
    pub const UNKNOWN_CONTAINER: Self = Self(3);
    pub const INVALID_ENVIRONMENT: Self = Self(4);
    pub const IO: Self = Self(5);
    pub const DECODE: Self = Self(6);
    pub const INVALID_CONFIG: Self = Self(7);
    /// libcni's own addition.
    pub const INVALID_NETNS: Self = Self(8);
    pub const TRY_AGAIN: Self = Self(11);
    pub const UNAVAILABLE: Self = Self(50);
    pub const LIMITED_CONNECTIVITY: Self = Self(51);
    /// What plugins in Go fail with when they give no code.
    pub const INTERNAL: Self = Self(999);
    // podnet's own: what CHECK finds, and what ADD finds in its way.
    pub const NOT_AS_EXPECTED: Self = Self(100);
    pub const EXISTS: Self = Self(101);
    pub const NO_ADDRESS: Self = Self(102);

    /// In words, where the number alone says it.
    pub fn meaning(self) -> Option<&'static str> {
        Some(match self {
            Self::INCOMPATIBLE_VERSION => "incompatible CNI version",
            Self::UNSUPPORTED_FIELD => "unsupported field in the configuration",
            Self::UNKNOWN_CONTAINER => "container unknown or gone",
            Self::INVALID_ENVIRONMENT => "invalid environment variables",
            Self::IO => "I/O failure",
            Self::DECODE => "undecodable content",
            Self::INVALID_CONFIG => "invalid network configuration",
            Self::INVALID_NETNS => "invalid netns",
            Self::TRY_AGAIN => "try again later",
            Self::UNAVAILABLE => "plugin not available",
            Self::LIMITED_CONNECTIVITY => "plugin not available, limited connectivity",
            Self::INTERNAL => "unclassified error of the plugin",
            _ => return None,
        })
    }
}

/// What a plugin refuses with. The text is the plugin's own words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    #[serde(default)]
    pub code: Code,
    #[serde(default, rename = "msg")]
    pub message: String,
    #[serde(default)]
    pub details: String,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: String::new() }
    }

    /// With what lies below it, down to the last cause.
    pub fn caused(code: Code, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self { code, message: error.to_string(), details: causes.join(": ") }
    }

    /// As it goes to the standard output of a plugin.
    pub fn document(&self, version: &str) -> serde_json::Value {
        let mut document = serde_json::json!({"cniVersion": version, "code": self.code, "msg": self.message});
        if !self.details.is_empty() {
            document["details"] = self.details.as_str().into();
        }
        document
    }

    /// For a version that nobody stated.
    pub fn document_unstated(&self) -> serde_json::Value {
        self.document(SpecVersion::NEWEST.as_str())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.message.trim_end())?;
        if !self.details.is_empty() {
            write!(out, "; {}", self.details.trim_end())?;
        }
        match (self.code, self.code.meaning()) {
            (Code(0), _) => Ok(()),
            (code, Some(meaning)) => write!(out, " (code {}, {meaning})", code.0),
            (code, None) => write!(out, " (code {})", code.0),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_object_goes_both_ways() {
        let refusal = Refusal { details: "no".into(), ..Refusal::new(Code::INVALID_CONFIG, "bad") };
        let document = refusal.document("1.0.0");
        assert_eq!(document, serde_json::json!({"cniVersion": "1.0.0", "code": 7, "msg": "bad", "details": "no"}));
        assert_eq!(serde_json::from_value::<Refusal>(document).unwrap(), refusal);
        assert_eq!(refusal.to_string(), "bad; no (code 7, invalid network configuration)");
        let bare: Refusal = serde_json::from_str("{}").unwrap();
        assert_eq!((bare.code, bare.to_string()), (Code(0), String::new()));
    }
}
