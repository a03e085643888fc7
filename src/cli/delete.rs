//! `podnet delete`.

use clap::Args;

use super::attachment::{State, Subject, journaled, owner};
use super::chain::Scene;
use super::conf::Conf;
use super::create::{NETWORK, manner};
use super::face::{Face, Manner};
use super::{Common, Error};
use crate::flow::agent::conf::cilium;
use crate::flow::{Deleted, Engine, Place, Wish};
use crate::ipam::Owner;
use crate::ipam::pool::DEFAULT_POOL;
use crate::view::creation as view;

/// Take a pod's network down again
///
/// Undoes what `podnet create` or the plugin did, in reverse, and says what that was. What is gone already is no
/// error. A namespace that podnet made goes too. A name counts whole, and of a container's id six digits are needed.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet delete demo\n  podnet delete demo --yes\n  podnet delete 3f2a91c04d5e --ifname eth1 --yes"
)]
pub struct Delete {
    /// The name given to `podnet create`, or any handle that `podnet inspect` takes
    #[arg(value_name = "NAME|TARGET")]
    name: String,
    /// Delete the endpoint of this node's Cilium agent, too, where no journal tells of it
    #[arg(long, conflicts_with = "conf")]
    agent: bool,
    /// Only this interface
    #[arg(long, value_name = "NAME")]
    ifname: Option<String>,
    #[command(flatten, next_help_heading = "A network of CNI plugins")]
    conf: Conf,
    /// Ask before each step, also where standard output is no terminal
    #[arg(short, long, conflicts_with = "yes")]
    interactive: bool,
    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    state: State,
}

impl Delete {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let Some(conf) = &self.conf.conf else { return self.delete(common, self.agent) };
        let found = self.conf.told.find(conf)?;
        if cilium(&found.network)?.is_some() {
            return self.delete(common, true);
        }
        let manner = manner(common, self.interactive, true);
        let ifname = self.ifname.as_deref().unwrap_or("eth0");
        Scene { common, state: &self.state, name: &self.name, ifname, manner }.del(&self.conf.told, found)
    }

    /// `of_agent` is for what no journal tells of.
    fn delete(&self, common: &Common, of_agent: bool) -> Result<u8, Error> {
        let engine = self.state.engine();
        let manner = manner(common, self.interactive, self.yes);
        let mut face = Face::new(manner, common.page());
        let mut interfaces = Vec::new();
        let mut first = None;
        for wish in self.wishes(common, &engine, of_agent)? {
            let (container_id, ifname) = (wish.owner.container_id().to_owned(), wish.owner.ifname().to_owned());
            let Deleted { outcomes, netns, error } = engine.delete(wish, &mut face)?;
            let netns = netns.map(|path| path.display().to_string());
            let steps = outcomes.iter().filter(|outcome| !outcome.changes.is_empty() || outcome.error.is_some());
            let steps = steps.map(view::report).collect();
            interfaces.push(view::DeletedInterface { container_id, ifname, netns, steps });
            if let Some(error) = error {
                first.get_or_insert(error);
            }
        }
        let document = view::deletion(&self.name, interfaces, Vec::new());
        match manner {
            Manner::Silent => common.print(&document)?,
            _ => face.write(|page, out| document.closing(page, out)),
        }
        first.map_or(Ok(0), |error| Err(error.into()))
    }

    /// By the journals; without one, by what the name leads to.
    fn wishes(&self, common: &Common, engine: &Engine, of_agent: bool) -> Result<Vec<Wish>, Error> {
        let wish = |owner: Owner, place: Place| Wish {
            owner,
            network: NETWORK.to_owned(),
            place,
            ipv4_pool: Some(DEFAULT_POOL.to_owned()),
            ipv6_pool: Some(DEFAULT_POOL.to_owned()),
            addresses: Vec::new(),
            mac: None,
            mtu: None,
            masquerade: true,
            store: self.state.root.clone(),
            delegate: None,
            agent: of_agent.then(|| common.agent(None, None)),
        };
        let mut owners = journaled(&self.name, self.ifname.as_deref(), engine)?;
        let subject = if owners.is_empty() { Some(Subject::find(&self.name, common)?) } else { None };
        if let Some(subject) = &subject {
            owners = journaled(&subject.container_id, self.ifname.as_deref(), engine)?;
            if owners.is_empty() {
                owners.push(owner(&subject.container_id, self.ifname.as_deref().unwrap_or("eth0"))?);
            }
        }
        // A name that leads nowhere must not be taken for a netns that podnet made.
        let place = subject.map_or(Place::Path("/nowhere".into()), |subject| Place::Path(subject.place.path()));
        Ok(owners.into_iter().map(|owner| wish(owner, place.clone())).collect())
    }
}
