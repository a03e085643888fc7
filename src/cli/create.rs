//! `podnet create`.

use std::collections::BTreeSet;
use std::io::{IsTerminal, stdin, stdout};
use std::net::IpAddr;

use clap::Args;

use super::attachment::{State, Subject, owner};
use super::chain::Scene;
use super::conf::{Conf, Found};
use super::face::{Face, Manner};
use super::{Common, Error, terminal};
use crate::flow::agent::conf::{Cilium, cilium};
use crate::flow::{Created, Wish, steps};
use crate::ipam::choose::{Wishes, choose};
use crate::model::mac::Mac;
use crate::show::{self, Format};
use crate::view::creation as view;

/// Name of the network that `podnet create` makes interfaces of, where no configuration names one.
pub const NETWORK: &str = "podnet";

/// Give a pod a network, step by step
///
/// NAME becomes a new network namespace, mounted as `ip netns` does; any handle that `podnet inspect` takes means a
/// container or namespace that is there, if it is typed whole; of a container's id six digits will do. On a terminal
/// each step is shown, with the commands that do the same by hand, before it is run. What fails, or is broken off, is
/// undone in reverse.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet create demo                  step by step, asking\n  podnet create demo --yes\n  podnet create demo --dry-run        the plan, with the commands for it\n  podnet create 3f2a91c04d5e --ip 10.42.0.9 --yes\n                                      a container made with --network none\n  podnet create demo --agent          through Cilium, as its own plugin does\n  podnet create demo --fail-at verify --yes\n                                      a drill: see it roll back\n  podnet create demo --conf auto      by the plugins of this node's CNI network"
)]
pub struct Create {
    /// A new name, or any handle that `podnet inspect` takes
    #[arg(value_name = "NAME|TARGET")]
    name: String,
    /// The pod's interface
    #[arg(long, value_name = "NAME", default_value = "eth0")]
    ifname: String,
    /// Pool to take addresses from
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// This address; twice for one of each family
    #[arg(long, value_name = "IP", conflicts_with = "conf")]
    ip: Vec<IpAddr>,
    /// MAC of the pod's interface; else a random one
    #[arg(long, value_name = "MAC")]
    mac: Option<Mac>,
    /// MTU of the pair; else that of the host's uplink
    #[arg(long, value_name = "BYTES", conflicts_with = "conf")]
    mtu: Option<u32>,
    /// IPv4 alone
    #[arg(long, conflicts_with = "conf")]
    no_ipv6: bool,
    /// Do not let the pod out under the host's address
    #[arg(long, conflicts_with = "conf")]
    no_masq: bool,
    /// Register the pod with this node's Cilium agent, which gives the addresses and the MTU
    #[arg(long, conflicts_with_all = ["ip", "mtu", "no_ipv6", "no_masq", "conf"])]
    agent: bool,
    #[command(flatten, next_help_heading = "A network of CNI plugins")]
    conf: Conf,
    /// Ask before each step, also where standard output is no terminal
    #[arg(short, long, conflicts_with = "yes")]
    interactive: bool,
    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
    /// Show the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Fail after this step, to see what is undone
    #[arg(long, value_name = "STEP", value_parser = step_names())]
    fail_at: Option<String>,
    #[command(flatten)]
    state: State,
}

fn step_names() -> clap::builder::PossibleValuesParser {
    steps::ALL.map(|step| step.name()).into()
}

impl Create {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let Some(conf) = &self.conf.conf else { return self.create(common, self.wish(common)?) };
        let found = self.conf.told.find(conf)?;
        if let Some(asked) = cilium(&found.network)? {
            return self.create(common, self.wish_of(common, &found, asked)?);
        }
        self.refuse_for_a_chain()?;
        let manner = manner(common, self.interactive, self.yes);
        let scene = Scene { common, state: &self.state, name: &self.name, ifname: &self.ifname, manner };
        if self.dry_run {
            return scene.plan(&self.conf.told, &found, conf);
        }
        scene.add(&self.conf.told, &found, conf)
    }

    /// What podnet's own steps and those through the agent know.
    fn refuse_for_a_chain(&self) -> Result<(), Error> {
        const CHOOSES: &str = "its own configuration chooses";
        let given = [
            ("--pool", self.pool.is_some(), CHOOSES),
            ("--mac", self.mac.is_some(), CHOOSES),
            ("--fail-at", self.fail_at.is_some(), "its plugins have none of podnet's steps"),
        ];
        match given.into_iter().find(|(_, given, _)| *given) {
            Some((flag, _, why)) => {
                let message = format!("{flag} is not for a network of other plugins: {why}");
                Err(Error::Usage { message })
            }
            None => Ok(()),
        }
    }

    /// A drill with a step that this creation has not would be none.
    fn refuse_foreign_step(&self, wish: &Wish) -> Result<(), Error> {
        let steps: Vec<&str> = steps::of(wish).iter().map(|step| step.name()).collect();
        match self.fail_at.as_deref().filter(|step| !steps.contains(step)) {
            Some(step) => {
                let step = step.to_owned();
                Err(Error::NoSuchStep { step, steps: steps.join(", ") })
            }
            None => Ok(()),
        }
    }

    fn create(&self, common: &Common, wish: Wish) -> Result<u8, Error> {
        self.refuse_foreign_step(&wish)?;
        let engine = self.state.engine().failing_at(self.fail_at.clone());
        if self.dry_run {
            let (work, steps) = engine.plan(wish)?;
            common.print(&view::plan(&self.name, &work.record, &steps, work.notes))?;
            return Ok(0);
        }
        let manner = manner(common, self.interactive, self.yes);
        let mut face = Face::new(manner, common.page());
        if manner == Manner::Dialogue {
            let (work, steps) = engine.plan(wish.clone())?;
            let plan = view::plan(&self.name, &work.record, &steps, work.notes);
            face.write(|page, out| show::creation::overview(page, out, &plan));
        }
        match engine.create(wish, &mut face) {
            Ok(Created { record, outcomes, notes }) => {
                let document = view::created(&self.name, &record, &outcomes, notes);
                match manner {
                    Manner::Silent => common.print(&document)?,
                    _ => face.write(|page, out| document.closing(page, out)),
                }
                Ok(0)
            }
            Err(failed) => {
                if manner == Manner::Silent {
                    let why = crate::collect::kernel::problem::chain(&failed);
                    common.print(&view::failed(&self.name, &failed.record, &failed.outcomes, why))?;
                }
                Err(failed.into())
            }
        }
    }

    /// As the configuration of Cilium's plugin has it.
    fn wish_of(&self, common: &Common, found: &Found, asked: Cilium) -> Result<Wish, Error> {
        let wish = self.wish(common)?;
        Ok(Wish {
            network: found.network.name.clone(),
            delegate: asked
                .ipam
                .map(|kind| found.delegate(kind, self.conf.told.cni_args.as_deref().unwrap_or_default())),
            ..wish
        })
    }

    fn wish(&self, common: &Common) -> Result<Wish, Error> {
        let subject = Subject::find(&self.name, common)?;
        let of_agent = self.agent || self.conf.conf.is_some();
        // The agent's pools are its own.
        let flag = self.pool.as_deref().filter(|_| !of_agent);
        let choice = choose(&Wishes { flag, ..Wishes::default() })?;
        let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
        addresses.extend(&self.ip);
        Ok(Wish {
            owner: owner(&subject.container_id, &self.ifname)?,
            network: NETWORK.to_owned(),
            place: subject.place,
            ipv4_pool: choice.ipv4,
            ipv6_pool: choice.ipv6.filter(|_| !self.no_ipv6),
            addresses: addresses.into_iter().collect(),
            mac: self.mac,
            mtu: self.mtu,
            masquerade: !self.no_masq,
            store: self.state.root.clone(),
            delegate: None,
            agent: of_agent.then(|| common.agent(subject.pod, self.pool.clone())),
        })
    }
}

/// A dialogue on a terminal, unless nothing is to be asked; a document where a program reads.
pub fn manner(common: &Common, interactive: bool, yes: bool) -> Manner {
    let person = matches!(common.output, Format::Table | Format::Wide);
    let terminal = stdin().is_terminal() && stdout().is_terminal();
    match person {
        true if interactive || (terminal && !yes) => Manner::Dialogue,
        true => Manner::Lines,
        false => Manner::Silent,
    }
}

impl Common {
    pub(super) fn page(&self) -> show::Page {
        terminal::page(self.color, self.output == Format::Wide)
    }
}
