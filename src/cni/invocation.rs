//! How a plugin is called: `CNI_COMMAND` and the variables that go with it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use super::args::Args;
use super::error::{Code, Refusal};
use crate::ipam::Owner;

pub const COMMAND: &str = "CNI_COMMAND";
pub const CONTAINER_ID: &str = "CNI_CONTAINERID";
pub const NETNS: &str = "CNI_NETNS";
pub const IFNAME: &str = "CNI_IFNAME";
pub const ARGS: &str = "CNI_ARGS";
pub const PATH: &str = "CNI_PATH";
/// Not of the spec: plugins in Go then work on their own netns, too.
pub const NETNS_OVERRIDE: &str = "CNI_NETNS_OVERRIDE";

/// Every variable of the protocol.
pub const VARIABLES: [&str; 7] = [COMMAND, CONTAINER_ID, NETNS, IFNAME, ARGS, PATH, NETNS_OVERRIDE];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

impl Verb {
    pub const ALL: [Self; 6] = [Self::Add, Self::Del, Self::Check, Self::Gc, Self::Status, Self::Version];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }

    /// Whether it is about one attachment.
    pub fn has_attachment(self) -> bool {
        matches!(self, Self::Add | Self::Del | Self::Check)
    }

    fn needs(self, variable: &str) -> bool {
        match variable {
            CONTAINER_ID | IFNAME => self.has_attachment(),
            NETNS => matches!(self, Self::Add | Self::Check),
            PATH => self == Self::Gc,
            _ => false,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Verb {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text).ok_or_else(|| {
            let message = format!("{COMMAND}: «{text}» is none of ADD, DEL, CHECK, GC, STATUS, VERSION");
            Refusal::new(Code::INVALID_ENVIRONMENT, message)
        })
    }
}

/// One call of a plugin, its environment checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    pub verb: Verb,
    /// Which attachment: always for ADD, DEL and CHECK.
    pub owner: Option<Owner>,
    /// Always for ADD and CHECK.
    pub netns: Option<PathBuf>,
    pub args: Args,
    /// `CNI_ARGS` as it was given, for plugins that are delegated to.
    pub raw_args: String,
    /// Where other plugins are.
    pub path: Vec<PathBuf>,
}

impl Invocation {
    /// Reads the variables by `get`, and refuses in the words of the spec.
    pub fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, Refusal> {
        let wrong = |variable: &str, why: &dyn fmt::Display| {
            Refusal::new(Code::INVALID_ENVIRONMENT, format!("{variable}: {why}"))
        };
        let text = |variable: &str| -> Result<Option<String>, Refusal> {
            let value = get(variable).filter(|value| !value.is_empty());
            value.map(|value| value.into_string().map_err(|_| wrong(variable, &"no text"))).transpose()
        };
        let Some(command) = text(COMMAND)? else { return Err(missing(&[COMMAND])) };
        let verb: Verb = command.parse()?;
        let is_missing = |variable: &&str| verb.needs(variable) && get(variable).is_none_or(|value| value.is_empty());
        let absent: Vec<&str> = VARIABLES.into_iter().filter(|variable| is_missing(variable)).collect();
        if !absent.is_empty() {
            return Err(missing(&absent));
        }
        let owner = match (verb.has_attachment(), text(CONTAINER_ID)?, text(IFNAME)?) {
            (true, Some(container_id), Some(ifname)) => {
                Some(Owner::new(&container_id, &ifname).map_err(|invalid| match invalid {
                    crate::ipam::owner::Invalid::ContainerId { .. } => wrong(CONTAINER_ID, &invalid),
                    crate::ipam::owner::Invalid::Ifname { .. } => wrong(IFNAME, &invalid),
                })?)
            }
            _ => None,
        };
        let raw_args = text(ARGS)?.unwrap_or_default();
        let args = match verb {
            // What is deleted was added with them; they stand in the way of nothing now.
            Verb::Del => Args::parse(&raw_args).unwrap_or_default(),
            Verb::Add | Verb::Check => Args::parse(&raw_args).map_err(|invalid| wrong(ARGS, &invalid))?,
            _ => Args::default(),
        };
        let netns = get(NETNS).filter(|value| verb.has_attachment() && !value.is_empty()).map(PathBuf::from);
        let path = get(PATH).map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
        Ok(Self { verb, owner, netns, args, raw_args, path })
    }
}

fn missing(variables: &[&str]) -> Refusal {
    Refusal::new(Code::INVALID_ENVIRONMENT, format!("required variables are missing: {}", variables.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Invocation, Refusal> {
        Invocation::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    const ATTACHMENT: [(&str, &str); 3] = [(CONTAINER_ID, "c1"), (IFNAME, "eth0"), (NETNS, "/run/netns/a")];

    fn with(verb: &'static str, change: (&'static str, &'static str)) -> Vec<(&'static str, &'static str)> {
        let mut variables = vec![(COMMAND, verb), change];
        variables.extend(ATTACHMENT.into_iter().filter(|(name, _)| *name != change.0));
        variables
    }

    #[test]
    fn every_verb_with_what_it_needs_is_taken() {
        for verb in Verb::ALL {
            let call = read(&with(verb.as_str(), (PATH, "/opt/cni/bin:/usr/lib/cni"))).unwrap();
            assert_eq!((call.verb, call.owner.is_some()), (verb, verb.has_attachment()));
            assert_eq!(call.path.len(), 2);
        }
        let del = read(&[(COMMAND, "DEL"), (CONTAINER_ID, "c1"), (IFNAME, "eth0"), (ARGS, "NEW=1")]).unwrap();
        assert_eq!(del.netns, None);
        read(&[(COMMAND, "STATUS")]).unwrap();
        read(&[(COMMAND, "VERSION")]).unwrap();
    }

    #[test]
    fn a_bad_variable_is_named_with_code_4() {
        for (variables, named) in [
            (vec![], COMMAND),
            (vec![(COMMAND, "add")], COMMAND),
            (with("ADD", (CONTAINER_ID, "")), CONTAINER_ID),
            (with("ADD", (CONTAINER_ID, "../x")), CONTAINER_ID),
            (with("ADD", (CONTAINER_ID, "a/b")), CONTAINER_ID),
            (with("ADD", (IFNAME, "")), IFNAME),
            (with("ADD", (IFNAME, "0123456789abcdef")), IFNAME),
            (with("ADD", (IFNAME, "a/b")), IFNAME),
            (with("CHECK", (IFNAME, "..")), IFNAME),
            (with("ADD", (NETNS, "")), NETNS),
            (with("CHECK", (NETNS, "")), NETNS),
            (with("ADD", (ARGS, "FOO=1")), ARGS),
            (with("DEL", (CONTAINER_ID, "")), CONTAINER_ID),
            (with("GC", (PATH, "")), PATH),
        ] {
            let refusal = read(&variables).unwrap_err();
            assert_eq!(refusal.code, Code::INVALID_ENVIRONMENT);
            assert!(refusal.message.contains(named), "{variables:?}: {refusal}");
        }
        let all = read(&[(COMMAND, "ADD")]).unwrap_err().message;
        assert!([CONTAINER_ID, IFNAME, NETNS].iter().all(|name| all.contains(name)), "{all}");
    }
}
