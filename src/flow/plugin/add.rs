//! ADD: the flow of `podnet create`, and its result in the version that was asked for.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;

use super::{Session, print, refuse, unwritable};
use crate::cni::error::{Code, Refusal};
use crate::cni::netconf::Ipam;
use crate::cni::result::AddResult;
use crate::flow::engine::Created;
use crate::flow::record::Record;
use crate::flow::wish::{Place, Wish};
use crate::ipam::choose::{Wishes, choose};

/// How containerd and CRI-O hand on a pod's annotations, to a network that declares the capability.
const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

impl Session {
    pub(super) fn add(&mut self, output: &mut dyn Write) -> Result<(), Refusal> {
        self.refuse_taken_interface()?;
        self.refuse_chained_agent()?;
        self.refuse_dhcp()?;
        let wish = self.wish()?;
        let created = self.engine.create(wish.clone(), &mut self.log);
        let Created { record, notes, .. } = created.map_err(|failed| refuse::flow(&failed.source))?;
        self.log.notes = notes;
        let answered = self.result(&record).and_then(|value| print(output, &value).map_err(|error| unwritable(&error)));
        if answered.is_err() {
            // The runtime will never know of it. What fails here is in the journal, for gc.
            let _ = self.engine.delete(wish, &mut self.log);
        }
        answered
    }

    /// A plugin before podnet may have made other interfaces, but not this one.
    fn refuse_taken_interface(&self) -> Result<(), Refusal> {
        let Some(previous) = &self.conf.previous else { return Ok(()) };
        let (Some(owner), Some(netns)) = (&self.invocation.owner, &self.invocation.netns) else { return Ok(()) };
        let is_it = |sandbox: &str, name: &str| !sandbox.is_empty() && name == owner.ifname();
        let taken = previous.interfaces.iter().find(|interface| is_it(&interface.sandbox, &interface.name));
        match taken {
            None => Ok(()),
            Some(interface) => {
                let message = format!(
                    "prevResult: a plugin before podnet made {} in {} already; podnet makes it, and comes first in a chain",
                    interface.name,
                    netns.display()
                );
                Err(Refusal::new(Code::INVALID_CONFIG, message))
            }
        }
    }

    /// The agent takes an interface for a pod's only one: one that it joins it must be told of in another way.
    fn refuse_chained_agent(&self) -> Result<(), Refusal> {
        if self.conf.agent.is_none() || self.conf.previous.is_none() {
            return Ok(());
        }
        let message = "prevResult: with «agent» podnet makes the pod's interface itself, and comes first in a chain";
        Err(Refusal::new(Code::INVALID_CONFIG, message))
    }

    /// That plugin asks a server through the interface, which there is none of before there is an address; and no server
    /// would hear it on a link that ends at the host.
    fn refuse_dhcp(&self) -> Result<(), Refusal> {
        if self.conf.ipam != Ipam::Delegated("dhcp".to_owned()) {
            return Ok(());
        }
        let message = "ipam.type: «dhcp» asks in the pod's own network segment, and podnet routes its pods; \
            take host-local or static here, or bridge or macvlan with dhcp";
        Err(Refusal::new(Code::INVALID_CONFIG, message))
    }

    /// What is asked for, by netconf, `CNI_ARGS`, the runtime and the pod's annotations.
    pub(super) fn wish(&self) -> Result<Wish, Refusal> {
        let (conf, args) = (&self.conf, &self.invocation.args);
        let missing = || Refusal::new(Code::INVALID_ENVIRONMENT, "CNI_CONTAINERID, CNI_IFNAME: missing");
        let owner = self.invocation.owner.clone().ok_or_else(missing)?;
        let annotations: Option<BTreeMap<String, String>> = conf.object.get("runtimeConfig").and_then(|runtime| {
            let annotations = runtime.get(ANNOTATIONS)?;
            serde_json::from_value(annotations.clone()).ok()
        });
        let wishes = Wishes {
            flag: None,
            netconf: conf.pool.as_deref(),
            cni_args: args.pool.as_deref(),
            annotations: annotations.as_ref(),
        };
        let choice = choose(&wishes).map_err(|error| Refusal::caused(Code::INVALID_CONFIG, &error))?;
        let mut addresses: Vec<IpAddr> = args.ips.iter().chain(&conf.ips).copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(Wish {
            owner,
            network: conf.name.clone(),
            place: Place::Path(self.invocation.netns.clone().unwrap_or_default()),
            ipv4_pool: choice.ipv4,
            ipv6_pool: choice.ipv6.filter(|_| conf.ipv6 != Some(false)),
            addresses,
            mac: conf.mac.or(args.mac),
            mtu: conf.mtu,
            masquerade: conf.ip_masq.unwrap_or(true),
            store: self.root.clone(),
            delegate: self.delegate(),
            agent: self.agent(),
        })
    }

    /// What was made, after what the plugins before made.
    fn result(&self, record: &Record) -> Result<serde_json::Value, Refusal> {
        let mut result = merged(self.conf.previous.clone().unwrap_or_default(), record.result());
        if !self.conf.dns.is_empty() {
            result.dns = self.conf.dns.clone();
        }
        result.encode(self.conf.version).map_err(|invalid| Refusal::caused(Code::INTERNAL, &invalid))
    }
}

fn merged(mut previous: AddResult, mut own: AddResult) -> AddResult {
    let before = i64::try_from(previous.interfaces.len()).unwrap_or_default();
    for ip in &mut own.ips {
        ip.interface = ip.interface.map(|index| index + before);
    }
    previous.interfaces.append(&mut own.interfaces);
    previous.ips.append(&mut own.ips);
    previous.routes.append(&mut own.routes);
    if !own.dns.is_empty() {
        previous.dns = own.dns;
    }
    previous
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cni::version::SpecVersion;

    #[test]
    fn what_came_before_stays_and_indexes_are_shifted() {
        let decode = |value| AddResult::decode(value, SpecVersion::NEWEST).unwrap();
        let previous =
            decode(json!({"interfaces": [{"name": "a"}], "ips": [{"address": "10.0.0.1/8", "interface": 0}], "x": 1}));
        let own = decode(
            json!({"interfaces": [{"name": "b"}, {"name": "c"}], "ips": [{"address": "10.0.0.2/8", "interface": 1}]}),
        );
        let both = merged(previous, own);
        let indexes: Vec<_> = both.ips.iter().map(|ip| ip.interface).collect();
        assert_eq!((both.interfaces.len(), indexes), (3, vec![Some(0), Some(2)]));
        assert_eq!(both.extra["x"], 1);
    }
}
