//! CHECK: what the kernel and the address store hold beside what ADD made, as the plugins that came after let it be.

use super::{Session, refuse};
use crate::cni::error::{Code, Refusal};
use crate::cni::result::AddResult;
use crate::flow::agent::client::Client;
use crate::flow::journal::{Phase, State};
use crate::flow::record::Record;
use crate::flow::verify::{self, Allowed};
use crate::flow::work::Work;
use crate::ipam::Owner;
use crate::model::mac::Mac;
use crate::netns::Handle;

impl Session {
    pub(super) fn check(&mut self) -> Result<(), Refusal> {
        let previous = self.conf.previous.clone().ok_or_else(|| {
            Refusal::new(Code::INVALID_CONFIG, "prevResult: CHECK needs the result of the ADD, and there is none")
        })?;
        let record = self.record()?;
        let mut differences = self.store_differences(&record);
        if let Some(agent) = &record.wish.agent {
            let client = Client::new(agent).map_err(|error| refuse::flow(&error))?;
            differences.extend(client.ailment(&record.wish.owner).map_err(|error| refuse::flow(&error))?);
        }
        let (record, allowed) = expected(record, &previous);
        let mut work = Work::new(record, self.engine.journals().run());
        differences.extend(verify::differences_but(&mut work, &allowed).map_err(|error| refuse::flow(&error))?);
        if differences.is_empty() {
            return self.tell_delegate();
        }
        let message = "the pod's network is not as ADD left it";
        Err(Refusal { details: differences.join("; "), ..Refusal::new(Code::NOT_AS_EXPECTED, message) })
    }

    /// What ADD made, for the netns that is meant.
    fn record(&self) -> Result<Record, Refusal> {
        let owner = self.owner()?;
        let state = self.engine.journals().peek(owner).map_err(|error| refuse::flow(&error))?;
        let record = match state {
            Some(State { phase: Phase::Ready, record, .. }) => record,
            Some(_) => {
                return Err(Refusal::new(Code::TRY_AGAIN, format!("podnet works on {owner} now, or was killed then")));
            }
            None => {
                return Err(Refusal::new(
                    Code::NOT_AS_EXPECTED,
                    format!("podnet has made nothing for {owner} since the machine started"),
                ));
            }
        };
        let netns = self.invocation.netns.clone().unwrap_or_default();
        let handle = Handle::open(&netns).map_err(|error| refuse::flow(&error.into()))?;
        match record.netns {
            Some(then) if then != handle.inode() => {
                let message = format!(
                    "CNI_NETNS: {} is another netns than at ADD: {} and not {then}",
                    netns.display(),
                    handle.inode()
                );
                Err(Refusal::new(Code::INVALID_ENVIRONMENT, message))
            }
            _ => Ok(record),
        }
    }

    fn owner(&self) -> Result<&Owner, Refusal> {
        let missing = || Refusal::new(Code::INVALID_ENVIRONMENT, "CNI_CONTAINERID, CNI_IFNAME: missing");
        self.invocation.owner.as_ref().ok_or_else(missing)
    }

    /// Addresses that the store would give to another.
    fn store_differences(&self, record: &Record) -> Vec<String> {
        if record.wish.delegate.is_some() || record.wish.agent.is_some() {
            return Vec::new();
        }
        let lease = match self.store().lease(&record.wish.owner) {
            Ok(lease) => lease,
            Err(error) => return vec![error.to_string()],
        };
        let lost = record.addresses.iter().filter(|leased| !lease.addresses.contains(leased));
        lost.map(|leased| format!("{} of pool {} is not reserved for it any more", leased.address.addr(), leased.pool))
            .collect()
    }
}

/// The plugins that came after may have changed what podnet made, and said so in the result: its MAC, its MTU, its
/// addresses. A default route that is not in the result any more was moved by one of them.
fn expected(mut record: Record, previous: &AddResult) -> (Record, Allowed) {
    let own = |sandboxed: bool, name: &str| {
        previous.interfaces.iter().find(|interface| interface.name == name && interface.sandbox.is_empty() != sandboxed)
    };
    let mut allowed = Allowed::default();
    if let Some(interface) = own(true, &record.pod.name) {
        record.pod.mac = interface.mac.parse::<Mac>().ok().or(record.pod.mac);
        // Before 1.1.0 a result has no MTU, and what a plugin made of it is not known.
        allowed.pod_mtu = if interface.mtu == 0 { None } else { Some(interface.mtu) };
    }
    record.addresses.retain(|leased| previous.ips.iter().any(|ip| ip.address.addr() == leased.address.addr()));
    let defaults = |ipv4: bool| {
        previous.routes.iter().any(|route| route.dst.prefix_len() == 0 && route.dst.addr().is_ipv4() == ipv4)
    };
    allowed.moved_routes = record
        .addresses
        .iter()
        .map(|leased| leased.address.addr())
        .filter(|address| !defaults(address.is_ipv4()))
        .collect();
    (record, allowed)
}
