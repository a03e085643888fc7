//! `CNI_ARGS`: pairs that whoever called gave along, `KEY=VALUE;KEY=VALUE`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::mac::Mac;

/// What podnet takes from them. Text of unknown origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// `IP`: asked for; one of each family at most.
    pub ips: Vec<IpAddr>,
    /// `MAC`.
    pub mac: Option<Mac>,
    /// `POOL`: the pool of the embedded store.
    pub pool: Option<String>,
    pub pod_namespace: Option<String>,
    pub pod_name: Option<String>,
    pub pod_uid: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("«{pair}» is no KEY=VALUE")]
    Pair { pair: String },
    #[error("unknown keys: {} (IgnoreUnknown=1 lets them pass)", keys.join(", "))]
    Unknown { keys: Vec<String> },
    #[error("{key}=«{value}» is not {expected}")]
    Value { key: &'static str, value: String, expected: &'static str },
}

/// The pairs, in their order.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, Invalid> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| match part.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Invalid::Pair { pair: part.to_owned() }),
    };
    parts.map(pair).collect()
}

/// As a runtime hands them on.
pub fn join(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(";")
}

impl Args {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut args = Self::default();
        let mut ignore_unknown = false;
        let mut unknown = Vec::new();
        for (key, value) in pairs(text)? {
            let value = value.as_str();
            match key.as_str() {
                "IgnoreUnknown" => ignore_unknown = boolean(value)?,
                "IP" => args.ips = addresses(value)?,
                "MAC" => args.mac = Some(mac(value)?),
                "POOL" => args.pool = some(value),
                "K8S_POD_NAMESPACE" => args.pod_namespace = some(value),
                "K8S_POD_NAME" => args.pod_name = some(value),
                "K8S_POD_UID" => args.pod_uid = some(value),
                "K8S_POD_INFRA_CONTAINER_ID" => {}
                _ => unknown.push(key),
            }
        }
        if unknown.is_empty() || ignore_unknown { Ok(args) } else { Err(Invalid::Unknown { keys: unknown }) }
    }
}

fn some(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

fn boolean(value: &str) -> Result<bool, Invalid> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Invalid::Value { key: "IgnoreUnknown", value: value.to_owned(), expected: "1, 0, true or false" }),
    }
}

/// `IP=10.0.0.7`, `IP=10.0.0.7/24`, `IP=10.0.0.7,fd00::7`.
fn addresses(value: &str) -> Result<Vec<IpAddr>, Invalid> {
    let one = |text: &str| text.parse().ok().or_else(|| text.parse::<IpNet>().ok().map(|net| net.addr()));
    let wrong = || Invalid::Value { key: "IP", value: value.to_owned(), expected: "an address" };
    value.split(',').filter(|text| !text.is_empty()).map(|text| one(text.trim()).ok_or_else(wrong)).collect()
}

fn mac(value: &str) -> Result<Mac, Invalid> {
    let mac: Option<Mac> = value.parse().ok();
    mac.filter(|mac| mac.0[0] & 1 == 0 && mac.0 != [0; 6]).ok_or_else(|| Invalid::Value {
        key: "MAC",
        value: value.to_owned(),
        expected: "a unicast MAC address",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kubelet_gives() {
        let text = "K8S_POD_INFRA_CONTAINER_ID=3f2a;K8S_POD_UID=u-1;IgnoreUnknown=1;K8S_POD_NAMESPACE=default;\
                    K8S_POD_NAME=web-0;CUSTOM=x";
        let args = Args::parse(text).unwrap();
        assert_eq!(args.pod_name.as_deref(), Some("web-0"));
        assert_eq!(args.pod_namespace.as_deref(), Some("default"));
        assert_eq!(args.pod_uid.as_deref(), Some("u-1"));
        assert_eq!(join(&pairs(text).unwrap()), text);
    }

    #[test]
    fn reads_what_is_asked_for() {
        let args = Args::parse("IP=10.0.0.7/24,fd00::7;MAC=02:00:00:00:00:01;POOL=blue;").unwrap();
        assert_eq!(args.ips, ["10.0.0.7".parse::<IpAddr>().unwrap(), "fd00::7".parse().unwrap()]);
        assert_eq!(args.pool.as_deref(), Some("blue"));
        assert_eq!(Args::parse("").unwrap(), Args::default());
    }

    #[test]
    fn refuses_the_rest() {
        for (text, words) in [
            ("FOO=1", "unknown keys: FOO"),
            ("FOO=1;BAR=2;IgnoreUnknown=false", "unknown keys: FOO, BAR"),
            ("FOO", "no KEY=VALUE"),
            ("=1", "no KEY=VALUE"),
            ("IP=x", "not an address"),
            ("MAC=ff:ff:ff:ff:ff:ff", "unicast"),
            ("IgnoreUnknown=maybe", "1, 0, true or false"),
        ] {
            let said = Args::parse(text).unwrap_err().to_string();
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}
