//! `podnet ipam`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::{Common, Error};
use crate::ipam::range::AddressRange;
use crate::ipam::reader::{self, Reservation};
use crate::ipam::{self, DEFAULT_ROOT, Owner, Pool, Store};
use crate::view::ipam as view;

const EXAMPLES: &str = "\
Examples:
  podnet ipam                                   pools, and how full they are
  podnet ipam pool add blue 10.7.0.0/24 fd07::/64 --exclude 10.7.0.2-10.7.0.9
  podnet ipam pool list
  podnet ipam pool rm blue
  podnet ipam list --pool blue                  who holds which address
  podnet ipam list --dir /var/lib/cni/networks  … of the plugin host-local
  podnet ipam show 10.42.0.7
  podnet ipam release --container 3f2a91c04d5e

Files: /var/lib/podnet/networks/POOL/ADDRESS, in the layout of host-local";

/// Show and change the addresses that podnet gives to pods
///
/// The pool «default», 10.42.0.0/24 and fd42::/64, exists from the start; `pool add default CIDR…`
/// puts other subnets in its place.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Ipam {
    /// Where the addresses are kept
    #[arg(long, global = true, value_name = "DIR", env = "PODNET_ROOT", hide_env_values = true, default_value = DEFAULT_ROOT)]
    root: PathBuf,
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
    },
    /// What is known of an address
    Show { address: IpAddr },
    /// Take addresses back from a container that is gone
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
    /// This address, whoever holds it
    address: Option<IpAddr>,
    /// Everything that this container holds
    #[arg(long, value_name = "ID")]
    container: Option<String>,
}

#[derive(Args, Debug)]
struct Release {
    #[command(flatten)]
    what: ReleaseWhat,
    /// Only of this interface of the container
    #[arg(long, value_name = "NAME", conflicts_with = "address")]
    ifname: Option<String>,
}

impl Ipam {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let store = Store::open(&self.root);
        match &self.command {
            None | Some(Command::Pool { command: PoolCommand::List }) => common.print(&pools(&store)?),
            Some(Command::Pool { command: PoolCommand::Add { name, cidr, gateway, exclude } }) => {
                let pool = Pool::new(name, cidr, gateway, exclude.clone());
                let pool = pool.map_err(|source| ipam::Error::Pool { pool: name.clone(), source })?;
                store.add_pool(&pool)?;
                common.print(&view::pools(vec![usage(&store, &pool)?]))
            }
            Some(Command::Pool { command: PoolCommand::Rm { name } }) => Ok(store.remove_pool(name)?),
            Some(Command::List { pool, dir }) => {
                let networks = dir.clone().unwrap_or_else(|| self.root.join("networks"));
                common.print(&list(&networks, pool.as_deref())?)
            }
            Some(Command::Show { address }) => common.print(&show(&store, *address)?),
            Some(Command::Release(release)) => common.print(&view::released(release.run(&store)?)),
        }?;
        Ok(0)
    }
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
            held.extend(view::held(&network, &reader::read(&networks.join(&network))?));
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
    fn run(&self, store: &Store) -> Result<Vec<IpAddr>, ipam::Error> {
        match (&self.what.address, &self.what.container) {
            (Some(address), _) => Ok(store.release_address(*address)?.map(|_| *address).into_iter().collect()),
            (_, Some(container)) => release_container(store, container, self.ifname.as_deref()),
            _ => Ok(Vec::new()),
        }
    }
}

/// Of every interface of the container unless one is named.
fn release_container(store: &Store, container: &str, ifname: Option<&str>) -> Result<Vec<IpAddr>, ipam::Error> {
    match ifname {
        Some(ifname) => store.release(&Owner::new(container, ifname)?),
        None => store.release_container(container),
    }
}
