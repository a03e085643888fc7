//! The files in order, and how each of them stands.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::reader::{Reader, Rule};
use crate::cni::exec;
use crate::cni::netconf::{Form, Invalid, Network, load};

/// What a reader makes of its directory.
#[derive(Debug)]
pub struct Pick {
    pub reader: Reader,
    /// Those that it looks at, in the order in which it does.
    pub files: Vec<File>,
    /// Others in the directory: backups (`.cilium_bak`), notes.
    pub ignored: Vec<PathBuf>,
}

#[derive(Debug)]
pub struct File {
    pub path: PathBuf,
    pub network: Result<Network, Invalid>,
    /// Types of its plugins, and of the address plugins that they name, that are in none of the directories.
    pub missing: Vec<String>,
    /// Those that are there, and that nobody may execute.
    pub not_executable: Vec<String>,
    pub standing: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The network that pods get.
    Picked,
    /// A further one, for an interface of its own (containerd with `max_conf_num`).
    Also { ifname: String },
    /// Fine, but this one comes first.
    Shadowed { by: PathBuf },
    /// Its name was taken by this one.
    SameName { as_in: PathBuf },
    /// The reader wants the network of another name.
    NotNamed,
    /// Left out: damaged, or with a plugin that is not installed.
    PassedOver,
    /// Damaged, and so the reader has no network at all.
    Blocks,
    /// Never looked at, because of this one.
    Blocked { by: PathBuf },
}

#[derive(Debug, thiserror::Error)]
#[error("cannot read the directory of CNI networks {path}")]
pub struct Unreadable {
    pub path: PathBuf,
    pub source: io::Error,
}

/// Looks at a reader's directory. It changes nothing and runs no plugin.
pub fn look(reader: Reader) -> Result<Pick, Unreadable> {
    let (paths, ignored) =
        list(&reader.directory).map_err(|source| Unreadable { path: reader.directory.clone(), source })?;
    let file = |path: PathBuf| {
        let network = load(&path);
        let kinds = network.as_ref().map(kinds).unwrap_or_default();
        let program = |kind: &str| exec::find(kind, &reader.plugin_directories).ok();
        let (found, missing): (Vec<String>, Vec<String>) = kinds.into_iter().partition(|kind| program(kind).is_some());
        let refused = |kind: &String| program(kind).is_some_and(|program| !is_executable(&program));
        let not_executable = found.into_iter().filter(refused).collect();
        File { missing, not_executable, path, network, standing: Standing::PassedOver }
    };
    let mut files: Vec<File> = paths.into_iter().map(file).collect();
    match &reader.rule {
        Rule::FirstFiles { most } => first_files(&mut files, *most),
        Rule::FirstUsable { named } => first_usable(&mut files, named.as_deref()),
    }
    Ok(Pick { reader, files, ignored })
}

impl Pick {
    pub fn picked(&self) -> Option<&File> {
        self.files.iter().find(|file| file.standing == Standing::Picked)
    }

    /// The damaged file that keeps the reader from having any network.
    pub fn blocking(&self) -> Option<&File> {
        self.files.iter().find(|file| file.standing == Standing::Blocks)
    }
}

/// The files that are looked at, and the others. No directory, no files.
fn list(directory: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(error) => return Err(error),
    };
    // As libcni does: by the kind that readdir(3) tells, so a link to a directory is a file.
    let is_file = |entry: &fs::DirEntry| !entry.file_type().is_ok_and(|kind| kind.is_dir());
    let entries = entries.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().filter(|entry| is_file(entry)).map(fs::DirEntry::path).collect();
    paths.sort_unstable();
    Ok(paths.into_iter().partition(|path| Form::of(path).is_some()))
}

/// The types of its plugins, and of the address plugins that they name.
fn kinds(network: &Network) -> Vec<String> {
    let kinds = network.plugins.iter().flat_map(|plugin| [Some(plugin.kind.as_str()), plugin.ipam()]).flatten();
    let mut kinds: Vec<String> = kinds.map(str::to_owned).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// By anybody: root may execute what has one of the three bits.
fn is_executable(program: &Path) -> bool {
    fs::metadata(program).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

/// containerd's way (go-cni): it stops at the first that is damaged, and at as many as it was told to take.
fn first_files(files: &mut [File], most: Option<usize>) {
    let most = most.unwrap_or(usize::MAX);
    let first = files.first().map(|file| file.path.clone()).unwrap_or_default();
    let blocking = files.iter().take(most).find(|file| file.network.is_err()).map(|file| file.path.clone());
    for (nth, file) in files.iter_mut().enumerate() {
        file.standing = match &blocking {
            Some(path) if *path == file.path => Standing::Blocks,
            Some(path) => Standing::Blocked { by: path.clone() },
            None if nth == 0 => Standing::Picked,
            None if nth < most => Standing::Also { ifname: format!("eth{nth}") },
            None => Standing::Shadowed { by: first.clone() },
        };
    }
}

/// CRI-O's way (ocicni): it passes over what it cannot use.
fn first_usable(files: &mut [File], named: Option<&str>) {
    let mut seen: Vec<(String, PathBuf)> = Vec::new();
    for file in &mut *files {
        let Ok(network) = &file.network else { continue };
        if !has_its_plugins(file, network) {
            continue;
        }
        let earlier = seen.iter().find(|(name, _)| *name == network.name).map(|(_, path)| path.clone());
        let wanted = named.is_none_or(|name| name == network.name);
        let picked =
            seen.iter().find(|(name, _)| named.is_none_or(|named| named == name)).map(|(_, path)| path.clone());
        file.standing = match (earlier, wanted, picked) {
            (Some(as_in), _, _) => Standing::SameName { as_in },
            (None, false, _) => Standing::NotNamed,
            (None, true, Some(by)) => Standing::Shadowed { by },
            (None, true, None) => Standing::Picked,
        };
        seen.push((network.name.clone(), file.path.clone()));
    }
}

/// CRI-O asks for the plugins themselves, not for those that they delegate to.
fn has_its_plugins(file: &File, network: &Network) -> bool {
    !network.plugins.iter().any(|plugin| file.missing.contains(&plugin.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["net.d", "bin"] {
                fs::create_dir(folder.path().join(name)).unwrap();
            }
            for name in ["ptp", "host-local"] {
                fs::write(folder.path().join("bin").join(name), "").unwrap();
            }
            for (name, text) in files {
                fs::write(folder.path().join("net.d").join(name), text).unwrap();
            }
            Self(folder)
        }

        fn look(&self, rule: Rule) -> Vec<(String, Standing)> {
            let (directory, plugin_directories) = (self.0.path().join("net.d"), vec![self.0.path().join("bin")]);
            let pick = look(Reader { runtime: None, config: None, directory, plugin_directories, rule }).unwrap();
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            pick.files.iter().map(|file| (name(&file.path), file.standing.clone())).collect()
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join("net.d").join(name)
        }
    }

    const ONE: &str =
        r#"{"name": "one", "cniVersion": "1.0.0", "plugins": [{"type": "ptp", "ipam": {"type": "dhcp"}}]}"#;
    const TWO: &str = r#"{"name": "two", "cniVersion": "1.0.0", "type": "ptp"}"#;
    const ABSENT: &str = r#"{"name": "absent", "plugins": [{"type": "cilium-cni"}]}"#;

    fn standing(found: &[(String, Standing)], name: &str) -> Standing {
        found.iter().find(|(found, _)| found == name).unwrap().1.clone()
    }

    #[test]
    fn the_first_name_wins_and_shadows_the_others() {
        let directory = Directory::new(&[
            ("20-b.conf", TWO),
            ("10-a.conflist", ONE),
            ("05-x.conflist.cilium_bak", ONE),
            ("n.txt", ""),
        ]);
        for rule in [Rule::FirstFiles { most: Some(1) }, Rule::FirstUsable { named: None }] {
            let found = directory.look(rule);
            assert_eq!(found.len(), 2);
            assert_eq!(standing(&found, "10-a.conflist"), Standing::Picked);
            assert_eq!(standing(&found, "20-b.conf"), Standing::Shadowed { by: directory.path("10-a.conflist") });
        }
        let found = directory.look(Rule::FirstFiles { most: None });
        assert_eq!(standing(&found, "20-b.conf"), Standing::Also { ifname: "eth1".into() });
    }

    #[test]
    fn a_damaged_file_blocks_containerd_and_is_passed_over_by_cri_o() {
        let directory = Directory::new(&[("00-bad.conflist", "{"), ("10-a.conflist", ONE)]);
        let found = directory.look(Rule::FirstFiles { most: Some(1) });
        assert_eq!(standing(&found, "00-bad.conflist"), Standing::Blocks);
        assert_eq!(standing(&found, "10-a.conflist"), Standing::Blocked { by: directory.path("00-bad.conflist") });
        let found = directory.look(Rule::FirstUsable { named: None });
        assert_eq!(standing(&found, "00-bad.conflist"), Standing::PassedOver);
        assert_eq!(standing(&found, "10-a.conflist"), Standing::Picked);
        // One that comes later does containerd no harm.
        let directory = Directory::new(&[("10-a.conflist", ONE), ("90-bad.conf", "{}")]);
        let found = directory.look(Rule::FirstFiles { most: Some(1) });
        assert_eq!(standing(&found, "10-a.conflist"), Standing::Picked);
    }

    #[test]
    fn cri_o_wants_the_plugins_installed_and_may_want_a_name() {
        let directory = Directory::new(&[
            ("00-n.conflist", ABSENT),
            ("10-a.conflist", ONE),
            ("20-b.conf", TWO),
            ("30-b.conf", TWO),
        ]);
        let found = directory.look(Rule::FirstUsable { named: Some("two".into()) });
        assert_eq!(standing(&found, "00-n.conflist"), Standing::PassedOver);
        assert_eq!(standing(&found, "10-a.conflist"), Standing::NotNamed);
        assert_eq!(standing(&found, "20-b.conf"), Standing::Picked);
        assert_eq!(standing(&found, "30-b.conf"), Standing::SameName { as_in: directory.path("20-b.conf") });
        assert_eq!(standing(&directory.look(Rule::FirstFiles { most: Some(1) }), "00-n.conflist"), Standing::Picked);
    }

    #[test]
    fn missing_plugins_are_named_with_those_that_they_delegate_to() {
        let directory = Directory::new(&[("10-a.conflist", ONE)]);
        let reader = || Reader { directory: directory.0.path().join("net.d"), ..Reader::usual(Path::new("/")) };
        let bin = vec![directory.0.path().join("bin")];
        let pick = look(Reader { plugin_directories: bin, ..reader() }).unwrap();
        assert_eq!(pick.files[0].missing, ["dhcp"]);
        assert_eq!(pick.files[0].not_executable, ["ptp"], "it was written without the right");
        assert_eq!(
            look(Reader { plugin_directories: Vec::new(), ..reader() }).unwrap().files[0].missing,
            ["dhcp", "ptp"]
        );
        let nowhere = Reader { directory: directory.0.path().join("none"), ..Reader::usual(Path::new("/")) };
        assert!(look(nowhere).unwrap().files.is_empty());
    }
}
