//! GC: removes what this network has of attachments that are not valid any more, going on past errors.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::{Session, refuse};
use crate::cni::error::{Code, Refusal};
use crate::cni::netconf::GcAttachment;
use crate::flow::wish::Place;
use crate::ipam::Owner;

impl Session {
    pub(super) fn gc(&mut self) -> Result<(), Refusal> {
        let missing = || {
            let message = "cni.dev/valid-attachments is missing: GC without it would remove what is alive";
            Refusal::new(Code::INVALID_CONFIG, message)
        };
        let valid: BTreeSet<GcAttachment> =
            self.conf.valid_attachments.clone().ok_or_else(missing)?.into_iter().collect();
        let mut refusals = Vec::new();
        match self.engine.journals().owners() {
            Ok(owners) => {
                let stale = owners.into_iter().filter(|owner| !valid.contains(&attachment(owner)));
                refusals.extend(stale.filter_map(|owner| self.remove_stale(&owner).err()));
            }
            Err(error) => refusals.push(refuse::flow(&error)),
        }
        refusals.extend(self.release_stale(&valid).err());
        refusals.extend(self.tell_delegate().err());
        joined(refusals)
    }

    /// One of this network's; what other networks made is not of this call.
    fn remove_stale(&mut self, owner: &Owner) -> Result<(), Refusal> {
        let state = self.engine.journals().peek(owner).map_err(|error| refuse::flow(&error))?;
        let Some(state) = state.filter(|state| state.record.wish.network == self.conf.name) else { return Ok(()) };
        if let Place::Named(_) = state.record.wish.place {
            // Made by an operator's `podnet create`, which no runtime knows of.
            return Ok(());
        }
        let deleted = self.engine.delete(state.record.wish, &mut self.log).map_err(|error| refuse::flow(&error))?;
        deleted.error.map_or(Ok(()), |error| Err(refuse::flow(&error)))
    }

    /// Addresses of before the machine started, whose journals went with it. Of a later one without a journal nobody
    /// knows which network it is of.
    fn release_stale(&self, valid: &BTreeSet<GcAttachment>) -> Result<(), Refusal> {
        let failed = |error: crate::ipam::Error| refuse::flow(&error.into());
        let Some(boot) = boot_time() else { return Ok(()) };
        let store = self.store();
        for held in store.held().map_err(failed)? {
            let Some(holder) =
                held.reservation.holder.ok().filter(|_| held.reservation.since.is_some_and(|since| since < boot))
            else {
                continue;
            };
            let ifname = holder.ifname.unwrap_or_else(|| "eth0".to_owned());
            let Ok(owner) = Owner::new(&holder.container_id, &ifname) else { continue };
            let has_journal = self.engine.journals().peek(&owner).map_err(|error| refuse::flow(&error))?.is_some();
            if !has_journal && !valid.contains(&attachment(&owner)) {
                store.release(&owner).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn attachment(owner: &Owner) -> GcAttachment {
    GcAttachment { container_id: owner.container_id().to_owned(), ifname: owner.ifname().to_owned() }
}

/// `btime` of proc(5), less a minute for clocks that were set since.
fn boot_time() -> Option<SystemTime> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let seconds: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.checked_sub(60)?))
}

/// All of them, under the code of the first.
fn joined(refusals: Vec<Refusal>) -> Result<(), Refusal> {
    let Some(first) = refusals.first() else { return Ok(()) };
    let all: Vec<String> = refusals.iter().map(|refusal| refusal.to_string()).collect();
    let message = format!("GC could not remove all: {} failures", refusals.len());
    Err(Refusal { details: all.join("; "), ..Refusal::new(first.code, message) })
}
