//! The agent's configuration: what an interface of its pods must be like, and whether podnet can make one.

use crate::flow::agent::Told;
use crate::flow::agent::client::Client;
use crate::flow::error::Error;
use crate::flow::mac;
use crate::flow::names;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;

/// Modes whose addresses need rules and routes by the interface that the cloud gave them to.
const CLOUD: [&str; 3] = ["eni", "azure", "alibabacloud"];
pub const DELEGATED: &str = "delegated-plugin";

pub struct Agent;

impl Step for Agent {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn purpose(&self) -> &'static str {
        "ask the agent how interfaces of its pods must be"
    }

    fn in_cilium(&self) -> &'static str {
        "getConfigFromCiliumAgent → Daemon.GetConfig"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        vec![format!("{} http://localhost/v1/config", super::curl(record))]
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        work.record.wish.validate()?;
        super::netconf::refuse_existing_netns(&work.record.wish.place)?;
        let config = Client::new(work.agent()?)?.configuration()?;
        if CLOUD.contains(&config.ipam.as_str()) {
            return Err(Error::AgentMode { what: "IPAM", mode: config.ipam });
        }
        if config.ipam == DELEGATED && work.record.wish.delegate.is_none() {
            return Err(Error::NoDelegate);
        }
        if !matches!(config.datapath.as_str(), "veth" | "netkit" | "netkit-l2") {
            return Err(Error::AgentMode { what: "datapath", mode: config.datapath });
        }
        work.record.mtu = config.device_mtu;
        work.record.host.name = names::host_interface(&work.record.wish.owner);
        work.record.pod.mac = work.record.pod.mac.or(work.record.wish.mac);
        // An L3 netkit has no MACs.
        if config.datapath != "netkit" {
            mac::chosen(&mut work.record.host.mac)?;
            mac::chosen(&mut work.record.pod.mac)?;
        }
        work.record.agent = Some(Told { config, ..Told::default() });
        Ok(Vec::new())
    }
}
