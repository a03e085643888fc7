//! The agent's state directory: the endpoints that it would restore after a start, a directory each.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use serde::Deserialize;
use serde_json::Value;

use crate::model::endpoint::{Endpoint, PodName, StatusChange, ToldBy};

/// An endpoint with a long memory of DNS names comes to some hundred KiB.
const LONGEST: u64 = 16 << 20;
/// Since 1.16, and before: there the JSON is in a comment.
const JSON: &str = "ep_config.json";
const HEADER: &str = "ep_config.h";
const BASE64: &str = "CILIUM_BASE64_";
/// A build that failed and was not repeated with success.
const FAILED: &str = "_next_fail";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is neither {JSON} nor {HEADER}")]
    Missing,
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    #[error("the file is longer than {} MiB", LONGEST >> 20)]
    TooLong,
    #[error("the file holds no endpoint")]
    NoEndpoint,
    #[error("the file is no JSON of an endpoint (half-written?)")]
    NotJson(#[from] serde_json::Error),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    #[serde(rename = "ID")]
    id: Option<u32>,
    #[serde(rename = "ContainerName")]
    container_name: Option<String>,
    #[serde(rename = "dockerID")]
    container_id: Option<String>,
    #[serde(rename = "IfName")]
    interface: Option<String>,
    #[serde(rename = "IfIndex")]
    ifindex: Option<u32>,
    #[serde(rename = "ContainerIfName")]
    container_interface: Option<String>,
    #[serde(rename = "LXCMAC")]
    mac: Value,
    #[serde(rename = "NodeMAC")]
    host_mac: Value,
    #[serde(rename = "IPv4")]
    ipv4: Value,
    #[serde(rename = "IPv6")]
    ipv6: Value,
    #[serde(rename = "IPv4IPAMPool")]
    ipv4_pool: Option<String>,
    #[serde(rename = "IPv6IPAMPool")]
    ipv6_pool: Option<String>,
    #[serde(rename = "SecLabel")]
    identity: Option<Identity>,
    #[serde(rename = "K8sPodName")]
    pod_name: Option<String>,
    #[serde(rename = "K8sNamespace")]
    namespace: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Identity {
    id: Option<u32>,
    labels: Option<BTreeMap<String, Label>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Label {
    key: Option<String>,
    value: Option<String>,
    source: Option<String>,
}

/// The endpoints below `state`, and what could not be read. No directory, no endpoints.
pub fn endpoints(state: &Path) -> io::Result<(Vec<Endpoint>, Vec<String>)> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let mut names = Vec::new();
    for entry in fs::read_dir(state)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let mut ids: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    ids.sort_unstable();
    for id in ids {
        let folder = state.join(id.to_string());
        match endpoint(&folder, id) {
            Ok(mut endpoint) => {
                if names.contains(&format!("{id}{FAILED}")) {
                    endpoint.log.push(failed_build(id));
                }
                found.push(endpoint);
            }
            Err(error) => {
                let why = crate::collect::kernel::problem::chain(&error);
                problems.push(format!("endpoint {id} in {}: {why}", folder.display()));
            }
        }
    }
    Ok((found, problems))
}

fn failed_build(id: u32) -> StatusChange {
    StatusChange {
        code: Some("Failure".to_owned()),
        message: Some(format!("its last build failed, and lies in {id}{FAILED}")),
        ..StatusChange::default()
    }
}

fn endpoint(folder: &Path, id: u32) -> Result<Endpoint, Error> {
    let json = match read(&folder.join(JSON)) {
        Err(Error::Read(error)) if error.kind() == io::ErrorKind::NotFound => return from_header(folder, id),
        other => other?,
    };
    wired(serde_json::from_slice(&json)?, id)
}

/// The comment at the head of the file: the JSON in base64, and the main facts once more in words.
fn from_header(folder: &Path, id: u32) -> Result<Endpoint, Error> {
    let text = match read(&folder.join(HEADER)) {
        Err(Error::Read(error)) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Missing),
        other => other?,
    };
    let text = String::from_utf8_lossy(&text);
    let lines =
        || text.lines().take_while(|line| !line.contains("*/")).map(|line| line.trim_start_matches([' ', '*', '/']));
    let encoded = lines().find_map(|line| line.strip_prefix(BASE64)?.split_once(':'));
    let decoded = encoded.and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok());
    if let Some(wire) = decoded.and_then(|json| serde_json::from_slice::<Wire>(&json).ok()) {
        return wired(wire, id);
    }
    in_words(lines().filter_map(|line| line.split_once(": ")), id)
}

fn in_words<'a>(facts: impl Iterator<Item = (&'a str, &'a str)>, id: u32) -> Result<Endpoint, Error> {
    let mut endpoint = Endpoint { id, told_by: ToldBy::StateDirectory, ..Endpoint::default() };
    let mut said = false;
    for (name, value) in facts {
        let value = value.trim();
        let known = match name {
            "Container ID" => endpoint.container_id.replace(value.to_owned()).is_none(),
            "Container Interface" => endpoint.container_interface.replace(value.to_owned()).is_none(),
            "IPv4 address" | "IPv6 address" => value.parse().is_ok_and(|address: IpAddr| {
                if !address.is_unspecified() {
                    endpoint.addresses.push(address);
                }
                true
            }),
            "Identity" => value.parse().is_ok_and(|identity| endpoint.identity.replace(identity).is_none()),
            "NodeMAC" => value.parse().is_ok_and(|mac| endpoint.host_mac.replace(mac).is_none()),
            _ => false,
        };
        said |= known;
    }
    if said { Ok(endpoint) } else { Err(Error::NoEndpoint) }
}

fn wired(wire: Wire, id: u32) -> Result<Endpoint, Error> {
    // A whole object of something else reads as one without a field of ours.
    let says = wire.id.is_some() || wire.interface.is_some() || wire.container_id.is_some();
    if !says {
        return Err(Error::NoEndpoint);
    }
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let identity = wire.identity.unwrap_or_default();
    let pod = filled(wire.namespace).zip(filled(wire.pod_name));
    let mut endpoint = Endpoint {
        id: wire.id.filter(|id| *id != 0).unwrap_or(id),
        told_by: ToldBy::StateDirectory,
        identity: identity.id,
        labels: identity.labels.unwrap_or_default().into_values().filter_map(label).collect(),
        pod: pod.map(|(namespace, name)| PodName { namespace, name }),
        container_id: filled(wire.container_id),
        container_name: filled(wire.container_name),
        interface: filled(wire.interface),
        ifindex: wire.ifindex.filter(|ifindex| *ifindex != 0),
        container_interface: filled(wire.container_interface),
        mac: wire.mac.as_str().and_then(|text| text.parse().ok()),
        host_mac: wire.host_mac.as_str().and_then(|text| text.parse().ok()),
        ..Endpoint::default()
    };
    for (address, pool) in [(wire.ipv4, wire.ipv4_pool), (wire.ipv6, wire.ipv6_pool)] {
        let Some(address) = address.as_str().and_then(|text| text.parse::<IpAddr>().ok()) else { continue };
        endpoint.addresses.push(address);
        endpoint.pools.extend(filled(pool).map(|pool| (address, pool)));
    }
    Ok(endpoint)
}

/// `source:key=value`, as the agent prints it.
fn label(label: Label) -> Option<String> {
    let source = label.source.unwrap_or_else(|| "unspec".to_owned());
    let value = label.value.filter(|value| !value.is_empty()).map(|value| format!("={value}")).unwrap_or_default();
    Some(format!("{source}:{}{value}", label.key?))
}

/// A FIFO in the place of a file must not hang us, and a symlink must not lead us elsewhere.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST { Err(Error::TooLong) } else { Ok(bytes) }
}
