//! The agent as the steps talk to it: one question at a time, waited for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hyper::Method;
use serde::Deserialize;

use super::request::EndpointRequest;
use super::{Agent, Config, Given, Version};
use crate::collect::cilium::{self, Error as AgentError, Question};
use crate::flow::error::Error;
use crate::ipam::Owner;
use crate::model::agent::Agent as AgentModel;
use crate::model::mac::Mac;

/// What the agent's own client waits for an answer: an endpoint is built first.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks whether it listens by now.
const PAUSE: Duration = Duration::from_millis(200);

pub struct Client {
    runtime: tokio::runtime::Runtime,
    client: cilium::Client,
    agent: Agent,
}

/// The answer to `POST /ipam`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Allocation {
    address: Addresses,
    ipv4: Option<Details>,
    ipv6: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Addresses {
    ipv4: Option<String>,
    ipv4_pool_name: Option<String>,
    ipv4_expiration_uuid: Option<String>,
    ipv6: Option<String>,
    ipv6_pool_name: Option<String>,
    ipv6_expiration_uuid: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Details {
    expiration_uuid: Option<String>,
    gateway: Option<String>,
}

/// The body of `201` to `PUT /endpoint/{id}`, since 1.16.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Registered {
    status: Option<RegisteredStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RegisteredStatus {
    networking: Option<Networking>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Networking {
    mac: Option<String>,
}

impl Client {
    pub fn new(agent: &Agent) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Runtime { source })?;
        Ok(Self { runtime, client: cilium::Client::new(&agent.socket, PATIENCE), agent: agent.clone() })
    }

    /// What it is configured to, as soon as it listens.
    pub fn configuration(&self) -> Result<Config, Error> {
        let patience = Duration::from_millis(self.agent.patience_ms);
        let deadline = Instant::now() + patience;
        let client = cilium::Client::new(&self.agent.socket, patience);
        loop {
            match self.runtime.block_on(cilium::ask_configuration(&client, &self.agent.socket)) {
                Ok(told) => return config(told),
                Err(error) if self.may_come(&error) && Instant::now() + PAUSE < deadline => std::thread::sleep(PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Where there is not even the directory of its socket, there is nothing to wait for.
    fn may_come(&self, error: &AgentError) -> bool {
        is_away(error) && self.agent.run_directory().is_dir()
    }

    /// An address of each family that the agent has.
    pub fn allocate(&self, owner: &str) -> Result<Vec<Given>, Error> {
        let pool = self.agent.pool.as_ref().map(|pool| format!("&pool={}", encoded(pool))).unwrap_or_default();
        let path = format!("/ipam?owner={}{pool}", encoded(owner));
        let question = Question::new(Method::POST, path).header("Expiration", "true");
        let body = self.runtime.block_on(self.client.ask(&question))?;
        let told: Allocation = serde_json::from_slice(&body).map_err(|source| cilium::garbage(&question, source))?;
        let gateway = [&told.ipv4, &told.ipv6]
            .into_iter()
            .flatten()
            .find_map(|details| details.gateway.clone().filter(|gateway| !gateway.is_empty()));
        let given = told.given();
        match gateway {
            // Rules and routes of the interface that it is an address of: podnet makes none, and without them it is dead.
            Some(gateway) => {
                let _ = given.iter().try_for_each(|given| self.release(given));
                Err(Error::CloudIpam { gateway })
            }
            None => Ok(given),
        }
    }

    /// Gives an address back.
    pub fn release(&self, given: &Given) -> Result<(), Error> {
        let pool = given.pool.as_ref().map(|pool| format!("?pool={}", encoded(pool))).unwrap_or_default();
        let question = Question::new(Method::DELETE, format!("/ipam/{}{pool}", given.address));
        match self.runtime.block_on(self.client.ask(&question)) {
            Ok(_) | Err(AgentError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Address → whose it is by the agent's books; addresses whose owner it does not know are left out.
    pub fn allocations(&self) -> Result<BTreeMap<IpAddr, String>, Error> {
        let held = self.runtime.block_on(cilium::ask_allocations(&self.client))?;
        Ok(held.into_iter().filter_map(|held| Some((held.address, held.owner?))).collect())
    }

    /// Registers the endpoint and waits until its programs are loaded; the MAC that it is to have, where the agent
    /// says another.
    pub fn register(&self, request: &EndpointRequest) -> Result<Option<Mac>, Error> {
        let body = serde_json::to_vec(request).map_err(|source| Error::Unwritable { source })?;
        let question = Question { body: Some(body), ..Question::new(Method::PUT, "/endpoint/cilium-local:0") };
        let body = self.runtime.block_on(self.client.ask(&question))?;
        // Up to 1.15 there is none.
        let told: Registered = serde_json::from_slice(&body).unwrap_or_default();
        let mac = told.status.and_then(|status| status.networking).and_then(|networking| networking.mac);
        Ok(mac.and_then(|text| text.parse().ok()))
    }

    /// What the agent finds wrong with the endpoint.
    pub fn ailment(&self, owner: &Owner) -> Result<Option<String>, Error> {
        let id = format!("cni-attachment-id:{}:{}", owner.container_id(), owner.ifname());
        let path = format!("/endpoint/{}/healthz", encoded(&id));
        match self.runtime.block_on(self.client.get::<Health>(&path)) {
            Ok(health) => Ok(health
                .overall_health
                .filter(|word| word == "Failure")
                .map(|word| format!("the agent says of the endpoint: {word} (podnet endpoint get tells why)"))),
            Err(AgentError::NotFound { .. }) => Ok(Some("the agent has no endpoint for it".to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the endpoint of one interface; false when the agent knows none.
    pub fn unregister(&self, container_id: &str, ifname: &str, version: Version) -> Result<bool, AgentError> {
        let id = if version >= ATTACHMENT_IDS {
            format!("cni-attachment-id:{container_id}:{ifname}")
        } else {
            format!("container-id:{container_id}")
        };
        let question = Question::new(Method::DELETE, format!("/endpoint/{}", encoded(&id)));
        match self.runtime.block_on(self.client.ask(&question)) {
            // Also 206: deleted, though not without errors, which are the agent's.
            Ok(_) => Ok(true),
            Err(AgentError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The answer to `GET /endpoint/{id}/healthz`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Health {
    overall_health: Option<String>,
}

/// Since when an address is of a pool that has a name.
pub const POOLS: Version = (1, 14);
/// Since when an endpoint goes by its attachment.
pub const ATTACHMENT_IDS: Version = (1, 14);

/// Whether it may come back: it is down, or starting.
pub fn is_away(error: &AgentError) -> bool {
    matches!(
        error,
        AgentError::Connect { .. }
            | AgentError::Starting { .. }
            | AgentError::Broken { .. }
            | AgentError::Timeout { .. }
    )
}

fn config(told: AgentModel) -> Result<Config, Error> {
    Ok(Config {
        version: version(&told),
        datapath: told.mode.datapath.unwrap_or_else(|| "veth".to_owned()),
        ipam: told.mode.ipam.unwrap_or_default(),
        device_mtu: told.device_mtu.filter(|mtu| *mtu > 0).ok_or(Error::NoDeviceMtu)?,
        route_mtu: told.route_mtu,
        offload: told.offload,
        settings: told.pod_settings,
        families: told.families,
    })
}

/// By its own word, else by what its configuration has since when.
fn version(told: &AgentModel) -> Version {
    let stated = told.version.as_ref().and_then(|text| {
        let mut parts = text.split(['.', '-']);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    let settings = &told.pod_settings;
    let newer = settings.headroom.is_some() || settings.mtu_probing.is_some() || settings.reserved_ports.is_some();
    let guessed = match (newer, told.offload.gso_ipv4_max_size) {
        (true, _) => (1, 18),
        (_, Some(_)) => (1, 14),
        _ => (1, 9),
    };
    stated.unwrap_or(guessed)
}

impl Allocation {
    fn given(self) -> Vec<Given> {
        let family = |address: Option<String>, pool: Option<String>, uuid: Option<String>, details: Option<Details>| {
            let expiration = uuid.or_else(|| details.and_then(|details| details.expiration_uuid));
            let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
            Some(Given { address: address?.parse().ok()?, pool: filled(pool), expiration: filled(expiration) })
        };
        let Addresses { ipv4, ipv4_pool_name, ipv4_expiration_uuid, .. } = self.address;
        let four = family(ipv4, ipv4_pool_name, ipv4_expiration_uuid, self.ipv4);
        let six = family(self.address.ipv6, self.address.ipv6_pool_name, self.address.ipv6_expiration_uuid, self.ipv6);
        [four, six].into_iter().flatten().collect()
    }
}

/// For a path or a query: all but unreserved characters as %XX.
fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => safe.push(char::from(byte)),
            _ => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_no_character_of_another_meaning() {
        assert_eq!(encoded("demo/web-0"), "demo%2Fweb-0");
        assert_eq!(encoded("a?b#c d\n%é"), "a%3Fb%23c%20d%0A%25%C3%A9");
        assert_eq!(encoded("cni-attachment-id:c1:eth0"), "cni-attachment-id:c1:eth0");
    }

    #[test]
    fn a_version_is_read_or_told_from_what_there_is() {
        let told = |text: &str| version(&AgentModel { version: Some(text.to_owned()), ..AgentModel::default() });
        assert_eq!((told("1.15.0-dev"), told("1.9.18"), told("1.20.1")), ((1, 15), (1, 9), (1, 20)));
        assert_eq!(version(&AgentModel::default()), (1, 9));
    }
}
