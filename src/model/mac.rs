//! A 48-bit hardware address.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Written as `aa:bb:cc:dd:ee:ff`, also in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct Mac(pub [u8; 6]);

#[derive(Debug, thiserror::Error)]
#[error("«{0}» is not a MAC address (six pairs of hexadecimal digits, with colons)")]
pub struct NotAMac(String);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

impl FromStr for Mac {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let wrong = || NotAMac(text.chars().take(32).collect());
        // Dots stand behind each four, as switches print it.
        let (separator, digits) =
            [('-', 2), ('.', 4)].into_iter().find(|(one, _)| text.contains(*one)).unwrap_or((':', 2));
        let fits = |part: &str| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parts: Vec<&str> = text.split(separator).collect();
        if parts.len() * digits != 12 || !parts.iter().all(|part| fits(part)) {
            return Err(wrong());
        }
        let number = u64::from_str_radix(&parts.concat(), 16).map_err(|_| wrong())?;
        let [_, _, bytes @ ..] = number.to_be_bytes();
        Ok(Mac(bytes))
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = NotAMac;

    fn try_from(text: String) -> Result<Self, NotAMac> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mac: Mac = "22:72:9C:50:45:e1".parse().unwrap();
        assert_eq!(mac.to_string(), "22:72:9c:50:45:e1");
        assert_eq!("22-72-9c-50-45-e1".parse::<Mac>().unwrap(), mac);
        assert_eq!("2272.9c50.45E1".parse::<Mac>().unwrap(), mac);
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "22",
            "22:72:9c:50:45",
            "22:72:9c:50:45:e1:00",
            "2:72:9c:50:45:e1",
            "+2:72:9c:50:45:e1",
            "é2:72:9c:50:45:e1",
            "2272.9c50.45e",
            "22.72.9c.50.45.e1",
            "2272.9c50.45e1.0000",
            "2272:9c50:45e1",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
