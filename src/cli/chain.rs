//! `podnet create --conf`, `podnet delete --conf`, `podnet cni check|status|gc`: podnet in the place of a runtime.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value;

use super::attachment::{State, Subject, owner};
use super::conf::{Found, Told};
use super::face::Manner;
use super::signals::Signals;
use super::{Common, Error, block_on, key, terminal};
use crate::cni::alive::{self, Standing};
use crate::cni::chain::{Attachment, Chain, Turn};
use crate::cni::netconf::Plugin;
use crate::cni::{AddResult, Verb};
use crate::collect::options::Depth;
use crate::collect::survey::survey;
use crate::flow::Place;
use crate::flow::guest::Guest;
use crate::model::source::Status;
use crate::show;
use crate::view::chain::{self as view, ChainPlan, ChainRun};

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

    /// What [`Scene::add`] would do; no plugin is called.
    pub fn plan(&self, told: &Told, found: &Found, conf: &str) -> Result<u8, Error> {
        let guest = self.guest()?;
        self.refuse_attached(found, &guest, conf)?;
        let attachment = told.attachment(&guest)?;
        let mut missing = None;
        let planned = |plugin: &Plugin| {
            let program = found.runtime.program(plugin);
            let config = found.network.request(plugin, None, &attachment.capabilities);
            let planned = view::planned(&plugin.kind, program.as_deref(), config);
            missing = missing.take().or(program.err());
            planned
        };
        let plugins = found.network.plugins.iter().map(planned).collect();
        let new_netns = matches!(guest.place, Place::Named(_));
        let plan = Some(ChainPlan { new_netns, plugins });
        self.common.print(&ChainRun { plan, ..self.document(Verb::Add, found, &guest) })?;
        missing.map_or(Ok(0), |error| Err(Error::Chain { error: Box::new(error.into()) }))
    }

    /// An ADD where one was already would fail, and its DEL take down what stood.
    fn refuse_attached(&self, found: &Found, guest: &Guest, conf: &str) -> Result<(), Error> {
        let (network, ifname) = (&found.network.name, guest.owner.ifname());
        let named = if ifname == "eth0" { String::new() } else { format!(" --ifname {ifname}") };
        let mut delete = format!("podnet delete {} --conf {conf}{named}", self.name);
        let what = if found.runtime.cache.get(network, &guest.owner)?.is_some() {
            format!("libcni's cache has {ifname} of the network {network}")
        } else if self.state.engine().journals().peek(&guest.owner)?.is_some() {
            delete = format!("podnet delete {} --ifname {ifname}", self.name);
            format!("podnet made its {ifname}")
        } else if guest.has_interface()? {
            format!("{} has an interface {ifname} already", guest.place.path().display())
        } else {
            return Ok(());
        };
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
