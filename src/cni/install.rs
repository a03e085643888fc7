//! Putting podnet in place as a plugin, and taking it away: a program where runtimes look for plugins, and a network
//! where they look for networks. What is not podnet's is never touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::cache::{self, Cache};
use super::config_dir::{self, Reader};
use super::exec;
use super::file;
use super::netconf::{self, Network};
use super::version::SpecVersion;
use crate::model::count::counted;

/// The type of the plugin, the name of its program and that of its network.
pub const NAME: &str = "podnet";
/// The usual name of the network's file: behind those that a cluster's own network takes.
pub const FILE: &str = "10-podnet.conflist";

/// In every program of podnet, so that one is known without being run.
const MARK: &[u8] = b"podnet: this program is podnet's CNI plugin\n";
const LONGEST_PROGRAM: u64 = 256 << 20;
/// For a plugin to say its versions.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where to put them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    pub plugins: PathBuf,
    pub networks: PathBuf,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub path: PathBuf,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Written,
    Replaced,
    /// It was there and is podnet's.
    Kept,
    Removed,
    /// There was nothing to remove.
    Absent,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} is a program of somebody else: it is left alone")]
    ForeignProgram { path: PathBuf },
    #[error("{path} is not podnet's network, but {what}: it is left alone")]
    ForeignNetwork { path: PathBuf, what: String },
    #[error("there is a network {NAME} already, in {path}")]
    NameTaken { path: PathBuf },
    #[error(
        "still attached to the network {NAME}: {}, {first} among them; without the plugin a runtime cannot delete them",
        counted(count, "container", "containers")
    )]
    StillAttached { count: usize, first: String },
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Directory(#[from] config_dir::Unreadable),
    #[error(transparent)]
    Cache(#[from] cache::Error),
}

impl Places {
    fn program(&self) -> PathBuf {
        self.plugins.join(NAME)
    }

    fn network(&self) -> PathBuf {
        self.networks.join(FILE)
    }

    /// As a runtime would read them.
    fn reader(&self, usual: &Reader) -> Reader {
        let (directory, plugin_directories) = (self.networks.clone(), vec![self.plugins.clone()]);
        Reader { directory, plugin_directories, ..usual.clone() }
    }
}

/// Puts program and network in place, the program first, so that no runtime meets a network without its plugin. A network
/// of podnet's that is there is kept: it may have been edited.
pub fn install(program: &Path, places: &Places) -> Result<[Placed; 2], Error> {
    let (target, network) = (places.program(), places.network());
    let has_network = is_ours(&network)?;
    if let Some(path) = name_elsewhere(places)? {
        return Err(Error::NameTaken { path });
    }
    let bytes = read_program(program)?;
    let action = match is_podnet(&target)? {
        None => Action::Written,
        Some(there) if there == bytes => Action::Kept,
        Some(_) => Action::Replaced,
    };
    if action != Action::Kept {
        place(&target, 0o755, &bytes)?;
    }
    let network_action = if has_network { Action::Kept } else { Action::Written };
    if !has_network {
        place(&network, 0o644, configuration(places).as_bytes())?;
    }
    Ok([Placed { path: target, action }, Placed { path: network, action: network_action }])
}

/// Takes the network away, then the program; not while containers are attached, unless `force`d.
pub fn uninstall(places: &Places, cache: &Cache, force: bool) -> Result<[Placed; 2], Error> {
    let (program, network) = (places.program(), places.network());
    let has_network = is_ours(&network)?;
    let has_program = is_podnet(&program)?.is_some();
    if !force {
        refuse_while_attached(cache)?;
    }
    Ok([remove(network, has_network)?, remove(program, has_program)?])
}

fn remove(path: PathBuf, is_there: bool) -> Result<Placed, Error> {
    let action = if is_there { Action::Removed } else { Action::Absent };
    match file::remove(&path) {
        Ok(()) => Ok(Placed { path, action }),
        Err(source) => Err(Error::Write { path, source }),
    }
}

fn refuse_while_attached(cache: &Cache) -> Result<(), Error> {
    let entries = cache.entries()?;
    let mut attached =
        entries.iter().filter_map(|entry| entry.cached.as_ref().ok()).filter(|cached| cached.network == NAME);
    match attached.next() {
        None => Ok(()),
        Some(cached) => Err(Error::StillAttached { count: 1 + attached.count(), first: cached.container_id.clone() }),
    }
}

/// What an operator should know of the places, beside what was written there.
pub fn remarks(places: &Places, usual: &Reader) -> Result<Vec<String>, Error> {
    let mut remarks = Vec::new();
    for (kind, lack) in
        [("portmap", "the network has no host ports"), ("loopback", "containerd and CRI-O start no pod without it")]
    {
        if exec::find(kind, std::slice::from_ref(&places.plugins)).is_err() {
            remarks.push(format!("{} has no plugin {kind}: {lack}", places.plugins.display()));
        }
    }
    let runtime = usual.runtime.unwrap_or("a runtime");
    if usual.directory != places.networks {
        remarks.push(format!("{runtime} reads its networks in {}", usual.directory.display()));
    }
    if !usual.plugin_directories.contains(&places.plugins) {
        let places: Vec<_> = usual.plugin_directories.iter().map(|path| path.display().to_string()).collect();
        remarks.push(format!("{runtime} looks for plugins in {}", places.join(", ")));
    }
    let pick = config_dir::look(places.reader(usual))?;
    if let Some(file) = pick.blocking() {
        remarks.push(format!("{runtime} takes no network at all: {} is damaged", file.path.display()));
    } else if let Some(file) = pick.picked().filter(|file| file.path != places.network()) {
        remarks.push(format!("{runtime} takes {} and not this network: its name comes first", file.path.display()));
    }
    Ok(remarks)
}

/// The network's file, in a version that all of its plugins speak.
pub fn configuration(places: &Places) -> String {
    let mut plugins = vec![json!({
        "type": NAME,
        // By the last, containerd and CRI-O hand on a pod's annotations, which can name its pool.
        "capabilities": { "ips": true, "mac": true, "io.kubernetes.cri.pod-annotations": true },
    })];
    let mut versions = SpecVersion::OF_PLUGIN.to_vec();
    if let Ok(program) = exec::find("portmap", std::slice::from_ref(&places.plugins)) {
        plugins.push(json!({ "type": "portmap", "capabilities": { "portMappings": true } }));
        let spoken = exec::versions(&program, PATIENCE);
        versions.retain(|version| spoken.as_ref().is_ok_and(|spoken| spoken.supports(*version)));
    }
    // Runtimes before 2024 read the first alone, and know none later than 1.0.0.
    let single = versions.iter().copied().filter(|version| *version <= SpecVersion::V1_0_0).max();
    let network = json!({
        "cniVersion": single.unwrap_or(SpecVersion::V0_4_0),
        "cniVersions": versions,
        "name": NAME,
        "plugins": plugins,
    });
    format!("{network:#}\n")
}

/// Whether the network's file is there. One of somebody else's is an error.
fn is_ours(path: &Path) -> Result<bool, Error> {
    let foreign = |what: String| Error::ForeignNetwork { path: path.to_owned(), what };
    match netconf::load(path) {
        Ok(network) if is_podnets(&network) => Ok(true),
        Ok(network) => Err(foreign(format!("{} of {}", network.name, kinds(&network)))),
        Err(netconf::Invalid::Read(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(netconf::Invalid::Read(source)) => Err(Error::Read { path: path.to_owned(), source }),
        Err(invalid) => Err(foreign(format!("a file of which this is wrong: {invalid}"))),
    }
}

fn is_podnets(network: &Network) -> bool {
    network.name == NAME && network.plugins.first().is_some_and(|plugin| plugin.kind == NAME)
}

fn kinds(network: &Network) -> String {
    network.plugins.iter().map(|plugin| plugin.kind.as_str()).collect::<Vec<_>>().join(", ")
}

/// Two networks of one name would share their attachments in libcni's cache.
fn name_elsewhere(places: &Places) -> Result<Option<PathBuf>, Error> {
    let pick = config_dir::look(places.reader(&Reader::usual(Path::new("/"))))?;
    let has_name = |file: &config_dir::File| file.network.as_ref().is_ok_and(|network| network.name == NAME);
    Ok(pick.files.into_iter().find(|file| file.path != places.network() && has_name(file)).map(|file| file.path))
}

/// The bytes of podnet's own program at `path`; `None` where nothing is. A foreign one is an error.
fn is_podnet(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read_program(path) {
        Ok(bytes) if bytes.windows(MARK.len()).any(|window| window == MARK) => Ok(Some(bytes)),
        Ok(_) => Err(Error::ForeignProgram { path: path.to_owned() }),
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_program(path: &Path) -> Result<Vec<u8>, Error> {
    file::read_at_most(path, LONGEST_PROGRAM).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// Whole or not at all, under a name that no runtime looks at until then.
fn place(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    file::make_directory(directory, 0o755).map_err(failed)?;
    let staged = directory.join(format!(".{}.new", name.to_string_lossy()));
    file::write(&staged, path, mode, bytes).map_err(failed)?;
    // The umask of whoever runs this must not keep the runtime from reading it.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (tempfile::TempDir, Places, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { plugins: folder.path().join("bin"), networks: folder.path().join("net.d") };
        let program = folder.path().join("podnet-of-test");
        fs::write(&program, [b"one ", MARK, b" more"].concat()).unwrap();
        (folder, places, program)
    }

    fn actions(placed: [Placed; 2]) -> [Action; 2] {
        placed.map(|placed| placed.action)
    }

    #[test]
    fn comes_and_goes_and_can_come_again() {
        let (folder, places, program) = places();
        let cache = Cache::open(&folder.path().join("cache"));
        assert_eq!(actions(install(&program, &places).unwrap()), [Action::Written; 2]);
        assert_eq!(actions(install(&program, &places).unwrap()), [Action::Kept; 2]);
        fs::write(&program, [b"two ", MARK].concat()).unwrap();
        assert_eq!(actions(install(&program, &places).unwrap()), [Action::Replaced, Action::Kept]);
        assert_eq!(fs::read(places.program()).unwrap(), [b"two ", MARK].concat());
        let network = netconf::load(&places.network()).unwrap();
        assert_eq!((network.name.as_str(), network.version), ("podnet", SpecVersion::V1_1_0));
        for directory in [&places.plugins, &places.networks] {
            assert_eq!(fs::read_dir(directory).unwrap().count(), 1, "nothing staged is left");
        }
        assert_eq!(actions(uninstall(&places, &cache, false).unwrap()), [Action::Removed; 2]);
        assert_eq!(actions(uninstall(&places, &cache, false).unwrap()), [Action::Absent; 2]);
    }

    #[test]
    fn what_belongs_to_others_is_left_alone() {
        let (folder, places, program) = places();
        let cache = Cache::open(&folder.path().join("cache"));
        fs::create_dir_all(&places.plugins).unwrap();
        fs::create_dir_all(&places.networks).unwrap();
        fs::write(places.program(), "of somebody").unwrap();
        assert!(matches!(install(&program, &places), Err(Error::ForeignProgram { .. })));
        assert!(matches!(uninstall(&places, &cache, true), Err(Error::ForeignProgram { .. })));
        assert!(!places.network().exists());
        fs::remove_file(places.program()).unwrap();
        for text in [
            r#"{"name": "podnet", "plugins": [{"type": "ptp"}]}"#,
            r#"{"name": "x", "plugins": [{"type": "podnet"}]}"#,
            "{",
        ] {
            fs::write(places.network(), text).unwrap();
            assert!(matches!(install(&program, &places), Err(Error::ForeignNetwork { .. })), "{text}");
            assert!(matches!(uninstall(&places, &cache, true), Err(Error::ForeignNetwork { .. })), "{text}");
            assert_eq!(fs::read_to_string(places.network()).unwrap(), text);
        }
        fs::remove_file(places.network()).unwrap();
        fs::write(places.networks.join("20-x.conf"), r#"{"name": "podnet", "type": "podnet"}"#).unwrap();
        assert!(matches!(install(&program, &places), Err(Error::NameTaken { .. })));
        assert!(!places.program().exists());
    }

    #[test]
    fn it_stays_while_containers_are_attached() {
        let (folder, places, program) = places();
        let cache = Cache::open(&folder.path().join("cache"));
        install(&program, &places).unwrap();
        let owner = crate::ipam::Owner::new("c1", "eth0").unwrap();
        let cached = cache::Cached {
            network: NAME.into(),
            container_id: "c1".into(),
            ifname: "eth0".into(),
            ..Default::default()
        };
        cache.put(&owner, &cached).unwrap();
        assert!(matches!(uninstall(&places, &cache, false), Err(Error::StillAttached { count: 1, .. })));
        assert!(places.program().exists());
        assert_eq!(actions(uninstall(&places, &cache, true).unwrap()), [Action::Removed; 2]);
    }

    #[test]
    fn who_comes_first_and_what_is_missing_is_told() {
        let (_folder, places, program) = places();
        install(&program, &places).unwrap();
        let here = places.reader(&Reader::usual(Path::new("/")));
        assert_eq!(remarks(&places, &here).unwrap().len(), 2, "portmap and loopback");
        fs::write(
            places.networks.join("05-cilium.conflist"),
            r#"{"name": "cilium", "plugins": [{"type": "cilium-cni"}]}"#,
        )
        .unwrap();
        let said = remarks(&places, &here).unwrap().join("\n");
        assert!(said.contains("takes") && said.contains("05-cilium.conflist"), "{said}");
        fs::write(places.networks.join("00.conf"), "{").unwrap();
        assert!(remarks(&places, &here).unwrap().join("\n").contains("no network at all"));
    }
}
