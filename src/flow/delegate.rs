//! Addresses from another plugin: `ipam.type` of a netconf, run as the CNI spec has it (section 4).

use std::ffi::OsString;
use std::io::{Write, stderr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::Error;
use crate::cni::exec::{self, Call};
use crate::cni::invocation::{self, Verb};
use crate::cni::result::{AddResult, Dns};
use crate::cni::version::SpecVersion;
use crate::ipam::{LeasedAddress, Owner};

/// A plugin that asks a server may take its time.
const DEADLINE: Duration = Duration::from_secs(90);

/// The plugin that gives the addresses, and all that it is told, so that another process can give them back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delegate {
    pub kind: String,
    pub path: Vec<PathBuf>,
    /// `CNI_ARGS`.
    #[serde(default)]
    pub args: String,
    pub version: SpecVersion,
    /// The whole netconf, as podnet was given it.
    pub request: Map<String, Value>,
}

/// What it gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    pub addresses: Vec<LeasedAddress>,
    pub dns: Dns,
}

impl Delegate {
    /// The first address of each family that is wanted.
    pub fn add(&self, owner: &Owner, netns: &Path, wanted: impl Fn(IpAddr) -> bool) -> Result<Given, Error> {
        let (result, ran) = self.call(Verb::Add, Some(owner), netns)?.run_add(self.version)?;
        pass_on(&ran.stderr);
        let addresses: Vec<LeasedAddress> = [true, false]
            .into_iter()
            .filter_map(|ipv4| self.first(&result, ipv4))
            .filter(|leased| wanted(leased.address.addr()))
            .collect();
        if addresses.is_empty() {
            return Err(Error::NoAddress { kind: self.kind.clone() });
        }
        Ok(Given { addresses, dns: result.dns })
    }

    fn first(&self, result: &AddResult, ipv4: bool) -> Option<LeasedAddress> {
        let ip = result.ips.iter().find(|ip| ip.address.addr().is_ipv4() == ipv4)?;
        let gateway = ip.gateway.filter(|gateway| gateway.is_ipv4() == ipv4).unwrap_or_else(|| own_gateway(ipv4));
        Some(LeasedAddress { address: ip.address, gateway, pool: self.kind.clone() })
    }

    /// DEL, CHECK, STATUS or GC.
    pub fn tell(&self, verb: Verb, owner: Option<&Owner>, netns: &Path) -> Result<(), exec::Error> {
        let ran = self.call(verb, owner, netns)?.run()?;
        pass_on(&ran.stderr);
        Ok(())
    }

    fn call(&self, verb: Verb, owner: Option<&Owner>, netns: &Path) -> Result<Call, exec::Error> {
        let program = exec::find(&self.kind, &self.path)?;
        let mut variables = vec![(invocation::PATH, std::env::join_paths(&self.path).unwrap_or_default())];
        if let Some(owner) = owner {
            variables.push((invocation::CONTAINER_ID, owner.container_id().into()));
            variables.push((invocation::IFNAME, owner.ifname().into()));
            variables.push((invocation::NETNS, netns.into()));
            variables.push((invocation::ARGS, OsString::from(&self.args)));
        }
        let stdin = Value::Object(self.request.clone()).to_string().into_bytes();
        Ok(Call { program, verb, variables, stdin, deadline: DEADLINE })
    }
}

/// Where the plugin names none: one on the link, that the host answers for and that nothing else has.
fn own_gateway(ipv4: bool) -> IpAddr {
    if ipv4 { Ipv4Addr::new(169, 254, 1, 1).into() } else { Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into() }
}

/// A delegated plugin's log goes to the log of who called.
fn pass_on(text: &[u8]) {
    let _ = stderr().write_all(text);
}
