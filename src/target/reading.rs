//! The spellings of a target.

use std::net::IpAddr;
use std::path::Path;

use crate::collect::ahead::Likely;
use crate::collect::options::Depth;
use crate::model::mac::Mac;
use crate::model::netns::Inode;

/// The longest text that anything here is called by: a path.
const LONGEST: usize = 4096;
/// Fewer digits than this are no id that anybody would type.
const SHORTEST_ID: usize = 2;

/// One thing that the text may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A container id or a prefix of one; of one runtime where that is said, and then a name will do, too.
    Container {
        runtime: Option<String>,
        id: String,
    },
    /// A container's name.
    Name(String),
    /// A pod, or one container of it.
    Pod {
        namespace: Option<String>,
        name: String,
        container: Option<String>,
    },
    Pid(u32),
    /// A path that a netns is mounted at, or a link in `/proc`.
    Path(String),
    /// The name that a netns is mounted under, as `ip netns` shows it.
    NetnsName(String),
    Inode(Inode),
    Ip(IpAddr),
    Mac(Mac),
    /// A host interface.
    Device(String),
    /// A host interface's number.
    Ifindex(u32),
    /// A Cilium endpoint, by the agent's own number.
    Endpoint(u32),
    /// A CiliumEndpoint.
    CiliumEndpoint {
        namespace: String,
        name: String,
    },
    /// A security identity, which all pods with the same labels share.
    Identity(u32),
}

/// A target as typed, with everything that it could mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub text: String,
    pub readings: Vec<Reading>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the target is empty")]
    Empty,
    #[error("the target is longer than {LONGEST} bytes")]
    TooLong,
    #[error("the target holds control characters")]
    Control,
    #[error("«{text}» is no {what}")]
    Malformed { text: String, what: &'static str },
}

impl std::str::FromStr for Target {
    type Err = Unusable;

    fn from_str(text: &str) -> Result<Self, Unusable> {
        if text.trim().is_empty() {
            return Err(Unusable::Empty);
        }
        if text.len() > LONGEST {
            return Err(Unusable::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(Unusable::Control);
        }
        let readings = match explicit(text)? {
            Some(reading) => vec![reading],
            None => bare(text),
        };
        Ok(Self { text: text.to_owned(), readings })
    }
}

impl Target {
    /// The process that it may mean.
    pub fn pid(&self) -> Option<u32> {
        self.readings.iter().find_map(|reading| match reading {
            Reading::Pid(pid) => Some(*pid),
            Reading::Path(path) => pid_of_path(path),
            _ => None,
        })
    }

    /// The path that it is.
    pub fn path(&self) -> Option<&Path> {
        self.readings.iter().find_map(|reading| match reading {
            Reading::Path(path) => Some(Path::new(path)),
            _ => None,
        })
    }

    /// Where it likely is; of several meanings the one that is found soonest.
    pub fn likely(&self) -> Likely {
        let likely = |reading: &Reading| match reading {
            Reading::Pid(pid) => Some(Likely::Process(*pid)),
            Reading::Path(path) => Some(Likely::Path(path.into())),
            Reading::Container { id, .. } => Some(Likely::Container(id.clone())),
            _ => None,
        };
        self.readings.iter().find_map(likely).unwrap_or(Likely::Anywhere)
    }

    /// Whether a container or a pod may be called so.
    pub fn may_be_name(&self) -> bool {
        self.readings.iter().any(|reading| matches!(reading, Reading::Name(_) | Reading::Pod { .. }))
    }

    /// Whether only the Cilium agent can tell what it means.
    pub fn is_of_agent(&self) -> bool {
        let of_agent = |reading: &Reading| {
            matches!(reading, Reading::Endpoint(_) | Reading::CiliumEndpoint { .. } | Reading::Identity(_))
        };
        self.readings.iter().all(of_agent)
    }

    /// How deep the node must be read to find it.
    pub fn depth(&self) -> Depth {
        let depth = |reading: &Reading| match reading {
            Reading::Ip(_) | Reading::Mac(_) => Depth::AllLinks,
            Reading::Device(_)
            | Reading::Ifindex(_)
            | Reading::Endpoint(_)
            | Reading::CiliumEndpoint { .. }
            | Reading::Identity(_) => Depth::HostLinks,
            _ => Depth::Holders,
        };
        self.readings.iter().map(depth).max().unwrap_or(Depth::Holders)
    }
}

/// The process that `/proc/PID/ns/net` speaks of.
pub(super) fn pid_of_path(path: &str) -> Option<u32> {
    path.strip_prefix("/proc/")?.strip_suffix("/ns/net")?.parse().ok()
}

/// The spellings that mean one thing only: a word and a colon, a URL as kubectl prints it, a path.
fn explicit(text: &str) -> Result<Option<Reading>, Unusable> {
    if let Some((runtime, id)) = text.split_once("://") {
        return Ok(Some(Reading::Container { runtime: Some(runtime.to_owned()), id: id.to_owned() }));
    }
    if text.starts_with('/') {
        return Ok(Some(Reading::Path(text.to_owned())));
    }
    if let Some(inode) = text.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']')?.parse().ok()) {
        return Ok(Some(Reading::Inode(inode))); // as the link in /proc says it
    }
    let Some((word, rest)) = text.split_once(':') else { return Ok(None) };
    let malformed = |what| Unusable::Malformed { text: rest.to_owned(), what };
    Ok(Some(match word {
        "container" => Reading::Container { runtime: None, id: rest.to_owned() },
        "name" => Reading::Name(rest.to_owned()),
        "pod" => pod(rest).ok_or_else(|| malformed("pod (NAMESPACE/NAME or NAME)"))?,
        "pid" => Reading::Pid(rest.parse().map_err(|_| malformed("PID"))?),
        "netns" if rest.starts_with('/') => Reading::Path(rest.to_owned()),
        "netns" if rest.is_empty() || rest.contains('/') => return Err(malformed("netns inode, name or path")),
        "netns" => rest.parse().map_or_else(|_| Reading::NetnsName(rest.to_owned()), Reading::Inode),
        "ip" => Reading::Ip(address(rest).ok_or_else(|| malformed("IP address"))?),
        "mac" => Reading::Mac(rest.parse().map_err(|_| malformed("MAC address"))?),
        "dev" => Reading::Device(rest.to_owned()),
        "ifindex" => Reading::Ifindex(rest.parse().map_err(|_| malformed("ifindex"))?),
        "ep" | "cilium-local" => Reading::Endpoint(rest.parse().map_err(|_| malformed("endpoint id"))?),
        "cep" | "cep-name" => cilium_endpoint(rest).ok_or_else(|| malformed("CiliumEndpoint (NAMESPACE/NAME)"))?,
        "identity" => Reading::Identity(rest.parse().map_err(|_| malformed("identity (a number)"))?),
        _ => return Ok(None),
    }))
}

/// A bare word is everything that it could be.
fn bare(text: &str) -> Vec<Reading> {
    if let Some(ip) = address(text) {
        return vec![Reading::Ip(ip)];
    }
    if let Ok(mac) = text.parse() {
        return vec![Reading::Mac(mac)];
    }
    let mut readings = Vec::new();
    if let Ok(number) = text.parse::<u64>() {
        readings.push(Reading::Inode(number));
        if let Ok(number) = u32::try_from(number) {
            readings.extend([Reading::Pid(number), Reading::Ifindex(number), Reading::Endpoint(number)]);
        }
    }
    if text.len() >= SHORTEST_ID && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        readings.push(Reading::Container { runtime: None, id: text.to_ascii_lowercase() });
    }
    if !text.contains('/') {
        readings.push(Reading::Name(text.to_owned()));
        readings.push(Reading::Device(text.to_owned()));
        readings.push(Reading::NetnsName(text.to_owned()));
    }
    readings.extend(pod(text));
    readings
}

/// As it is, or with the length of its prefix, as `ip addr` prints it, or with the interface that leads to it, as ping and
/// logs do (RFC 4007, section 11). Neither half can be a Kubernetes namespace and a pod's name: a namespace has no dots and
/// no colons.
fn address(text: &str) -> Option<IpAddr> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let zoned = address.split_once('%').filter(|(address, zone)| address.contains(':') && !zone.is_empty());
    let address: IpAddr = zoned.map_or(address, |(address, _)| address).parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let fits = |length: &str| length.parse::<u8>().is_ok_and(|length| length <= longest);
    length.is_none_or(fits).then_some(address)
}

fn cilium_endpoint(text: &str) -> Option<Reading> {
    match pod(text)? {
        Reading::Pod { namespace: Some(namespace), name, container: None } => {
            Some(Reading::CiliumEndpoint { namespace, name })
        }
        _ => None,
    }
}

fn pod(text: &str) -> Option<Reading> {
    let parts: Vec<&str> = text.split('/').collect();
    let (namespace, name, container) = match *parts.as_slice() {
        [name] => (None, name, None),
        [namespace, name] => (Some(namespace), name, None),
        [namespace, name, container] => (Some(namespace), name, Some(container)),
        _ => return None,
    };
    let filled = parts.iter().all(|part| !part.is_empty());
    let owned = |text: &str| text.to_owned();
    filled.then(|| Reading::Pod {
        namespace: namespace.map(owned),
        name: name.to_owned(),
        container: container.map(owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(text: &str) -> Vec<Reading> {
        text.parse::<Target>().unwrap().readings
    }

    #[test]
    fn explicit_spellings_mean_one_thing() {
        let container = |runtime: &str| vec![Reading::Container { runtime: Some(runtime.into()), id: "3f2a".into() }];
        assert_eq!(readings("cri-o://3f2a"), container("cri-o"));
        assert_eq!(readings("ep:157"), [Reading::Endpoint(157)]);
        let cep = Reading::CiliumEndpoint { namespace: "default".into(), name: "web".into() };
        assert_eq!(readings("cep:default/web"), [cep]);
        assert_eq!(readings("identity:24105"), [Reading::Identity(24105)]);
        assert_eq!(readings("pid:4313"), [Reading::Pid(4313)]);
        assert_eq!(readings("netns:4026532281"), [Reading::Inode(4026532281)]);
        assert_eq!(readings("net:[4026532281]"), [Reading::Inode(4026532281)]);
        assert_eq!(readings("netns:/run/netns/x"), [Reading::Path("/run/netns/x".into())]);
        assert_eq!(readings("/proc/1/ns/net"), [Reading::Path("/proc/1/ns/net".into())]);
        assert_eq!(readings("fd42::1"), [Reading::Ip("fd42::1".parse().unwrap())]);
        assert_eq!(readings("22:72:9c:50:45:e1"), [Reading::Mac("22:72:9c:50:45:e1".parse().unwrap())]);
    }

    #[test]
    fn an_address_may_have_its_prefix_length_or_its_interface() {
        for (text, address) in [
            ("10.9.9.3/24", "10.9.9.3"),
            ("ip:10.9.9.3/32", "10.9.9.3"),
            ("fd42::1/64", "fd42::1"),
            ("::1/128", "::1"),
            ("ip:fd42::1/0", "fd42::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("ip:fe80::1%2/64", "fe80::1"),
        ] {
            assert_eq!(readings(text), [Reading::Ip(address.parse().unwrap())], "{text}");
        }
        let pod = |namespace: &str, name: &str| {
            [Reading::Pod { namespace: Some(namespace.into()), name: name.into(), container: None }]
        };
        assert_eq!(readings("10/24"), pod("10", "24"));
        assert_eq!(readings("a/b"), pod("a", "b"));
        assert_eq!(readings("pod:10.9.9.3/24"), pod("10.9.9.3", "24"));
        assert_eq!(readings("10.9.9.3/33"), pod("10.9.9.3", "33"));
        for text in [
            "ip:10.9.9.3%eth0",
            "ip:fe80::1%",
            "ip:10.9.9.3/33",
            "ip:fd42::1/129",
            "ip:10.9.9.3/",
            "ip:10.9.9.3/24/8",
            "ip:/24",
        ] {
            assert!(matches!(text.parse::<Target>(), Err(Unusable::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_many_things() {
        let found = readings("750");
        assert!(
            found.contains(&Reading::Pid(750))
                && found.contains(&Reading::Ifindex(750))
                && found.contains(&Reading::Inode(750))
                && found.contains(&Reading::Endpoint(750))
        );
        assert!(found.contains(&Reading::Container { runtime: None, id: "750".into() }));
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let long = "x".repeat(LONGEST + 1);
        for (text, unusable) in [("", Unusable::Empty), ("a\u{1b}[2J", Unusable::Control), (&long, Unusable::TooLong)] {
            assert_eq!(text.parse::<Target>(), Err(unusable));
        }
        for text in ["pid:x", "ep:x", "ep:-1", "cep:web", "cep:a/b/c", "identity:"] {
            assert!(matches!(text.parse::<Target>(), Err(Unusable::Malformed { .. })), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = text.parse::<Target>().map(|target| target.depth());
        }
    }
}
