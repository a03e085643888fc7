//! STATUS: whether an ADD would succeed now. It only looks.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::{Session, refuse};
use crate::cni::error::{Code, Refusal};
use crate::collect::kernel::problem::chain;
use crate::flow::agent::Agent;
use crate::flow::agent::client::Client;
use crate::ipam::choose::{Wishes, choose};
use crate::ipam::pool::Pool;
use crate::model::address::Family;

/// Who asks for the status asks again soon.
const STATUS_MS: u64 = 2_000;

impl Session {
    pub(super) fn status(&mut self) -> Result<(), Refusal> {
        let lacks = |capability| !caps::has_cap(None, caps::CapSet::Effective, capability).unwrap_or(true);
        for capability in [caps::Capability::CAP_NET_ADMIN, caps::Capability::CAP_SYS_ADMIN] {
            if lacks(capability) {
                return Err(unavailable(format!("podnet runs without {capability}")));
            }
        }
        self.require_writable(self.engine.journals().run())?;
        if let Some(agent) = self.agent() {
            let told =
                Client::new(&Agent { patience_ms: STATUS_MS, ..agent }).and_then(|client| client.configuration());
            told.map_err(|error| unavailable(chain(&error)))?;
        }
        if self.delegate().is_some() {
            return self.tell_delegate();
        }
        if self.agent().is_some() {
            return Ok(());
        }
        self.require_writable(&self.root)?;
        self.require_addresses()
    }

    fn require_writable(&self, path: &Path) -> Result<(), Refusal> {
        let nearest = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let writable = access(nearest, AccessFlags::W_OK | AccessFlags::X_OK);
        writable.map_err(|errno| unavailable(format!("cannot write below {}: {}", nearest.display(), errno.desc())))
    }

    fn require_addresses(&self) -> Result<(), Refusal> {
        let wishes = Wishes { netconf: self.conf.pool.as_deref(), ..Wishes::default() };
        let choice = choose(&wishes).map_err(|error| Refusal::caused(Code::UNAVAILABLE, &error))?;
        let ipv6 = choice.ipv6.filter(|_| self.conf.ipv6 != Some(false));
        for (name, family) in [(choice.ipv4, Family::Ipv4), (ipv6, Family::Ipv6)] {
            let Some(name) = name else { continue };
            let failed = |error: crate::ipam::Error| {
                let refusal = refuse::flow(&error.into());
                Refusal { code: Code::UNAVAILABLE, ..refusal }
            };
            let pool = self.store().pool(&name).map_err(failed)?;
            let held = self.held(&pool, family).map_err(failed)?;
            let size = pool.size(family);
            if size > 0 && held >= size {
                return Err(unavailable(format!("pool {name} is full: all {size} {family:?} addresses are held")));
            }
        }
        Ok(())
    }

    /// Of those that are given out unasked.
    fn held(&self, pool: &Pool, family: Family) -> Result<usize, crate::ipam::Error> {
        let listing = self.store().listing(&pool.name)?;
        let of_family = listing.reservations.iter().filter(|reservation| Family::of(&reservation.address) == family);
        Ok(of_family.filter(|reservation| pool.subnet_of(reservation.address).is_some()).count())
    }
}

fn unavailable(why: String) -> Refusal {
    Refusal { details: why, ..Refusal::new(Code::UNAVAILABLE, "podnet cannot serve ADD") }
}
