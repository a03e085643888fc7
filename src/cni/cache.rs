//! libcni's cache: what each attachment was made with and what came of it, a file each under
//! `results/NETWORK-CONTAINER-INTERFACE`. Runtimes write it; podnet reads all of it, and writes it
//! when it is the runtime.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::file;
use super::netconf::{self, Network};
use super::result::{self, AddResult};
use super::version::SpecVersion;
use crate::ipam::Owner;

const KIND: &str = "cniCacheV1";

/// What a runtime kept of an attachment. Text of unknown origin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cached {
    pub network: String,
    pub container_id: String,
    pub ifname: String,
    /// Of libcni 1.1 and later.
    pub netns: Option<String>,
    /// The list that it was made from, as it was then. Empty in files of libcni before 0.8.
    pub config: Vec<u8>,
    pub args: Vec<(String, String)>,
    pub capabilities: Map<String, Value>,
    /// What the last plugin gave back, in its own version.
    pub result: Value,
    /// The file held the result alone, as libcni before 0.8 wrote it: the parts of its name are a guess.
    pub is_bare: bool,
}

/// A file of the cache.
#[derive(Debug)]
pub struct Entry {
    pub path: PathBuf,
    /// When it was written, where the filesystem tells: the time of the ADD.
    pub since: Option<SystemTime>,
    pub cached: Result<Cached, Unclear>,
}

/// Why a file tells of no attachment.
#[derive(Debug, thiserror::Error)]
pub enum Unclear {
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("the file is no JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("the file is neither an entry of libcni's cache nor a result")]
    Neither,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read libcni's cache {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write libcni's cache {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} of libcni's cache is damaged (it can be removed when its attachment is gone)")]
    Damaged { path: PathBuf, source: Unclear },
}

/// The cache under a root, `/var/lib/cni` in most places.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// The form on disk.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnDisk {
    kind: String,
    container_id: String,
    #[serde(default)]
    config: Option<String>,
    if_name: String,
    network_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cni_args: Option<Vec<(String, String)>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capability_args: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    result: Value,
}

impl Cache {
    pub fn open(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn directory(&self) -> PathBuf {
        self.root.join("results")
    }

    fn path(&self, network: &str, owner: &Owner) -> PathBuf {
        self.directory().join(format!("{network}-{}-{}", owner.container_id(), owner.ifname()))
    }

    /// Every file, by name. Without a cache there is none.
    pub fn entries(&self) -> Result<Vec<Entry>, Error> {
        let directory = self.directory();
        let failed = |source| Error::Read { path: directory.clone(), source };
        let names = match fs::read_dir(&directory) {
            Ok(names) => names.collect::<io::Result<Vec<_>>>().map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut paths: Vec<PathBuf> = names.into_iter().map(|entry| entry.path()).collect();
        paths.sort_unstable();
        // One that is gone by now belonged to an attachment that is gone.
        Ok(paths.into_iter().filter_map(entry).collect())
    }

    /// What is kept of one attachment; `None` when nothing.
    pub fn get(&self, network: &str, owner: &Owner) -> Result<Option<Cached>, Error> {
        let path = self.path(network, owner);
        let Some(Entry { cached, path, .. }) = entry(path) else { return Ok(None) };
        let mut cached = cached.map_err(|source| Error::Damaged { path, source })?;
        if cached.is_bare {
            // Who asks knows the names.
            network.clone_into(&mut cached.network);
            owner.container_id().clone_into(&mut cached.container_id);
            owner.ifname().clone_into(&mut cached.ifname);
        }
        Ok(Some(cached))
    }

    /// Keeps an attachment, as libcni does. Nobody sees half of a file.
    pub fn put(&self, owner: &Owner, cached: &Cached) -> Result<(), Error> {
        let path = self.path(&cached.network, owner);
        let failed = |source| Error::Write { path: path.clone(), source };
        let json = serde_json::to_vec(&OnDisk::from(cached)).map_err(|error| failed(error.into()))?;
        file::make_directory(&self.directory(), 0o700).map_err(failed)?;
        // Outside of results/, where a runtime would take it for an attachment.
        let staged = self.root.join(format!(".podnet-{}", std::process::id()));
        file::write(&staged, &path, 0o600, &json).map_err(failed)
    }

    /// Forgets an attachment; one that is not kept is fine.
    pub fn remove(&self, network: &str, owner: &Owner) -> Result<(), Error> {
        let path = self.path(network, owner);
        file::remove(&path).map_err(|source| Error::Write { path, source })
    }
}

/// `None` for a file that is not there.
fn entry(path: PathBuf) -> Option<Entry> {
    let since = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
    let cached = match file::read(&path) {
        Ok(bytes) => parse(&bytes, path.file_name().and_then(|name| name.to_str()).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(Unclear::Unreadable(error)),
    };
    Some(Entry { path, since, cached })
}

fn parse(bytes: &[u8], name: &str) -> Result<Cached, Unclear> {
    let value: Value = serde_json::from_slice(bytes).map_err(Unclear::NotJson)?;
    if value.get("kind").and_then(Value::as_str) == Some(KIND) {
        let on_disk: OnDisk = serde_json::from_value(value).map_err(Unclear::NotJson)?;
        return Ok(on_disk.into());
    }
    let is_result =
        value.get("cniVersion").is_some() && AddResult::decode(value.clone(), SpecVersion::UNSTATED).is_ok();
    if is_result { Ok(bare(value, name)) } else { Err(Unclear::Neither) }
}

/// `NETWORK-CONTAINER-INTERFACE`; the first may hold hyphens, so the last two parts are taken from the end.
fn bare(result: Value, name: &str) -> Cached {
    let mut parts = name.rsplitn(3, '-').map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    let (ifname, container_id, network) = (part(), part(), part());
    Cached { network, container_id, ifname, result, is_bare: true, ..Cached::default() }
}

impl From<OnDisk> for Cached {
    fn from(on_disk: OnDisk) -> Self {
        Self {
            network: on_disk.network_name,
            container_id: on_disk.container_id,
            ifname: on_disk.if_name,
            netns: on_disk.netns,
            config: on_disk.config.and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default(),
            args: on_disk.cni_args.unwrap_or_default(),
            capabilities: on_disk.capability_args.unwrap_or_default(),
            result: on_disk.result,
            is_bare: false,
        }
    }
}

impl From<&Cached> for OnDisk {
    fn from(cached: &Cached) -> Self {
        Self {
            kind: KIND.to_owned(),
            container_id: cached.container_id.clone(),
            config: Some(STANDARD.encode(&cached.config)),
            if_name: cached.ifname.clone(),
            network_name: cached.network.clone(),
            netns: cached.netns.clone(),
            cni_args: Some(cached.args.clone()).filter(|args| !args.is_empty()),
            capability_args: Some(cached.capabilities.clone()).filter(|args| !args.is_empty()),
            result: cached.result.clone(),
        }
    }
}

impl Cached {
    /// Its result, in the form that podnet keeps; `None` where the file holds none.
    pub fn add_result(&self) -> Result<Option<AddResult>, result::Invalid> {
        match &self.result {
            Value::Null => Ok(None),
            value => AddResult::decode(value.clone(), SpecVersion::UNSTATED).map(Some),
        }
    }

    /// The network as it was at the ADD; `None` where the file does not hold it.
    pub fn network_then(&self) -> Option<Result<Network, netconf::Invalid>> {
        (!self.config.is_empty()).then(|| Network::parse(&self.config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0"}], "dns": {}}"#;

    fn cached() -> Cached {
        Cached {
            network: "pod-net".into(),
            container_id: "c1".into(),
            ifname: "eth0".into(),
            netns: Some("/run/netns/a".into()),
            config: br#"{"name": "pod-net", "cniVersion": "1.0.0", "plugins": [{"type": "ptp"}]}"#.to_vec(),
            args: vec![("IgnoreUnknown".into(), "1".into())],
            capabilities: Map::from_iter([("portMappings".to_owned(), serde_json::json!([]))]),
            result: serde_json::json!({"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.2/24"}]}),
            is_bare: false,
        }
    }

    #[test]
    fn reads_what_it_wrote_and_what_libcni_wrote() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path());
        assert!(cache.entries().unwrap().is_empty());
        let owner = Owner::new("c1", "eth0").unwrap();
        cache.put(&owner, &cached()).unwrap();
        assert_eq!(cache.get("pod-net", &owner).unwrap(), Some(cached()));
        let written: Value =
            serde_json::from_slice(&fs::read(root.path().join("results/pod-net-c1-eth0")).unwrap()).unwrap();
        let keys: Vec<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
        let libcni =
            ["capabilityArgs", "cniArgs", "config", "containerId", "ifName", "kind", "netns", "networkName", "result"];
        assert_eq!(keys, libcni);
        assert_eq!(written["cniArgs"], serde_json::json!([["IgnoreUnknown", "1"]]));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing staged is left");
        cache.remove("pod-net", &owner).unwrap();
        cache.remove("pod-net", &owner).unwrap();
        assert_eq!(cache.get("pod-net", &owner).unwrap(), None);
    }

    #[test]
    fn damaged_files_are_told_of_and_hide_no_other() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path());
        let owner = Owner::new("c1", "eth0").unwrap();
        cache.put(&owner, &cached()).unwrap();
        let results = root.path().join("results");
        fs::write(results.join("a-half"), "{\"kind\": \"cniCach").unwrap();
        fs::write(results.join("b-empty"), "").unwrap();
        fs::write(results.join("c-other"), "{\"kind\": \"cniCacheV9\"}").unwrap();
        fs::write(results.join("d-short"), "{\"kind\": \"cniCacheV1\"}").unwrap();
        fs::create_dir(results.join("e-directory")).unwrap();
        nix::unistd::mkfifo(&results.join("f-fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(results.join("my-net-3f2a-eth0"), OLD).unwrap();
        let entries = cache.entries().unwrap();
        assert_eq!(entries.len(), 8);
        let good: Vec<&Cached> = entries.iter().filter_map(|entry| entry.cached.as_ref().ok()).collect();
        assert_eq!(good.len(), 2);
        let bare = good[0];
        assert_eq!(
            (bare.network.as_str(), bare.container_id.as_str(), bare.ifname.as_str()),
            ("my-net", "3f2a", "eth0")
        );
        assert!(bare.is_bare && bare.network_then().is_none());
        assert_eq!(bare.add_result().unwrap().unwrap().interfaces[0].name, "eth0");
        assert_eq!(good[1], &cached());
    }
}
