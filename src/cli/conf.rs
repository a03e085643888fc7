//! `--conf`: which network of CNI plugins is meant, where its plugins are and what they are told.

use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::Error;
use crate::cni::cache::Cache;
use crate::cni::chain::{Attachment, Runtime};
use crate::cni::config_dir::{self, Pick, Standing};
use crate::cni::{CACHE_ROOT, Network, args, exec, netconf};
use crate::flow::delegate::Delegate;
use crate::flow::guest::Guest;
use crate::view::chain::{self as view, ChainNetwork};

/// As kubelet's own, for a pod's sandbox.
const DEADLINE: Duration = Duration::from_secs(240);

/// Which network, and what its plugins are told.
#[derive(Args, Debug)]
pub struct Conf {
    /// The network of CNI plugins: a conflist, - for standard input, or auto for the one that the runtime here takes
    #[arg(long, value_name = "FILE|-|auto")]
    pub conf: Option<String>,
    #[command(flatten)]
    pub told: Told,
}

#[derive(Args, Debug)]
pub struct Told {
    /// Where the plugins are, with colons between; else where the runtime looks
    #[arg(long, value_name = "DIRS", env = "CNI_PATH", hide_env_values = true)]
    cni_path: Option<String>,
    /// CNI_ARGS for the plugins: K=V;K=V
    #[arg(long, value_name = "ARGS", env = "CNI_ARGS", hide_env_values = true)]
    pub cni_args: Option<String>,
    /// For the plugins that declare the capabilities: a JSON object, as {"portMappings": […]}
    #[arg(long, value_name = "JSON", env = "CAP_ARGS", hide_env_values = true)]
    cap_args: Option<String>,
    /// Where libcni's cache is
    #[arg(long, value_name = "DIR", default_value = CACHE_ROOT)]
    cni_cache: PathBuf,
}

/// A network that was found, and a runtime for it.
pub struct Found {
    pub network: Network,
    pub shown: ChainNetwork,
    pub runtime: Runtime,
}

impl Found {
    /// The plugin that gives the addresses of a network of one plugin.
    pub fn delegate(&self, kind: String, args: &str) -> Delegate {
        let request = self.network.plugins.first().map(|plugin| self.network.request(plugin, None, &Map::new()));
        let (path, version) = (self.runtime.path.clone(), self.network.version);
        Delegate { kind, path, args: args.to_owned(), version, request: request.unwrap_or_default() }
    }
}

impl Told {
    pub fn find(&self, conf: &str) -> Result<Found, Error> {
        let readers = config_dir::readers(Path::new("/"));
        let given: Option<Vec<PathBuf>> = self.cni_path.as_ref().map(|path| std::env::split_paths(path).collect());
        let (network, source, reasons, directories) = match conf {
            "auto" => automatic(readers, given.as_deref().unwrap_or_default())?,
            "-" => (from_stdin()?, "standard input".to_owned(), Vec::new(), usual_directories(readers)),
            file => {
                let failed = |source| Error::Conf { conf: file.to_owned(), source };
                (
                    netconf::load(Path::new(file)).map_err(failed)?,
                    file.to_owned(),
                    Vec::new(),
                    usual_directories(readers),
                )
            }
        };
        let path = given.unwrap_or(directories);
        let runtime = Runtime { path, cache: Cache::open(&self.cni_cache), deadline: DEADLINE };
        let shown = view::network(&network, source, reasons);
        Ok(Found { network, shown, runtime })
    }

    pub fn attachment(&self, guest: &Guest) -> Result<Attachment, Error> {
        let args = self.cni_args.as_deref().map(args::pairs).transpose();
        let args = args.map_err(|invalid| Error::Usage { message: format!("--cni-args: {invalid}") })?;
        let capabilities = self.cap_args.as_deref().map(serde_json::from_str::<Map<String, Value>>).transpose();
        let capabilities = capabilities
            .map_err(|invalid| Error::Usage { message: format!("--cap-args is no JSON object: {invalid}") })?;
        Ok(Attachment {
            owner: guest.owner.clone(),
            netns: Some(guest.place.path()),
            args: args.unwrap_or_default(),
            capabilities: capabilities.unwrap_or_default(),
        })
    }
}

fn usual_directories(readers: Vec<config_dir::Reader>) -> Vec<PathBuf> {
    readers.into_iter().flat_map(|reader| reader.plugin_directories).collect()
}

fn from_stdin() -> Result<Network, Error> {
    let mut bytes = Vec::new();
    let failed = |source| Error::Conf { conf: "-".to_owned(), source };
    stdin().take(4 << 20).read_to_end(&mut bytes).map_err(|error| failed(netconf::Invalid::Read(error)))?;
    Network::parse(&bytes).map_err(failed)
}

/// What the first runtime that is configured here takes, and why; its plugins may be in the `given` directories, too.
fn automatic(
    readers: Vec<config_dir::Reader>,
    given: &[PathBuf],
) -> Result<(Network, String, Vec<String>, Vec<PathBuf>), Error> {
    let mut refused = Vec::new();
    for reader in readers {
        let pick = config_dir::look(reader)?;
        let reasons = reasons(&pick, given);
        let directories = pick.reader.plugin_directories.clone();
        let picked = pick.files.into_iter().find(|file| file.standing == Standing::Picked);
        match picked.map(|file| (file.path.display().to_string(), file.network)) {
            Some((source, Ok(network))) => return Ok((network, source, reasons, directories)),
            _ => refused.push(format!("{}: {}", pick.reader.directory.display(), reasons.join("; "))),
        }
    }
    Err(Error::NoNetwork { why: refused.join("; ") })
}

fn reasons(pick: &Pick, given: &[PathBuf]) -> Vec<String> {
    let runtime = pick.reader.runtime.unwrap_or("a runtime");
    let mut reasons = Vec::new();
    for file in &pick.files {
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let why = file.network.as_ref().err().map(ToString::to_string);
        reasons.push(match (&file.standing, why) {
            (Standing::Picked, _) => format!("{runtime} takes {name}"),
            (Standing::Also { ifname }, _) => format!("{name} for {ifname}, too"),
            (Standing::Shadowed { .. }, _) => format!("not {name}: its name comes later"),
            (Standing::SameName { .. }, _) => format!("not {name}: its network has the same name"),
            (Standing::NotNamed, _) => format!("not {name}: its network is not the one that {runtime} wants"),
            (Standing::PassedOver, Some(why)) => format!("not {name}: {why}"),
            (Standing::PassedOver, None) => format!("not {name}: not installed: {}", file.missing.join(", ")),
            (Standing::Blocks, why) => {
                format!("{name} is damaged, so {runtime} takes no network: {}", why.unwrap_or_default())
            }
            (Standing::Blocked { .. }, _) => format!("{name} is not looked at"),
        });
        let is_nowhere = |kind: &&str| exec::find(kind, given).is_err();
        let missing: Vec<&str> = file.missing.iter().map(String::as_str).filter(is_nowhere).collect();
        if !missing.is_empty() && file.standing == Standing::Picked {
            reasons.push(format!("not installed: {}", missing.join(", ")));
        }
    }
    if pick.files.is_empty() {
        reasons.push(format!("there is no network in {}", pick.reader.directory.display()));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cni::config_dir::{Reader, Rule};

    #[test]
    fn a_plugin_in_the_given_directory_is_not_called_missing() {
        let folder = tempfile::tempdir().unwrap();
        let given = [folder.path().join("bin")];
        fs::create_dir(folder.path().join("net.d")).unwrap();
        fs::create_dir(&given[0]).unwrap();
        fs::write(given[0].join("a"), "").unwrap();
        let list = r#"{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "a"}, {"type": "b"}]}"#;
        fs::write(folder.path().join("net.d/10-n.conflist"), list).unwrap();
        let (directory, rule) = (folder.path().join("net.d"), Rule::FirstFiles { most: None });
        let reader = Reader { runtime: None, config: None, directory, plugin_directories: Vec::new(), rule };
        let pick = config_dir::look(reader).unwrap();
        assert_eq!(reasons(&pick, &[]), ["a runtime takes 10-n.conflist", "not installed: a, b"]);
        assert_eq!(reasons(&pick, &given), ["a runtime takes 10-n.conflist", "not installed: b"]);
    }
}
