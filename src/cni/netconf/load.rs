//! Networks in files: the list itself, and the plugins that lie in the directory of its name beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Invalid;
use super::network::{Network, object};
use super::plugin::Plugin;
use crate::cni::file;

/// What a runtime takes a file for, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `.conflist`
    List,
    /// `.conf` or `.json`
    Single,
}

impl Form {
    /// None for a file that runtimes do not look at.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "conflist" => Some(Self::List),
            "conf" | "json" => Some(Self::Single),
            _ => None,
        }
    }
}

/// Loads a network from a file; one of another name is read for what it holds.
pub fn load(path: &Path) -> Result<Network, Invalid> {
    let bytes = file::read(path).map_err(Invalid::Read)?;
    match Form::of(path) {
        Some(Form::List) => with_siblings(Network::parse_list(&bytes)?, path),
        Some(Form::Single) => Network::parse_single(&bytes),
        None => Network::parse(&bytes),
    }
}

/// Appends the plugins in `DIRECTORY/NAME/*.conf`, in the order of their names.
fn with_siblings(mut network: Network, path: &Path) -> Result<Network, Invalid> {
    if !network.load_only_inlined_plugins {
        let directory = path.with_file_name(&network.name);
        for sibling in siblings(&directory).map_err(Invalid::Read)? {
            let nth = network.plugins.len() + 1;
            let plugin = file::read(&sibling)
                .map_err(Invalid::Read)
                .and_then(|bytes| Plugin::parse(object(&bytes)?.into(), nth))
                .map_err(|source| Invalid::Sibling { path: sibling, source: Box::new(source) })?;
            network.plugins.push(plugin);
        }
    }
    network.with_plugins()
}

fn siblings(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let is_plugin = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "conf") && !path.is_dir();
    let mut plugins: Vec<PathBuf> = paths.into_iter().filter(is_plugin).collect();
    plugins.sort_unstable();
    Ok(plugins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_beside_a_list_are_appended_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("10-n.conflist");
        fs::write(&list, r#"{"name": "n", "cniVersion": "1.1.0"}"#).unwrap();
        assert!(matches!(load(&list), Err(Invalid::NoPlugins)));
        fs::create_dir(folder.path().join("n")).unwrap();
        fs::write(folder.path().join("n/20-b.conf"), r#"{"type": "b"}"#).unwrap();
        fs::write(folder.path().join("n/10-a.conf"), r#"{"type": "a"}"#).unwrap();
        fs::write(folder.path().join("n/notes.txt"), "{").unwrap();
        let kinds = |network: Network| network.plugins.into_iter().map(|plugin| plugin.kind).collect::<Vec<_>>();
        assert_eq!(kinds(load(&list).unwrap()), ["a", "b"]);
        fs::write(folder.path().join("n/30-c.conf"), "{}").unwrap();
        assert!(matches!(load(&list), Err(Invalid::Sibling { .. })));
        fs::write(&list, r#"{"name": "n", "plugins": [{"type": "z"}], "loadOnlyInlinedPlugins": true}"#).unwrap();
        assert_eq!(kinds(load(&list).unwrap()), ["z"]);
    }
}
