//! `podnet ipam`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ipnet::IpNet;
use jiff::Timestamp;

use super::from::From;
use super::node::{add_attachments, add_networks, add_stores};
use super::{Common, Error, block_on, ipam_in_use};
use crate::cni::evidence::add_ranges;
use crate::collect::options::Kube;
use crate::collect::survey::hostname;
use crate::collect::{cilium, kube};
use crate::flow;
use crate::flow::agent::Given;
use crate::flow::agent::client::{Client, POOLS};
use crate::ipam::range::AddressRange;
use crate::ipam::reader::{self, Holder, Reservation};
use crate::ipam::{self, DEFAULT_ROOT, Held, Owner, Pool, Store};
use crate::model::node::Node;
use crate::model::snapshot::Snapshot;
use crate::snapshot;
use crate::view::ipam as view;
use crate::view::node_ipam;

const EXAMPLES: &str = "\
Examples:
  podnet ipam                                   which subnets, how full, by whom
  podnet ipam list                              who holds which address, by whom
  podnet ipam pool add blue 10.7.0.0/24 fd07::/64 --exclude 10.7.0.2-10.7.0.9
  podnet ipam pool list
  podnet ipam pool rm blue
  podnet ipam list --pool blue                  who holds which address
  podnet ipam list --dir /var/lib/cni/networks  … of the plugin host-local
  podnet ipam show 10.42.0.7
  podnet ipam release --container 3f2a91c04d5e
  podnet ipam release 10.244.1.9 --agent        one that leaked in the agent
  podnet ipam check --report a.json             … beside what is there
  podnet ipam release --from-report a.json      … what it found held for nobody

Files: /var/lib/podnet/networks/POOL/ADDRESS, in the layout of host-local";

/// Show who gives pods their addresses, change podnet's own
///
/// Read are the Cilium agent, the stores of the plugin host-local, podnet's own store and libcni's cache.
/// The pool «default», 10.42.0.0/24 and fd42::/64, exists from the start; `pool add default CIDR…`
/// puts other subnets in its place.
#[derive(Args, Debug)]
// What changes podnet's own store, or looks only there, is about this node.
#[command(after_help = EXAMPLES, mut_arg("from", |from| from.global(false)))]
pub struct Ipam {
    /// Where the addresses are kept
    #[arg(long, global = true, value_name = "DIR", env = "PODNET_ROOT", hide_env_values = true, default_value = DEFAULT_ROOT)]
    root: PathBuf,
    #[command(flatten)]
    from: From,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add, list and remove pools
    Pool {
        #[command(subcommand)]
        command: PoolCommand,
    },
    /// Who holds which address
    List {
        /// Only of this pool
        #[arg(long, value_name = "NAME")]
        pool: Option<String>,
        /// Another store in host-local's layout: a directory of networks
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        #[command(flatten)]
        from: From,
    },
    /// What is known of an address
    Show {
        address: IpAddr,
    },
    Check(super::ipam_check::Check),
    /// Take addresses back from a container that is gone
    ///
    /// An address in use is refused, and with it all that was asked for: its container has an interface or a journal of
    /// podnet, or an interface in any namespace has it. So it is where not every namespace can be read.
    Release(Release),
}

#[derive(Debug, Subcommand)]
enum PoolCommand {
    /// Add a pool; «default» replaces the built-in one
    Add {
        name: String,
        /// Subnets, IPv4 and IPv6, as many as you like
        #[arg(required = true)]
        cidr: Vec<IpNet>,
        /// The gateway of the subnet that it lies in; else the first address
        #[arg(long, value_name = "IP")]
        gateway: Vec<IpAddr>,
        /// Never give these out: an address, a CIDR or FIRST-LAST
        #[arg(long, value_name = "RANGE")]
        exclude: Vec<AddressRange>,
    },
    /// Pools, and how full they are
    List,
    /// Remove a pool that holds no address
    Rm { name: String },
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct ReleaseWhat {
    /// This address, whoever held it
    address: Option<IpAddr>,
    /// Everything that this container holds
    #[arg(long, value_name = "ID")]
    container: Option<String>,
    /// What every report (`podnet ipam check --report`) calls leaked, of podnet's stores and host-local's, if it still
    /// is and its file is the same to the byte; give it as often as there are reports. The node is read again under the
    /// store's lock, and once more when the file is gone: it is put back where somebody has taken the address meanwhile
    #[arg(long, value_name = "FILE")]
    from_report: Vec<PathBuf>,
}

#[derive(Args, Debug)]
// clap's own is too long for a terminal.
#[command(override_usage = "podnet ipam release [OPTIONS] <ADDRESS|--container ID|--from-report FILE>")]
struct Release {
    #[command(flatten)]
    what: ReleaseWhat,
    /// Of this node's Cilium agent: an address that leaked, which no endpoint uses
    #[arg(long, requires = "address", conflicts_with = "container")]
    agent: bool,
    /// Only of this interface of the container
    #[arg(long, value_name = "NAME", conflicts_with_all = ["address", "from_report"])]
    ifname: Option<String>,
    /// With --from-report: do it; else only tell what would be released
    #[arg(long, requires = "from_report")]
    apply: bool,
}

impl Command {
    /// Of what can be told of a node that is elsewhere.
    fn from(&self) -> Option<&From> {
        match self {
            Command::List { from, .. } | Command::Check(super::ipam_check::Check { from, .. }) => Some(from),
            Command::Pool { .. } | Command::Show { .. } | Command::Release(_) => None,
        }
    }
}

impl Ipam {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let behind = self.command.as_ref().and_then(Command::from).map(From::read).transpose()?.flatten();
        if let Some(snapshot) = behind.map_or_else(|| self.from.read(), |snapshot| Ok(Some(snapshot)))? {
            return self.replay(common, snapshot);
        }
        let store = Store::open(&self.root);
        match &self.command {
            None => common.print(&node_ipam::pools(&self.node(common)?, pools(&store)?.items)),
            Some(Command::Pool { command: PoolCommand::List }) => common.print(&pools(&store)?),
            Some(Command::Pool { command: PoolCommand::Add { name, cidr, gateway, exclude } }) => {
                let pool = Pool::new(name, cidr, gateway, exclude.clone());
                let pool = pool.map_err(|source| ipam::Error::Pool { pool: name.clone(), source })?;
                store.add_pool(&pool)?;
                common.print(&view::pools(vec![usage(&store, &pool)?]))
            }
            Some(Command::Pool { command: PoolCommand::Rm { name } }) => Ok(store.remove_pool(name)?),
            Some(Command::List { pool, dir: Some(dir), .. }) => common.print(&list(dir, pool.as_deref())?),
            Some(Command::List { pool, dir: None, .. }) => {
                common.print(&node_ipam::addresses(&self.node(common)?, pool.as_deref()))
            }
            Some(Command::Show { address }) => {
                let report = show(&store, *address)?;
                let report = match report.state {
                    view::State::Unknown => {
                        view::known_elsewhere(report, node_ipam::addresses(&self.node(common)?, None))
                    }
                    _ => report,
                };
                common.print(&report)
            }
            Some(Command::Release(Release {
                what: ReleaseWhat { address: Some(address), .. }, agent: true, ..
            })) => common.print(&view::released(release_of_agent(common, *address)?)),
            Some(Command::Check(check)) => return check.run(common, &self.root),
            Some(Command::Release(release)) if !release.what.from_report.is_empty() => {
                return super::ipam_release::release(common, &self.root, &release.what.from_report, release.apply);
            }
            Some(Command::Release(release)) => common.print(&view::released(release.run(common, &store)?)),
        }?;
        Ok(0)
    }
}

impl Ipam {
    /// What can be told of a node that is elsewhere.
    fn replay(&self, common: &Common, snapshot: Snapshot) -> Result<u8, Error> {
        if let Some(Command::Check(check)) = &self.command
            && check.report.is_none()
        {
            return check.of_node(common, &snapshot.node, &snapshot.busy.into_iter().collect());
        }
        let mode = snapshot.node.agent.as_ref().and_then(|agent| agent.mode.ipam.as_deref());
        let by_resource = mode.is_some_and(|mode| BY_RESOURCE.contains(&mode));
        let node = snapshot::of_addresses(snapshot.node, by_resource || common.options()?.kube == Kube::Asked);
        match &self.command {
            None => {
                let own = snapshot.pools.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
                let own = own.map_err(|source| Error::SnapshotPools { source })?;
                common.print(&node_ipam::pools(&node, own))
            }
            Some(Command::List { pool, dir: None, .. }) => common.print(&node_ipam::addresses(&node, pool.as_deref())),
            Some(_) => Err(Error::Usage {
                message:
                    "--from goes with podnet ipam, ipam list and ipam check, without --dir and --report: the rest \
                          is about this node"
                        .to_owned(),
            }),
        }?;
        Ok(0)
    }

    /// Who gives addresses here, and to whom. The API server is asked where only it knows how many there are.
    fn node(&self, common: &Common) -> Result<Node, Error> {
        let options = common.options_with_kube()?;
        let mut node = Node { hostname: hostname(), collected_at: Timestamp::now(), ..Node::default() };
        block_on(async {
            cilium::ask(&options).await.add_to(&mut node);
            let mode = node.agent.as_ref().and_then(|agent| agent.mode.ipam.as_deref());
            if options.kube == Kube::Asked || mode.is_some_and(|mode| BY_RESOURCE.contains(&mode)) {
                let asked = kube::ask(&options, kube::kubelet(&options)).await;
                let (source, told) = asked.unzip();
                node.sources.extend(source);
                node.kubernetes = told.flatten().map(|(_, told)| told);
            }
        })?;
        add_networks(&mut node);
        add_stores(&mut node, &self.root);
        add_attachments(&mut node);
        add_ranges(&mut node);
        Ok(node)
    }
}

/// Modes in which the agent does not tell how many addresses its pools have.
const BY_RESOURCE: [&str; 5] = ["multi-pool", "crd", "eni", "azure", "alibabacloud"];

/// One that leaked: whose it is, the agent's books must say, and what it uses itself is not given back.
fn release_of_agent(common: &Common, address: IpAddr) -> Result<Vec<IpAddr>, Error> {
    let options = common.options()?;
    let held = block_on(cilium::ask_allocations(&cilium::client(&options)))?.map_err(flow::Error::from);
    let held = held.map_err(|source| Error::Agent { source })?;
    let Some(held) = held.into_iter().find(|held| held.address == address) else { return Ok(Vec::new()) };
    if let Some(owner) = held.owner.filter(|owner| !owner.contains('/')) {
        return Err(Error::AgentsOwn { address, owner });
    }
    let release = || {
        let client = Client::new(&common.agent(None, None))?;
        let named = client.configuration()?.version >= POOLS;
        client.release(&Given { address, pool: named.then_some(held.pool), expiration: None })
    };
    release().map_err(|source| Error::Agent { source })?;
    Ok(vec![address])
}

/// podnet's own pools, for a snapshot.
pub fn own_pools() -> Result<Vec<view::PoolUse>, Error> {
    Ok(pools(&Store::open(Path::new(DEFAULT_ROOT)))?.items)
}

fn pools(store: &Store) -> Result<view::PoolList, ipam::Error> {
    let uses = store.pools()?.iter().map(|pool| usage(store, pool)).collect::<Result<_, _>>()?;
    Ok(view::pools(uses))
}

fn usage(store: &Store, pool: &Pool) -> Result<view::PoolUse, ipam::Error> {
    Ok(view::pool(pool, &store.listing(&pool.name)?, &store.resting(&pool.name)?))
}

fn list(networks: &Path, only: Option<&str>) -> Result<view::AddressList, ipam::Error> {
    let mut held = Vec::new();
    for network in reader::networks(networks)? {
        if only.is_none_or(|only| only == network) {
            held.extend(view::held("host-local", &network, &reader::read(&networks.join(&network))?));
        }
    }
    Ok(view::addresses(held))
}

fn show(store: &Store, address: IpAddr) -> Result<view::AddressReport, ipam::Error> {
    let pools = store.pools()?;
    let holder = store.holder(address)?;
    let pool = pools.iter().find(|pool| pool.subnet_of(address).is_some());
    let rested: Option<(&str, Reservation)> =
        pool.and_then(|pool| Some((pool.name.as_str(), store.last_holder(&pool.name, address)?)));
    let holder = holder.as_ref().map(|held| (held.pool.as_str(), &held.reservation));
    let rested = rested.as_ref().map(|(pool, reservation)| (*pool, reservation));
    Ok(view::address(address, &pools, holder, rested))
}

impl Release {
    fn run(&self, common: &Common, store: &Store) -> Result<Vec<IpAddr>, Error> {
        let free = |held: &[Held]| ipam_in_use::refuse(common, held);
        let of = |is: &dyn Fn(&Holder) -> bool| store.release_unless(|found| found.holder.as_ref().is_ok_and(is), free);
        match (self.what.address, &self.what.container, &self.ifname) {
            (Some(address), ..) => store.release_unless(|found| found.address == address, free),
            (_, Some(container), Some(ifname)) => {
                let owner = Owner::new(container, ifname).map_err(ipam::Error::from)?;
                of(&|holder| holder.is(&owner))
            }
            (_, Some(container), None) => of(&|holder| holder.container_id == *container),
            _ => Ok(Vec::new()),
        }
    }
}
