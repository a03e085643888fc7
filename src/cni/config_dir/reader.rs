//! Who reads a directory of networks here, and which: from the configuration of the runtimes.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::cni::{CONFIG_DIRECTORY, PLUGIN_DIRECTORY, file};

/// Where containerd is configured: its own place, k3s, RKE2, k0s, MicroK8s.
const CONTAINERD: [&str; 5] = [
    "etc/containerd/config.toml",
    "var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "var/lib/rancher/rke2/agent/etc/containerd/config.toml",
    "etc/k0s/containerd.toml",
    "var/snap/microk8s/current/args/containerd.toml",
];
/// Where its versions 2, 1 (of the configuration: 3, 2, 1) keep the CNI settings.
const CONTAINERD_PLUGINS: [&str; 3] = ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri"];
const CRI_O: &str = "etc/crio/crio.conf";
const CRI_O_PARTS: &str = "etc/crio/crio.conf.d";

/// A runtime, as far as it picks networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// containerd, cri-o; absent where none is configured here.
    pub runtime: Option<&'static str>,
    /// The file that says so.
    pub config: Option<PathBuf>,
    pub directory: PathBuf,
    pub plugin_directories: Vec<PathBuf>,
    pub rule: Rule,
}

/// How it picks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// containerd: the first files, as many as `most`; a damaged one among them, and there is no network at all.
    FirstFiles { most: Option<usize> },
    /// CRI-O: damaged files, and those with a plugin that is not installed, are passed over; of what is left the
    /// network that is named, or the first.
    FirstUsable { named: Option<String> },
}

impl Reader {
    /// What most do, where no runtime is configured: it reads the usual directory.
    pub fn usual(root: &Path) -> Self {
        Self {
            runtime: None,
            config: None,
            directory: below(root, Path::new(CONFIG_DIRECTORY)),
            plugin_directories: vec![below(root, Path::new(PLUGIN_DIRECTORY))],
            rule: Rule::FirstFiles { most: Some(1) },
        }
    }
}

/// The readers that are configured below `root`, `/` on a node; the usual one where there is none.
pub fn readers(root: &Path) -> Vec<Reader> {
    let containerd = CONTAINERD.iter().filter_map(|place| containerd(root, &root.join(place)));
    let mut readers: Vec<Reader> = containerd.chain(cri_o(root)).collect();
    if readers.is_empty() {
        readers.push(Reader::usual(root));
    }
    readers
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn table(path: &Path) -> Option<Table> {
    String::from_utf8(file::read(path).ok()?).ok()?.parse().ok()
}

fn containerd(root: &Path, config: &Path) -> Option<Reader> {
    let main = table(config)?;
    if has_no_cri(&main) {
        return None;
    }
    let imported = imports(root, &main);
    // What is imported counts more, and the last import most.
    let tables: Vec<&Table> = imported.iter().rev().chain([&main]).collect();
    let setting = |key: &str| tables.iter().find_map(|table| containerd_cni(table)?.get(key));
    let directories = |key: &str| setting(key).map(texts).filter(|texts| !texts.is_empty());
    let usual = Reader::usual(root);
    let plugin_directories = directories("bin_dirs").or_else(|| directories("bin_dir"));
    let most = setting("max_conf_num").and_then(Value::as_integer).unwrap_or(1);
    Some(Reader {
        runtime: Some("containerd"),
        config: Some(config.to_owned()),
        directory: directories("conf_dir")
            .and_then(|paths| Some(below(root, Path::new(paths.first()?))))
            .unwrap_or(usual.directory),
        plugin_directories: plugin_directories
            .map_or(usual.plugin_directories, |paths| paths.iter().map(|path| below(root, Path::new(path))).collect()),
        rule: Rule::FirstFiles { most: usize::try_from(most).ok().filter(|most| *most > 0) },
    })
}

/// Docker's packages ship a containerd without it.
fn has_no_cri(table: &Table) -> bool {
    let disabled = table.get("disabled_plugins").map(texts).unwrap_or_default();
    disabled.iter().any(|name| CONTAINERD_PLUGINS.contains(&name.as_str()))
}

fn containerd_cni(table: &Table) -> Option<&Table> {
    let plugins = table.get("plugins")?.as_table()?;
    CONTAINERD_PLUGINS.iter().find_map(|name| plugins.get(*name)?.as_table()?.get("cni")?.as_table())
}

/// `imports`: paths, the last part of which may be `*.toml`.
fn imports(root: &Path, table: &Table) -> Vec<Table> {
    let patterns = table.get("imports").map(texts).unwrap_or_default();
    let files = patterns.iter().flat_map(|pattern| match pattern.strip_suffix("/*.toml") {
        Some(directory) => toml_files(&below(root, Path::new(directory))),
        None => vec![below(root, Path::new(pattern))],
    });
    files.filter_map(|file| self::table(&file)).collect()
}

fn toml_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort_unstable();
    files
}

/// A text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    let one = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    match value.as_array() {
        Some(values) => values.iter().filter_map(one).collect(),
        None => one(value).into_iter().collect(),
    }
}

fn cri_o(root: &Path) -> Option<Reader> {
    let parts = fs::read_dir(root.join(CRI_O_PARTS)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut parts: Vec<PathBuf> = parts.collect();
    parts.sort_unstable();
    let files: Vec<PathBuf> = std::iter::once(root.join(CRI_O)).chain(parts).collect();
    let tables: Vec<(&PathBuf, Table)> = files.iter().filter_map(|path| Some((path, table(path)?))).collect();
    let (config, _) = tables.first()?;
    // The last file counts most.
    let setting = |key: &str| {
        let network = |table: &Table| texts(table.get("crio")?.get("network")?.get(key)?).into_iter().next_back();
        tables.iter().rev().find_map(|(_, table)| network(table))
    };
    let plugin_directories = tables.iter().rev().find_map(|(_, table)| {
        let network = table.get("crio")?.get("network")?;
        Some(texts(network.get("plugin_dirs").or_else(|| network.get("plugin_dir"))?))
    });
    let usual = Reader::usual(root);
    Some(Reader {
        runtime: Some("cri-o"),
        config: Some((*config).clone()),
        directory: setting("network_dir").map_or(usual.directory, |path| below(root, Path::new(&path))),
        plugin_directories: plugin_directories
            .filter(|paths| !paths.is_empty())
            .map_or(usual.plugin_directories, |paths| paths.iter().map(|path| below(root, Path::new(path))).collect()),
        rule: Rule::FirstUsable { named: setting("cni_default_network") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, place: &str, text: &str) {
        let path = root.join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn only(root: &Path) -> Reader {
        let mut found = readers(root);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn containerd_says_where_it_looks_in_every_form_of_its_configuration() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(only(root), Reader::usual(root));
        for (plugin, bins) in [
            ("cri", "bin_dir = '/b'"),
            ("\"io.containerd.grpc.v1.cri\"", "bin_dir = '/b'"),
            ("'io.containerd.cri.v1.runtime'", "bin_dirs = ['/b', '/c']"),
        ] {
            let text = format!("version = 2\n[plugins.{plugin}.cni]\n{bins}\nconf_dir = '/a'\nmax_conf_num = 2\n");
            write(root, "etc/containerd/config.toml", &text);
            let reader = only(root);
            assert_eq!(reader.directory, root.join("a"), "{plugin}");
            assert_eq!(reader.plugin_directories[0], root.join("b"));
            assert_eq!(reader.rule, Rule::FirstFiles { most: Some(2) });
        }
        write(root, "etc/containerd/config.toml", "imports = ['/etc/containerd/conf.d/*.toml']\n");
        write(root, "etc/containerd/conf.d/9.toml", "[plugins.'io.containerd.cri.v1.runtime'.cni]\nconf_dir = '/z'\n");
        assert_eq!(only(root).directory, root.join("z"));
        write(root, "etc/containerd/config.toml", "disabled_plugins = ['cri']\n");
        assert_eq!(only(root), Reader::usual(root));
        write(root, "etc/containerd/config.toml", "not toml");
        assert_eq!(only(root), Reader::usual(root));
    }

    #[test]
    fn cri_o_says_where_it_looks_and_the_last_file_wins() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "etc/crio/crio.conf", "[crio.network]\nnetwork_dir = '/a'\nplugin_dirs = ['/p']\n");
        write(root, "etc/crio/crio.conf.d/10.conf", "[crio.network]\nnetwork_dir = '/b'\n");
        write(root, "etc/crio/crio.conf.d/20.conf", "[crio.network]\ncni_default_network = 'blue'\n");
        let reader = only(root);
        assert_eq!((reader.runtime, reader.directory), (Some("cri-o"), root.join("b")));
        assert_eq!(reader.plugin_directories, [root.join("p")]);
        assert_eq!(reader.rule, Rule::FirstUsable { named: Some("blue".into()) });
    }
}
