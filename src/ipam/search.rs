//! Which address comes next: next-fit, from where the last search ended.
//!
//! An address that was released rests until the search has come round to the start of the pool
//! again, so that a packet, a neighbour entry or a policy meant for its last holder doesn't meet
//! the next one.

use std::net::IpAddr;

/// How an address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Free,
    Held,
    Resting,
}

/// An address to give out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub address: IpAddr,
    /// The search came round: nothing rests any more.
    pub wrapped: bool,
}

/// Searches the rest of the pool, `after` the last search, and then `all` of it; `None` when every
/// address is held.
pub fn next<E>(
    after: impl Iterator<Item = IpAddr>,
    all: impl Iterator<Item = IpAddr>,
    mut standing: impl FnMut(IpAddr) -> Result<Standing, E>,
) -> Result<Option<Found>, E> {
    for address in after {
        if standing(address)? == Standing::Free {
            return Ok(Some(Found { address, wrapped: false }));
        }
    }
    for address in all {
        if standing(address)? != Standing::Held {
            return Ok(Some(Found { address, wrapped: true }));
        }
    }
    Ok(None)
}
