//! Cilium's pinned maps, by the layout that their sizes say. An unknown layout is named, and never misread.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use crate::collect::kernel::bpf_map::{Error as MapError, Map};
use crate::model::datapath::{AddressIdentity, Drops, LocalEndpoint};
use crate::model::mac::Mac;

/// Below the BPF file system, from 1.9 to 1.20.
const PINS: &str = "tc/globals";
const LOCAL_ENDPOINTS: &str = "cilium_lxc";
/// The newer first: where both are, the older one is a left-over.
const IDENTITIES: [&str; 2] = ["cilium_ipcache_v2", "cilium_ipcache"];
/// Endpoint id → the program that judges what is sent to it.
const POLICY_PROGRAMS: &str = "cilium_call_policy";
const RUNTIME: &str = "cilium_runtime_config";
const METRICS: &str = "cilium_metrics";
/// `endpoint_info.flags`.
const HOST: u32 = 1;
/// `endpoint_key.family`.
const IPV4: u8 = 1;
const IPV6: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Map(#[from] MapError),
    #[error("{name} has keys of {key} and values of {value} bytes, a layout that podnet does not know")]
    Layout { name: String, key: usize, value: usize },
    #[error("cannot read {name}")]
    Read { name: String, source: io::Error },
}

/// Whether Cilium pinned anything there.
pub fn is_there(bpf: &Path) -> bool {
    let pins = bpf.join(PINS);
    [LOCAL_ENDPOINTS, IDENTITIES[0], IDENTITIES[1]].iter().any(|name| pins.join(name).exists())
}

/// All of `cilium_lxc`, by address.
pub fn local_endpoints(bpf: &Path) -> Result<Vec<LocalEndpoint>, Error> {
    let map = Map::open(&bpf.join(PINS).join(LOCAL_ENDPOINTS))?;
    if (map.key_size, map.value_size) != (20, 48) {
        return Err(unknown(LOCAL_ENDPOINTS, &map));
    }
    let entries = map.entries().map_err(|source| Error::Read { name: LOCAL_ENDPOINTS.to_owned(), source })?;
    let mut found: Vec<LocalEndpoint> = entries.iter().filter_map(|(key, value)| local_endpoint(key, value)).collect();
    found.sort_by_key(|endpoint| endpoint.address);
    Ok(found)
}

/// What the ipcache says of addresses, each by its longest prefix.
pub fn identities(bpf: &Path, addresses: &[IpAddr]) -> Result<Vec<AddressIdentity>, Error> {
    let (name, map) = ipcache(bpf)?;
    let mut found = Vec::new();
    for address in addresses {
        let value = map.lookup(&ipcache_key(*address));
        let value = value.map_err(|source| Error::Read { name: name.to_owned(), source })?;
        found.extend(value.and_then(|value| identity(*address, &value)));
    }
    Ok(found)
}

fn ipcache(bpf: &Path) -> Result<(&'static str, Map), Error> {
    let path = |name: &str| -> PathBuf { bpf.join(PINS).join(name) };
    let name = IDENTITIES.into_iter().find(|name| path(name).exists()).unwrap_or(IDENTITIES[1]);
    let map = Map::open(&path(name))?;
    match (map.key_size, map.value_size) {
        (24, 12 | 24) => Ok((name, map)),
        _ => Err(unknown(name, &map)),
    }
}

/// Which of these endpoints have a program to be called for what is sent to them; None where there is no such map.
pub fn with_program(bpf: &Path, endpoints: &[u32]) -> Result<Option<Vec<u32>>, Error> {
    let Some(map) = open(bpf, POLICY_PROGRAMS, |key, value| (key, value) == (4, 4))? else { return Ok(None) };
    let mut found = Vec::new();
    for id in endpoints {
        if map.lookup(&id.to_le_bytes()).map_err(|source| unread(POLICY_PROGRAMS, source))?.is_some() {
            found.push(*id);
        }
    }
    Ok(Some(found))
}

/// How long ago the agent last wrote that it lives, which it does every second, in milliseconds; None where it does not
/// do so at all (before 1.14).
pub fn heartbeat(bpf: &Path) -> Result<Option<u64>, Error> {
    const HEARTBEAT: u32 = 1;
    let Some(map) = open(bpf, RUNTIME, |key, value| (key, value) == (4, 8))? else { return Ok(None) };
    let value = map.lookup(&HEARTBEAT.to_le_bytes()).map_err(|source| unread(RUNTIME, source))?;
    let written = value.and_then(|value| Some(u64::from_le_bytes(value.get(..8)?.try_into().ok()?)));
    let now =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_err(|errno| unread(RUNTIME, errno.into()))?;
    let now = u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0);
    Ok(written.filter(|written| *written != 0).map(|written| now.saturating_sub(written) / 1_000_000))
}

/// How many packets were dropped, by reason and direction. Reasons below 130 are no drops.
pub fn drops(bpf: &Path) -> Result<Vec<Drops>, Error> {
    const FIRST: u8 = 130;
    let path = bpf.join(PINS).join(METRICS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let map = Map::open_by_cpu(&path)?;
    if map.key_size < 2 || map.value_size != 16 {
        return Err(unknown(METRICS, &map));
    }
    let mut found: std::collections::BTreeMap<(u8, u8), u64> = std::collections::BTreeMap::new();
    for (key, value) in map.entries().map_err(|source| unread(METRICS, source))? {
        let (Some(reason), Some(direction)) = (key.first().copied(), key.get(1).map(|bits| bits & 0b11)) else {
            continue;
        };
        let counts = map.by_cpu(&value).filter_map(|one| one.get(..8)?.try_into().ok().map(u64::from_le_bytes));
        if reason >= FIRST {
            *found.entry((reason, direction)).or_default() += counts.sum::<u64>();
        }
    }
    let direction = |bits| match bits {
        1 => "ingress",
        2 => "egress",
        3 => "service",
        _ => "unknown",
    };
    let told = |((reason, bits), packets)| Drops { reason, direction: direction(bits).to_owned(), packets };
    Ok(found.into_iter().map(told).collect())
}

/// The map of that name, if it is pinned, and of a layout that is known.
fn open(bpf: &Path, name: &str, fits: impl Fn(usize, usize) -> bool) -> Result<Option<Map>, Error> {
    let path = bpf.join(PINS).join(name);
    if !path.exists() {
        return Ok(None);
    }
    let map = Map::open(&path)?;
    if fits(map.key_size, map.value_size) { Ok(Some(map)) } else { Err(unknown(name, &map)) }
}

fn unread(name: &str, source: io::Error) -> Error {
    Error::Read { name: name.to_owned(), source }
}

fn unknown(name: &str, map: &Map) -> Error {
    Error::Layout { name: name.to_owned(), key: map.key_size, value: map.value_size }
}

/// `endpoint_key`, `endpoint_info`.
fn local_endpoint(key: &[u8], value: &[u8]) -> Option<LocalEndpoint> {
    let address = address(key.get(..16)?, *key.get(16)?)?;
    let flags = u32_at(value, 8)?;
    Some(LocalEndpoint {
        address,
        endpoint_id: u16::from_le_bytes(value.get(6..8)?.try_into().ok()?),
        ifindex: u32_at(value, 0)?,
        mac: mac_at(value, 16),
        host_mac: mac_at(value, 24),
        identity: u32_at(value, 32).filter(|identity| *identity != 0),
        is_host: flags & HOST != 0,
    })
}

/// `ipcache_key`: 32 bits before the address are part of the prefix.
fn ipcache_key(address: IpAddr) -> [u8; 24] {
    let mut key = [0; 24];
    let (bits, family) = match address {
        IpAddr::V4(_) => (64u32, IPV4),
        IpAddr::V6(_) => (160, IPV6),
    };
    key[..4].copy_from_slice(&bits.to_le_bytes());
    key[7] = family;
    match address {
        IpAddr::V4(address) => key[8..12].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => key[8..].copy_from_slice(&address.octets()),
    }
    key
}

/// `remote_endpoint_info`, in both sizes.
fn identity(address: IpAddr, value: &[u8]) -> Option<AddressIdentity> {
    let (tunnel_endpoint, encryption_key) = match value.len() {
        12 => (v4_at(value, 4)?, *value.get(10)?),
        _ => {
            const IPV6_TUNNEL: u8 = 1 << 2;
            let flags = *value.get(23)?;
            let six: [u8; 16] = value.get(4..20)?.try_into().ok()?;
            let endpoint = if flags & IPV6_TUNNEL != 0 { IpAddr::from(Ipv6Addr::from(six)) } else { v4_at(value, 4)? };
            (endpoint, *value.get(22)?)
        }
    };
    Some(AddressIdentity {
        address,
        identity: u32_at(value, 0)?,
        tunnel_endpoint: Some(tunnel_endpoint).filter(|endpoint| !endpoint.is_unspecified()),
        encryption_key,
    })
}

fn address(bytes: &[u8], family: u8) -> Option<IpAddr> {
    match family {
        IPV4 => v4_at(bytes, 0),
        IPV6 => Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))),
        _ => None,
    }
}

fn v4_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(IpAddr::from(Ipv4Addr::from(octets)))
}

/// Host byte order, which is little-endian wherever Cilium runs.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn mac_at(bytes: &[u8], at: usize) -> Option<Mac> {
    let mac: [u8; 6] = bytes.get(at..at + 6)?.try_into().ok()?;
    Some(Mac(mac)).filter(|mac| mac.0 != [0; 6])
}
