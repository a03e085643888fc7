//! What speaks against `podnet ipam release` of an address: its owner stands, an interface has it, or nobody can tell.

use std::net::IpAddr;

use super::ipam_check::{GRACE, journals};
use super::{Common, Error, block_on};
use crate::check::Facts;
use crate::collect::options::{Depth, Options, Runtimes};
use crate::collect::survey::survey;
use crate::flow::names::host_interface;
use crate::ipam::reader::Holder;
use crate::ipam::{Held, Owner};
use crate::model::node::Node;

/// Refuses the first of them that is in use, or may be.
pub fn refuse(common: &Common, held: &[Held]) -> Result<(), Error> {
    let attached = journals().owners()?;
    let (node, unseen) = look(common)?;
    for Held { reservation, .. } in held {
        let address = reservation.address;
        let holder = reservation.holder.as_ref().ok();
        let owner = holder.and_then(owner);
        let found = holder
            .and_then(|holder| journal(&attached, holder))
            .or_else(|| owner.as_ref().and_then(|owner| host_end(&node, owner)))
            .or_else(|| user(&node, address));
        if let Some(found) = found {
            let container = owner.map(|owner| owner.container_id().to_owned());
            return Err(Error::AddressInUse { address, found, container });
        }
        if let Some(why) = &unseen {
            return Err(Error::AddressUnclear { address, why: why.clone() });
        }
    }
    Ok(())
}

/// The node as the kernel shows it, and why somebody may be there who was not seen. A namespace that goes while it is
/// looked at is no reason to refuse, so that is looked at again.
fn look(common: &Common) -> Result<(Node, Option<String>), Error> {
    const TIMES: usize = 3;
    let options = Options { runtimes: Runtimes::None, ..common.options()? };
    let mut times = 0;
    loop {
        let node = block_on(survey(&options, Depth::AllLinks))?.node;
        let unseen = Facts::new(&node, None, GRACE).not_everyone();
        times += 1;
        if unseen.is_none() || times == TIMES {
            return Ok((node, unseen));
        }
    }
}

/// Files of host-local before 0.8.7 name no interface.
fn owner(holder: &Holder) -> Option<Owner> {
    Owner::new(&holder.container_id, holder.ifname.as_deref().unwrap_or("eth0")).ok()
}

fn journal(attached: &[Owner], holder: &Holder) -> Option<String> {
    let own = attached.iter().find(|owner| holder.is(owner))?;
    Some(format!("{own} has a journal of podnet"))
}

/// Its name is of one owner alone, in whatever namespace podnet made it.
fn host_end(node: &Node, owner: &Owner) -> Option<String> {
    let name = host_interface(owner);
    let there = node.namespaces.iter().flat_map(|state| &state.links).any(|link| link.name == name);
    there.then(|| format!("{owner} has the host's interface {name}"))
}

fn user(node: &Node, address: IpAddr) -> Option<String> {
    node.namespaces.iter().find_map(|state| {
        let link = state.links.iter().find(|link| link.addresses.iter().any(|own| own.address == address))?;
        let place = match state.netns.paths.first() {
            _ if state.netns.is_host => "of the host".to_owned(),
            Some(path) => format!("in the netns {path}"),
            None => format!("in the netns {}", state.netns.inode),
        };
        Some(format!("the interface {} {place} has it", link.name))
    })
}
