//! Registration with the agent, which loads the endpoint's programs and answers when they run.

use crate::collect::cilium::Error as AgentError;
use crate::flow::agent::client::{Client, is_away};
use crate::flow::agent::{queue, request};
use crate::flow::error::Error;
use crate::flow::journal::Journals;
use crate::flow::kernel::{cookie, link, sysctl};
use crate::flow::names;
use crate::flow::record::Record;
use crate::flow::step::{Change, Step};
use crate::flow::work::Work;

pub struct AgentEndpoint;

impl Step for AgentEndpoint {
    fn name(&self) -> &'static str {
        "agent-endpoint"
    }

    fn purpose(&self) -> &'static str {
        "register the endpoint, and wait until the agent's programs carry its packets"
    }

    fn in_cilium(&self) -> &'static str {
        "EndpointCreate → Endpoint.PutEndpointID"
    }

    fn preview(&self, record: &Record) -> Vec<String> {
        let told = record.agent.clone().unwrap_or_default();
        let body = serde_json::to_string(&request::endpoint(record, &told, None)).unwrap_or_default();
        let curl = super::curl(record);
        vec![format!("{curl} -X PUT --json '{body}' http://localhost/v1/endpoint/cilium-local:0")]
    }

    fn undo_preview(&self, record: &Record) -> Vec<String> {
        let owner = &record.wish.owner;
        let id = format!("cni-attachment-id:{}:{}", owner.container_id(), owner.ifname());
        vec![format!("{} -X DELETE http://localhost/v1/endpoint/{id}", super::curl(record))]
    }

    fn apply(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let (ifindex, alias) = (work.record.host.ifindex, names::alias(&work.record.wish.owner));
        link::set_alias(work.host()?, ifindex, &alias)?;
        // Kernels before 5.14 have none, and then the agent is told 0.
        let cookie = work.netns()?.run(cookie::own)?.ok();
        let told = work.told()?.clone();
        let endpoint = request::endpoint(&work.record, &told, cookie);
        let mac = Client::new(work.agent()?)?.register(&endpoint)?;
        work.told()?.registered = true;
        let mut changes = vec![Change::added(format!("endpoint of {}", work.record.host.name))];
        if let Some(mac) = mac.filter(|mac| endpoint.mac.is_some() && endpoint.mac != Some(*mac)) {
            let ifindex = work.record.pod.ifindex;
            link::set_mac(work.pod()?, ifindex, mac)?;
            work.record.pod.mac = Some(mac);
            changes.push(Change::set(format!("MAC of {} to {mac}, as the agent says", work.record.pod.name)));
        }
        changes.extend(late_settings(work)?);
        Ok(changes)
    }

    /// While the agent is down it goes into its deletion queue, where the agent finds it when it is back.
    fn undo(&self, work: &mut Work) -> Result<Vec<Change>, Error> {
        let agent = work.agent()?.clone();
        let client = Client::new(&agent)?;
        let owner = work.record.wish.owner.clone();
        let version = work.record.agent.as_ref().map_or(NEWEST, |told| told.config.version);
        let delete = || unregister(&client, owner.container_id(), owner.ifname(), version);
        let deleted = match delete() {
            Err(error) if is_away(&error) => {
                let others = has_others(work)?;
                let is_back = || client.allocations().is_ok();
                match queue::add(&agent.run_directory(), owner.container_id(), owner.ifname(), others, is_back)? {
                    Some(file) => {
                        work.notes.push(format!("the agent is down: {} tells it what to delete", file.display()));
                        set_deleted(work);
                        return Ok(vec![Change::added(format!("{} in the agent's deletion queue", file.display()))]);
                    }
                    None => delete()?,
                }
            }
            other => other?,
        };
        if deleted {
            set_deleted(work);
        }
        Ok(if deleted { vec![Change::removed(format!("endpoint of {}", work.record.host.name))] } else { Vec::new() })
    }
}

/// Without a record of which it is, it has the words of today's.
const NEWEST: (u32, u32) = (u32::MAX, 0);

/// An agent of before attachments does not know what they are.
fn unregister(client: &Client, container_id: &str, ifname: &str, version: (u32, u32)) -> Result<bool, AgentError> {
    match client.unregister(container_id, ifname, version) {
        Err(AgentError::Refused { status: 400, .. }) if version >= crate::flow::agent::client::ATTACHMENT_IDS => {
            client.unregister(container_id, ifname, (0, 0))
        }
        other => other,
    }
}

/// Its addresses go with it.
fn set_deleted(work: &mut Work) {
    if let Some(told) = &mut work.record.agent {
        told.deleted = true;
    }
}

/// Whether podnet has made other interfaces for the container, which a deletion of the whole would take along.
fn has_others(work: &Work) -> Result<bool, Error> {
    let own = &work.record.wish.owner;
    let owners = Journals::new(&work.run).owners()?;
    Ok(owners.iter().any(|owner| owner.container_id() == own.container_id() && owner != own))
}

/// What the plugin sets when all else is done.
fn late_settings(work: &mut Work) -> Result<Vec<Change>, Error> {
    let settings = work.told()?.config.settings.clone();
    let mut wanted = Vec::new();
    if let Some(mode) = settings.mtu_probing {
        wanted.push(("ipv4/tcp_mtu_probing", mode));
        wanted.push(("ipv4/tcp_base_mss", "1024".to_owned()));
        wanted.push(("ipv4/tcp_mtu_probe_floor", "48".to_owned()));
    }
    if settings.cubic {
        wanted.push(("ipv4/tcp_congestion_control", "cubic".to_owned()));
    }
    let set = || -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for (name, value) in wanted {
            if sysctl::set(name, &value)? {
                changes.push(Change::set(format!("sysctl -w net/{name}={value} in the pod")));
            }
        }
        Ok(changes)
    };
    work.netns()?.run(set)?
}
