//! What podnet reads from its standard input when it is the plugin.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::Invalid;
use super::network::{GcAttachment, VALID_ATTACHMENTS, name, object};
use super::plugin::{boolean, is_program, text};
use crate::cni::error::{Code, Refusal};
use crate::cni::result::{AddResult, Dns};
use crate::cni::version::SpecVersion;
use crate::model::mac::Mac;

/// The MTUs that a veth and IPv4 can have (RFC 791; IPv6 needs 1280).
const MTU: std::ops::RangeInclusive<u64> = 68..=65535;

/// podnet's netconf. Keys that it does not know are kept for the plugins that it delegates to.
#[derive(Clone, Debug, PartialEq)]
pub struct PodnetConf {
    pub version: SpecVersion,
    pub name: String,
    pub ipam: Ipam,
    /// `pool`, or `ipam.pool`: the pool of the embedded store.
    pub pool: Option<String>,
    pub mtu: Option<u32>,
    pub ip_masq: Option<bool>,
    pub ipv6: Option<bool>,
    /// Where each call leaves a line of JSON.
    pub log_file: Option<PathBuf>,
    /// Root of the embedded store.
    pub data_dir: Option<PathBuf>,
    /// Register the endpoint with this agent: `cilium`.
    pub agent: Option<String>,
    /// `runtimeConfig.ips`, `args.cni.ips`: addresses that the runtime asks for.
    pub ips: Vec<IpAddr>,
    /// `runtimeConfig.mac`.
    pub mac: Option<Mac>,
    /// `dns`: handed on in the result.
    pub dns: Dns,
    pub previous: Option<AddResult>,
    /// Only for GC.
    pub valid_attachments: Option<Vec<GcAttachment>>,
    /// All of it, as it was given.
    pub object: Map<String, Value>,
}

/// Who gives the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ipam {
    /// podnet's own store.
    Embedded,
    /// This plugin.
    Delegated(String),
}

impl PodnetConf {
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let object = object(bytes).map_err(|invalid| refused(Code::DECODE, &invalid))?;
        // First, since it decides what the rest means.
        let version = version(&object)?;
        Self::from_object(object, version).map_err(|reason| match reason {
            Reason::Invalid(invalid) => refused(Code::INVALID_CONFIG, &invalid),
            Reason::Refusal(refusal) => refusal,
        })
    }

    fn from_object(object: Map<String, Value>, version: SpecVersion) -> Result<Self, Reason> {
        let empty = Map::new();
        let ipam = part(&object, "ipam")?.unwrap_or(&empty);
        let runtime = part(&object, "runtimeConfig")?.unwrap_or(&empty);
        let args = part(&object, "args")?.map(|args| part(args, "cni")).transpose()?.flatten().unwrap_or(&empty);
        Ok(Self {
            version,
            name: name(&object)?,
            ipam: who_gives_addresses(ipam)?,
            pool: text(&object, "pool")?.or(text(ipam, "pool")?),
            mtu: mtu(&object)?,
            ip_masq: boolean(&object, "ipMasq")?,
            ipv6: boolean(&object, "ipv6")?,
            log_file: path(&object, "logFile")?,
            data_dir: path(&object, "dataDir")?,
            agent: agent(&object)?,
            ips: [addresses(runtime)?, addresses(args)?].concat(),
            mac: mac(runtime)?,
            dns: dns(&object)?,
            previous: previous(&object, version)?,
            valid_attachments: valid_attachments(&object)?,
            object,
        })
    }
}

fn refused(code: Code, invalid: &Invalid) -> Refusal {
    let refusal = Refusal::caused(code, invalid);
    Refusal { message: format!("the network configuration is refused: {}", refusal.message), ..refusal }
}

enum Reason {
    Invalid(Invalid),
    Refusal(Refusal),
}

impl From<Invalid> for Reason {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

fn wrong(key: &str, expected: &'static str) -> Invalid {
    Invalid::Key { key: key.to_owned(), expected }
}

fn version(object: &Map<String, Value>) -> Result<SpecVersion, Refusal> {
    let stated = text(object, "cniVersion").map_err(|invalid| refused(Code::DECODE, &invalid))?;
    let spoken = SpecVersion::OF_PLUGIN.map(SpecVersion::as_str);
    let version = SpecVersion::stated(stated.as_deref()).ok();
    version.filter(|version| SpecVersion::OF_PLUGIN.contains(version)).ok_or_else(|| {
        let stated = stated.map_or("0.1.0, as none is stated".to_owned(), |text| text.chars().take(64).collect());
        let message = format!("the configuration is of version {stated}; podnet speaks {}", spoken.join(", "));
        Refusal::new(Code::INCOMPATIBLE_VERSION, message)
    })
}

fn part<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a Map<String, Value>>, Invalid> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(part)) => Ok(Some(part)),
        Some(_) => Err(wrong(key, "an object")),
    }
}

fn who_gives_addresses(ipam: &Map<String, Value>) -> Result<Ipam, Invalid> {
    match text(ipam, "type")? {
        None => Ok(Ipam::Embedded),
        Some(kind) if kind == "podnet" => Ok(Ipam::Embedded),
        Some(kind) if is_program(&kind) => Ok(Ipam::Delegated(kind)),
        Some(kind) => Err(Invalid::Type { kind }),
    }
}

fn mtu(object: &Map<String, Value>) -> Result<Option<u32>, Invalid> {
    match object.get("mtu") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let mtu = value.as_u64().filter(|mtu| MTU.contains(mtu)).and_then(|mtu| u32::try_from(mtu).ok());
            mtu.map(Some).ok_or_else(|| wrong("mtu", "a whole number from 68 to 65535"))
        }
    }
}

fn path(object: &Map<String, Value>, key: &str) -> Result<Option<PathBuf>, Invalid> {
    match text(object, key)? {
        Some(path) if path.starts_with('/') && !path.contains('\0') => Ok(Some(path.into())),
        Some(_) => Err(wrong(key, "an absolute path")),
        None => Ok(None),
    }
}

fn agent(object: &Map<String, Value>) -> Result<Option<String>, Reason> {
    match text(object, "agent")? {
        Some(agent) if agent != "cilium" => {
            let message = format!("agent: «{agent}» is no agent that podnet knows (cilium)");
            Err(Refusal::new(Code::UNSUPPORTED_FIELD, message).into())
        }
        agent => Ok(agent),
    }
}

/// `ips`: with or without a prefix length; which subnet an address is of is the pool's to know.
fn addresses(object: &Map<String, Value>) -> Result<Vec<IpAddr>, Invalid> {
    let expected = || wrong("ips", "a list of addresses");
    let address = |value: &Value| {
        let text = value.as_str()?;
        text.parse::<IpAddr>().ok().or_else(|| text.parse::<IpNet>().ok().map(|net| net.addr()))
    };
    match object.get("ips") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(|value| address(value).ok_or_else(expected)).collect(),
        Some(_) => Err(expected()),
    }
}

fn mac(runtime: &Map<String, Value>) -> Result<Option<Mac>, Invalid> {
    let expected = "a unicast MAC address";
    match text(runtime, "mac")?.map(|text| text.parse::<Mac>()) {
        Some(Ok(mac)) if mac.0[0] & 1 == 0 && mac.0 != [0; 6] => Ok(Some(mac)),
        Some(_) => Err(wrong("mac", expected)),
        None => Ok(None),
    }
}

fn dns(object: &Map<String, Value>) -> Result<Dns, Invalid> {
    match object.get("dns") {
        None | Some(Value::Null) => Ok(Dns::default()),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| wrong("dns", "an object with nameservers, domain, search and options")),
    }
}

/// An empty one is legal, and says as much as none.
fn previous(object: &Map<String, Value>, version: SpecVersion) -> Result<Option<AddResult>, Refusal> {
    match object.get("prevResult") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => AddResult::decode(value.clone(), version)
            .map(Some)
            .map_err(|invalid| Refusal::caused(Code::DECODE, &invalid))
            .map_err(|refusal| Refusal { message: format!("prevResult: {}", refusal.message), ..refusal }),
    }
}

fn valid_attachments(object: &Map<String, Value>) -> Result<Option<Vec<GcAttachment>>, Invalid> {
    match object.get(VALID_ATTACHMENTS) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(Vec::new())),
        Some(value) => serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|_| wrong(VALID_ATTACHMENTS, "a list of objects, each with containerID and ifname")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(extra: &str) -> Result<PodnetConf, Refusal> {
        PodnetConf::parse(format!(r#"{{"cniVersion": "1.0.0", "name": "n", "type": "podnet"{extra}}}"#).as_bytes())
    }

    #[test]
    fn reads_its_own_keys_and_keeps_the_others() {
        let conf = parse(
            r#", "pool": "blue", "mtu": 1400, "ipMasq": false, "ipv6": true, "logFile": "/l", "dataDir": "/d",
               "ipam": {"type": "host-local", "x": 1}, "agent": "cilium", "y": {"z": []},
               "runtimeConfig": {"ips": ["10.0.0.7/24", "fd00::7"], "mac": "02:00:00:00:00:07", "portMappings": [1]},
               "prevResult": {"cniVersion": "0.4.0"}"#,
        )
        .unwrap();
        assert_eq!(conf.pool.as_deref(), Some("blue"));
        assert_eq!((conf.mtu, conf.ip_masq, conf.ipv6), (Some(1400), Some(false), Some(true)));
        assert_eq!(conf.ipam, Ipam::Delegated("host-local".into()));
        assert_eq!(conf.ips, ["10.0.0.7".parse::<IpAddr>().unwrap(), "fd00::7".parse().unwrap()]);
        assert_eq!(conf.mac.unwrap().to_string(), "02:00:00:00:00:07");
        assert_eq!(conf.previous, Some(AddResult::default()));
        assert_eq!(conf.object["y"]["z"], serde_json::json!([]));
        let bare = parse("").unwrap();
        assert_eq!((bare.ipam, bare.previous, bare.valid_attachments), (Ipam::Embedded, None, None));
        assert_eq!(parse(r#", "ipam": {"type": "podnet", "pool": "p"}"#).unwrap().pool.as_deref(), Some("p"));
    }

    #[test]
    fn refuses_with_the_codes_of_the_spec() {
        let code = |text: &str| PodnetConf::parse(text.as_bytes()).unwrap_err().code;
        for text in ["", "{", "nul", "[1]", "\u{0}"] {
            assert_eq!(code(text), Code::DECODE, "{text}");
        }
        for version in ["", "0.1.0", "0.2.0", "1.2.0", "x", "1.0.0\\n"] {
            let text = format!(r#"{{"cniVersion": "{version}", "name": "n"}}"#);
            assert_eq!(code(&text), Code::INCOMPATIBLE_VERSION, "{text}");
        }
        assert_eq!(code(r#"{"cniVersion": "1.0.0"}"#), Code::INVALID_CONFIG);
        assert_eq!(code(r#"{"cniVersion": "1.0.0", "name": "a/b"}"#), Code::INVALID_CONFIG);
        for (extra, expected) in [
            (r#""mtu": 0"#, Code::INVALID_CONFIG),
            (r#""mtu": 70000"#, Code::INVALID_CONFIG),
            (r#""mtu": -1"#, Code::INVALID_CONFIG),
            (r#""mtu": 1400.5"#, Code::INVALID_CONFIG),
            (r#""pool": 7"#, Code::INVALID_CONFIG),
            (r#""ipMasq": 1"#, Code::INVALID_CONFIG),
            (r#""logFile": "relative""#, Code::INVALID_CONFIG),
            (r#""ipam": []"#, Code::INVALID_CONFIG),
            (r#""ipam": {"type": "../sh"}"#, Code::INVALID_CONFIG),
            (r#""agent": "calico""#, Code::UNSUPPORTED_FIELD),
            (r#""runtimeConfig": {"ips": ["10.0.0.300"]}"#, Code::INVALID_CONFIG),
            (r#""runtimeConfig": {"mac": "01:00:00:00:00:00"}"#, Code::INVALID_CONFIG),
            (r#""prevResult": {"ips": [{"address": "x"}]}"#, Code::DECODE),
            (r#""cni.dev/valid-attachments": {}"#, Code::INVALID_CONFIG),
        ] {
            assert_eq!(parse(&format!(", {extra}")).unwrap_err().code, expected, "{extra}");
        }
    }
}
