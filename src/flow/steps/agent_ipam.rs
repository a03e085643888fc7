//! Addresses from the agent, or from the plugin that it leaves them to.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::cni::Verb;
use crate::flow::agent::client::{Client, is_away};
use crate::flow::agent::{Given, Told};
use crate::flow::delegate::Delegate;
use crate::flow::error::Error;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;
use crate::ipam::LeasedAddress;

pub struct AgentIpam;

impl Step for AgentIpam {
    fn name(&self) -> &'static str {
        "agent-ipam"
    }

    fn purpose(&self) -> &'static str {
        "take an address of each family from the agent"
    }

    fn in_cilium(&self) -> &'static str {
        "allocateIPsWithCiliumAgent → Ipam.PostIpam"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        let Some(agent) = &record.wish.agent else { return Vec::new() };
        let owner = agent.owner(record.wish.owner.container_id()).replace('/', "%2F");
        vec![format!("{} -X POST -H 'Expiration: true' 'http://localhost/v1/ipam?owner={owner}'", super::curl(record))]
    }

    fn undo_preview(&self, record: &Record) -> Vec<String> {
        let given = record.agent.iter().flat_map(|told| &told.given);
        let line = |given: &Given| {
            let pool = given.pool.as_deref().unwrap_or("default");
            format!("{} -X DELETE 'http://localhost/v1/ipam/{}?pool={pool}'", super::curl(record), given.address)
        };
        given.map(line).collect()
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let given = match work.record.wish.delegate.clone() {
            Some(delegate) => delegated(&delegate, work)?,
            None => {
                let agent = work.agent()?;
                Client::new(agent)?.allocate(&agent.owner(work.record.wish.owner.container_id()))?
            }
        };
        let told = work.told()?;
        told.given.clone_from(&given);
        told.given_at = Some(Timestamp::now());
        let leased = usable(told);
        work.record.addresses = leased?;
        let change = |given: &Given| {
            let pool = given.pool.as_ref().map(|pool| format!(" of pool {pool}")).unwrap_or_default();
            Change::added(format!("address {}{pool}, by the agent", given.address))
        };
        Ok(given.iter().map(change).collect())
    }

    /// As the real plugin does, as long as nobody else can have them; after that by the agent's books, which it shows
    /// as they were some seconds ago.
    fn undo(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        if let Some(delegate) = work.record.wish.delegate.clone() {
            delegate.tell(Verb::Del, Some(&work.record.wish.owner), &work.record.netns_path())?;
            return Ok(removed(std::mem::take(&mut work.record.addresses).iter().map(|leased| leased.address.addr())));
        }
        let Some(told) = work.record.agent.clone() else { return Ok(Vec::new()) };
        if told.deleted || told.given.is_empty() {
            return Ok(Vec::new());
        }
        let agent = work.agent()?;
        let owner = agent.owner(work.record.wish.owner.container_id());
        let client = Client::new(agent)?;
        match give_back(&client, &told, &owner) {
            // It keeps no record of an address without an endpoint across a start, and a timer until then.
            Err(Error::Agent(error)) if is_away(&error) => {
                work.notes.push("the agent is down: it takes the addresses back by itself".to_owned());
                work.told()?.given.clear();
                Ok(Vec::new())
            }
            Err(error) => Err(error),
            Ok(released) => {
                work.told()?.given.clear();
                work.record.addresses.clear();
                Ok(removed(released.into_iter()))
            }
        }
    }
}

fn removed(addresses: impl Iterator<Item = IpAddr>) -> Vec<Change> {
    addresses.map(|address| Change::removed(format!("address {address}"))).collect()
}

fn give_back(client: &Client, told: &Told, owner: &String) -> Result<Vec<IpAddr>, Error> {
    let mut given = told.given.clone();
    if !told.is_surely_ours(Timestamp::now()) {
        let held = client.allocations()?;
        given.retain(|given| held.get(&given.address) == Some(owner));
    }
    given.iter().try_for_each(|given| client.release(given))?;
    Ok(given.iter().map(|given| given.address).collect())
}

/// Whatever the other plugin says of gateways, the pod's is the agent.
fn delegated(delegate: &Delegate, work: &mut Work) -> Result<Vec<Given>, Error> {
    let families = work.told()?.config.clone();
    let wanted = |address: IpAddr| families.router(address).is_some();
    let given = delegate.add(&work.record.wish.owner, &work.record.netns_path(), wanted)?;
    work.record.dns = given.dns;
    let bare = |leased: LeasedAddress| Given { address: leased.address.addr(), pool: None, expiration: None };
    Ok(given.addresses.into_iter().map(bare).collect())
}

/// Those of a family that the agent routes, IPv4 first.
fn usable(told: &Told) -> Result<Vec<LeasedAddress>, Error> {
    let leased = |given: &Given| {
        let gateway = told.config.router(given.address)?;
        Some(LeasedAddress { address: given.address.into(), gateway, pool: given.pool.clone().unwrap_or_default() })
    };
    let leased: Vec<LeasedAddress> = told.given.iter().filter_map(leased).collect();
    if leased.is_empty() { Err(Error::NoAgentAddress) } else { Ok(leased) }
}
