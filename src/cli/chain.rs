//! `podnet create --conf`, `podnet delete --conf`, `podnet cni check|status|gc`: podnet in the place of a runtime.

use std::collections::BTreeSet;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, Value};

use super::attachment::{State, Subject, owner};
use super::face::Manner;
use super::signals::Signals;
use super::{Common, Error, block_on, key, terminal};
use crate::cni::alive::{self, Standing};
use crate::cni::cache::Cache;
use crate::cni::chain::{Attachment, Chain, Runtime, Turn};
use crate::cni::config_dir::{self, Pick, Standing as FileStanding};
use crate::cni::netconf::{self, Plugin};
use crate::cni::{AddResult, CACHE_ROOT, Network, Verb, args, exec};
use crate::collect::options::Depth;
use crate::collect::survey::survey;
use crate::flow::delegate::Delegate;
use crate::flow::guest::Guest;
use crate::model::source::Status;
use crate::show;
use crate::view::chain::{self as view, ChainNetwork, ChainRun};

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
    shown: ChainNetwork,
    runtime: Runtime,
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

    fn attachment(&self, guest: &Guest) -> Result<Attachment, Error> {
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
        let picked = pick.files.into_iter().find(|file| file.standing == FileStanding::Picked);
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
            (FileStanding::Picked, _) => format!("{runtime} takes {name}"),
            (FileStanding::Also { ifname }, _) => format!("{name} for {ifname}, too"),
            (FileStanding::Shadowed { .. }, _) => format!("not {name}: its name comes later"),
            (FileStanding::SameName { .. }, _) => format!("not {name}: its network has the same name"),
            (FileStanding::NotNamed, _) => format!("not {name}: its network is not the one that {runtime} wants"),
            (FileStanding::PassedOver, Some(why)) => format!("not {name}: {why}"),
            (FileStanding::PassedOver, None) => format!("not {name}: not installed: {}", file.missing.join(", ")),
            (FileStanding::Blocks, why) => {
                format!("{name} is damaged, so {runtime} takes no network: {}", why.unwrap_or_default())
            }
            (FileStanding::Blocked { .. }, _) => format!("{name} is not looked at"),
        });
        let is_nowhere = |kind: &&str| exec::find(kind, given).is_err();
        let missing: Vec<&str> = file.missing.iter().map(String::as_str).filter(is_nowhere).collect();
        if !missing.is_empty() && file.standing == FileStanding::Picked {
            reasons.push(format!("not installed: {}", missing.join(", ")));
        }
    }
    if pick.files.is_empty() {
        reasons.push(format!("there is no network in {}", pick.reader.directory.display()));
    }
    reasons
}

/// Whom, and how it is shown.
pub struct Scene<'a> {
    pub common: &'a Common,
    pub state: &'a State,
    pub name: &'a str,
    pub ifname: &'a str,
    pub manner: Manner,
}

impl Scene<'_> {
    fn guest(&self) -> Result<Guest, Error> {
        let subject = Subject::find(self.name, self.common)?;
        Ok(Guest::new(owner(&subject.container_id, self.ifname)?, subject.place, &self.state.run))
    }

    fn document(&self, verb: Verb, found: &Found, guest: &Guest) -> ChainRun {
        ChainRun {
            container_id: Some(guest.owner.container_id().to_owned()),
            ifname: Some(guest.owner.ifname().to_owned()),
            netns: Some(guest.place.path().display().to_string()),
            ..ChainRun::new(verb.as_str(), found.shown.clone())
        }
    }

    fn write(&self, lines: impl Fn(&show::Page, &mut dyn std::io::Write) -> std::io::Result<()>) {
        let mut text = Vec::new();
        if self.manner != Manner::Silent && lines(&self.common.page(), &mut text).is_ok() {
            let _ = terminal::print(&String::from_utf8_lossy(&text));
        }
    }

    fn show_turn(&self, document: &mut ChainRun, turn: &Turn<'_>) {
        let turn = view::turn(turn);
        self.write(|page, out| show::chain::turn(page, out, &turn));
        document.turns.push(turn);
    }

    fn finish(&self, document: &ChainRun, failed: Option<Box<crate::cni::chain::Error>>) -> Result<u8, Error> {
        match self.manner {
            Manner::Silent => self.common.print(document)?,
            _ => self.write(|page, out| document.closing(page, out)),
        }
        failed.map_or(Ok(0), |error| Err(Error::Chain { error }))
    }

    /// ADD by each plugin; what fails, or is broken off, is undone.
    pub fn add(&self, told: &Told, found: &Found, conf: &str) -> Result<u8, Error> {
        let guest = self.guest()?;
        self.refuse_attached(found, &guest, conf)?;
        let attachment = told.attachment(&guest)?;
        let mut document = self.document(Verb::Add, found, &guest);
        self.write(|page, out| show::chain::heading(page, out, "ADD", &found.shown));
        let made = guest.welcome()?;
        let chain = Chain { runtime: &found.runtime, network: &found.network, attachment: &attachment };
        match self.add_each(&chain, &mut document) {
            Ok(result) => {
                document.result = result.encode(found.network.version).ok();
                self.finish(&document, None)
            }
            Err(stop) => {
                if !matches!(stop, Stop::BeforeAny) {
                    chain.undo(&mut |turn| self.show_turn(&mut document, turn));
                }
                if made {
                    guest.farewell()?;
                }
                match stop {
                    Stop::BeforeAny | Stop::GivenUp => Err(Error::GivenUp),
                    Stop::Failed(error) => self.finish(&document, Some(error)),
                }
            }
        }
    }

    /// An ADD where one was already would fail, and its DEL take down what stood.
    fn refuse_attached(&self, found: &Found, guest: &Guest, conf: &str) -> Result<(), Error> {
        let (network, ifname) = (&found.network.name, guest.owner.ifname());
        let what = if found.runtime.cache.get(network, &guest.owner)?.is_some() {
            format!("libcni's cache has {ifname} of the network {network}")
        } else if guest.has_interface()? {
            format!("{} has an interface {ifname} already", guest.place.path().display())
        } else {
            return Ok(());
        };
        let named = if ifname == "eth0" { String::new() } else { format!(" --ifname {ifname}") };
        let delete = format!("podnet delete {} --conf {conf}{named}", self.name);
        Err(Error::Attached { name: self.name.to_owned(), what, delete })
    }

    fn add_each(&self, chain: &Chain<'_>, document: &mut ChainRun) -> Result<AddResult, Stop> {
        let mut begun = false;
        let mut signals = Signals::collect();
        let mut results: Vec<AddResult> = Vec::new();
        let mut asks = self.manner == Manner::Dialogue;
        let plugins = &chain.network.plugins;
        while let Some(plugin) = plugins.get(results.len()) {
            let nth = results.len();
            let choice = match () {
                () if signals.have_come() => Choice::Quit,
                () if asks => self.ask(nth, plugins, chain, results.last(), &signals),
                () => Choice::Run,
            };
            match choice {
                Choice::Run => {}
                Choice::RunAll => asks = false,
                Choice::UndoLast => {
                    let last = results.pop();
                    if let Some(plugin) = plugins.get(results.len()) {
                        let begin = Instant::now();
                        let told = chain.tell_one(plugin, Verb::Del, last.as_ref());
                        let turn = Turn {
                            verb: Verb::Del,
                            nth: results.len(),
                            plugin,
                            elapsed: begin.elapsed(),
                            before: None,
                            result: None,
                            error: told.as_ref().err(),
                        };
                        self.show_turn(document, &turn);
                        told?;
                    }
                    continue;
                }
                Choice::Quit => return Err(if begun { Stop::GivenUp } else { Stop::BeforeAny }),
            }
            begun = true;
            let begin = Instant::now();
            let added = chain.add_one(plugin, results.last());
            let (result, error) = (added.as_ref().ok(), added.as_ref().err());
            let (elapsed, before) = (begin.elapsed(), results.last());
            self.show_turn(document, &Turn { verb: Verb::Add, nth, plugin, elapsed, before, result, error });
            results.push(added?);
        }
        let result = results.pop().unwrap_or_default();
        chain.remember(&result)?;
        Ok(result)
    }

    fn ask(
        &self,
        nth: usize,
        plugins: &[Plugin],
        chain: &Chain<'_>,
        last: Option<&AddResult>,
        signals: &Signals,
    ) -> Choice {
        let Some(plugin) = plugins.get(nth) else { return Choice::Quit };
        self.write(|page, out| {
            writeln!(out, "\n {}/{}  {}", nth + 1, plugins.len(), page.bold(show::harmless(&plugin.kind)))?;
            show::sentence(
                page,
                out,
                1,
                "[enter] run  [a] all the rest  [d] details  [u] undo last  [q] quit, roll back",
            )
        });
        loop {
            match key::read(signals.descriptor()).ok().flatten() {
                Some(b'\n' | b'\r' | b' ') => return Choice::Run,
                Some(b'a') => return Choice::RunAll,
                Some(b'u') if nth > 0 => return Choice::UndoLast,
                Some(b'd') => {
                    let previous = last.and_then(|last| last.encode(chain.network.version).ok());
                    let request = chain.network.request(plugin, previous.as_ref(), &chain.attachment.capabilities);
                    let request = format!("{:#}", Value::Object(request));
                    self.write(|_, out| {
                        request.lines().try_for_each(|line| writeln!(out, "   {}", show::harmless(line)))
                    });
                }
                Some(b'q' | 3 | 4) | None => return Choice::Quit,
                Some(_) => {}
            }
        }
    }

    /// DEL by each plugin in reverse, with what the cache kept of the ADD.
    pub fn del(&self, told: &Told, mut found: Found) -> Result<u8, Error> {
        let guest = self.guest()?;
        let attachment = self.attachment_then(told, &mut found, &guest)?;
        let mut document = self.document(Verb::Del, &found, &guest);
        self.write(|page, out| show::chain::heading(page, out, "DEL", &found.shown));
        let chain = Chain { runtime: &found.runtime, network: &found.network, attachment: &attachment };
        let deleted = chain.del(&mut |turn| self.show_turn(&mut document, turn));
        if deleted.is_ok() {
            guest.farewell()?;
        }
        self.finish(&document, deleted.err().map(Box::new))
    }

    /// What ADD was told, where the cache knows it.
    fn attachment_then(&self, told: &Told, found: &mut Found, guest: &Guest) -> Result<Attachment, Error> {
        let mut attachment = told.attachment(guest)?;
        let cached = found.runtime.cache.get(&found.network.name, &guest.owner).ok().flatten();
        if let Some(cached) = cached {
            if let Some(Ok(network)) = cached.network_then() {
                found.network = network;
            }
            attachment.args = cached.args;
            attachment.capabilities = cached.capabilities;
            attachment.netns = cached.netns.map(PathBuf::from).or(attachment.netns);
        }
        Ok(attachment)
    }

    pub fn check(&self, told: &Told, conf: &str) -> Result<u8, Error> {
        let mut found = told.find(conf)?;
        let guest = self.guest()?;
        let attachment = self.attachment_then(told, &mut found, &guest)?;
        let mut document = self.document(Verb::Check, &found, &guest);
        self.write(|page, out| show::chain::heading(page, out, "CHECK", &found.shown));
        let chain = Chain { runtime: &found.runtime, network: &found.network, attachment: &attachment };
        let checked = chain.check(&mut |turn| self.show_turn(&mut document, turn));
        let failed = match checked {
            Ok(skipped) => {
                document.skipped = skipped.map(|skipped| view::skipped(skipped, "CHECK"));
                None
            }
            Err(error) => Some(Box::new(error)),
        };
        self.finish(&document, failed)
    }
}

/// Why an ADD did not come to its end.
enum Stop {
    /// Given up before a plugin was called.
    BeforeAny,
    GivenUp,
    Failed(Box<crate::cni::chain::Error>),
}

impl From<crate::cni::chain::Error> for Stop {
    fn from(error: crate::cni::chain::Error) -> Self {
        Stop::Failed(Box::new(error))
    }
}

enum Choice {
    Run,
    RunAll,
    UndoLast,
    Quit,
}

/// STATUS of each plugin.
pub fn status(common: &Common, told: &Told, conf: &str) -> Result<u8, Error> {
    let found = told.find(conf)?;
    let mut document = ChainRun::new("STATUS", found.shown.clone());
    let asked = found.runtime.status(&found.network, &mut |turn| document.turns.push(view::turn(turn)));
    let failed = match asked {
        Ok(skipped) => {
            document.skipped = skipped.map(|skipped| view::skipped(skipped, "STATUS"));
            None
        }
        Err(error) => Some(Box::new(error)),
    };
    common.print(&document)?;
    failed.map_or(Ok(0), |error| Err(Error::Chain { error }))
}

/// Which attachments are gone; applied, DEL for those and GC with what is alive.
pub fn gc(common: &Common, told: &Told, conf: &str, apply: bool) -> Result<u8, Error> {
    let found = told.find(conf)?;
    let standing = standing(common, &found)?;
    let mut document = ChainRun::new("GC", found.shown.clone());
    document.attachments = Some(view::attachments(&standing, apply));
    let mut errors = Vec::new();
    if apply {
        let collected = found.runtime.gc(&found.network, &standing, &mut |turn| document.turns.push(view::turn(turn)));
        document.skipped = collected.skipped.map(|skipped| view::skipped(skipped, "GC"));
        errors = collected.errors;
    }
    common.print(&document)?;
    match errors.into_iter().next() {
        Some(error) => Err(Error::Chain { error: Box::new(error) }),
        None => Ok(0),
    }
}

fn standing(common: &Common, found: &Found) -> Result<Standing, Error> {
    let entries = found.runtime.cache.entries()?;
    let options = common.options()?;
    let node = block_on(survey(&options, Depth::Holders))?.node;
    let runtimes: Vec<_> = node
        .sources
        .iter()
        .filter(|source| RUNTIMES.contains(&source.name.as_str()))
        .map(|source| source.status)
        .collect();
    let told = runtimes.contains(&Status::Present) && !runtimes.contains(&Status::Failed);
    let sandbox = |workload: &crate::model::workload::Workload| workload.pod.as_ref()?.sandbox_id.clone();
    let running: BTreeSet<String> =
        node.workloads.iter().flat_map(|workload| [workload.id.clone(), sandbox(workload)]).flatten().collect();
    Ok(alive::judge(&found.network.name, &entries, told.then_some(&running), alive::is_netns)?)
}

/// Names of the sources that know containers.
const RUNTIMES: [&str; 5] = ["docker", "containerd", "cri", "cri-o", "podman"];

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
