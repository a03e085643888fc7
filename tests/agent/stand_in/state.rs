//! What the agent keeps: addresses with their timers, endpoints; and how its versions differ.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::Request;
use super::{Fault, Setup};

pub struct State {
    setup: Setup,
    asked: BTreeMap<String, usize>,
    /// Address → pool, owner, and the timer that takes it back.
    addresses: BTreeMap<Ipv4Addr, Held>,
    endpoints: BTreeMap<u64, Value>,
    next_endpoint: u64,
    /// What `/healthz` shows of the addresses, and since when.
    shown: Option<(Instant, Value)>,
    file: PathBuf,
}

struct Held {
    pool: String,
    owner: String,
    expiration: Option<String>,
    since: Instant,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn empty(status: u16) -> Self {
        Self { status, body: Vec::new() }
    }

    fn json(status: u16, value: &Value) -> Self {
        Self { status, body: value.to_string().into_bytes() }
    }

    /// The agent's own errors are sentences.
    fn refusal(status: u16, words: &str) -> Self {
        Self::json(status, &json!(words))
    }

    /// … and those of its router objects.
    fn routed(code: u16, message: String) -> Self {
        Self::json(code, &json!({"code": code, "message": message}))
    }
}

/// The pool's first address for pods; the router has one of its own.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 10);
/// How long the agent's health is as it was (5 s).
const SHOWN_FOR: Duration = Duration::from_secs(5);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 217);

impl State {
    pub fn new(setup: Setup, folder: &Path) -> Self {
        let router = Held { pool: "default".into(), owner: "router".into(), expiration: None, since: Instant::now() };
        let addresses = BTreeMap::from([(ROUTER, router)]);
        let mut state = Self {
            setup,
            asked: BTreeMap::new(),
            addresses,
            endpoints: BTreeMap::new(),
            next_endpoint: 100,
            shown: None,
            file: folder.join("state.json"),
        };
        state.work_queue(&folder.join("deleteQueue"));
        state.write();
        state
    }

    fn version(&self) -> Option<(u32, u32)> {
        let (major, minor) = self.setup.version.as_ref()?.split_once('.')?;
        Some((major.parse().unwrap(), minor.parse().unwrap()))
    }

    pub fn fault(&mut self, request: &Request) -> Option<Fault> {
        let path = path_of(request).to_owned();
        let question = format!("{} {path}", request.method);
        let faults = &self.setup.faults;
        let fault = faults.get(&question).or_else(|| faults.get(&path)).or_else(|| faults.get("*")).cloned();
        let asked = self.asked.entry(path).or_default();
        *asked += 1;
        match fault {
            Some(Fault::Limited { times, .. }) if *asked > times => None,
            other => other,
        }
    }

    pub fn answer(&mut self, request: &Request) -> Answer {
        if let Some(limit) = self.setup.expires_after_ms.map(Duration::from_millis) {
            self.addresses.retain(|_, held| held.expiration.is_none() || held.since.elapsed() < limit);
        }
        let answer = match self.version() {
            Some(version) => self.stateful(request, version),
            None => None,
        };
        let answer = answer.unwrap_or_else(|| self.recorded(request));
        self.write();
        answer
    }

    fn recorded(&self, request: &Request) -> Answer {
        let path = path_of(request);
        match (self.setup.answers.get(path), request.method.as_str()) {
            (Some(answer), "GET") => Answer::json(200, answer),
            (Some(_), method) => Answer::routed(405, format!("method {method} is not allowed, but [GET] are")),
            // No such endpoint: nothing at all.
            (None, _) if path.starts_with("/endpoint/") => Answer::empty(404),
            (None, _) => Answer::routed(404, format!("path {} was not found", request.target)),
        }
    }

    fn stateful(&mut self, request: &Request, version: (u32, u32)) -> Option<Answer> {
        let path = path_of(request).to_owned();
        Some(match (request.method.as_str(), path.as_str()) {
            ("GET", "/healthz") => Answer::json(200, &self.health(version)),
            ("GET", "/endpoint") => Answer::json(200, &self.endpoints.values().cloned().collect()),
            ("POST", "/ipam") => self.allocate(request),
            ("DELETE", address) if address.starts_with("/ipam/") => self.release(&address[6..], request),
            ("PUT", id) if id.starts_with("/endpoint/") => self.register(request, version),
            ("DELETE", id) if id.starts_with("/endpoint/") => self.unregister(&decoded(&id[10..]), version),
            ("GET", path) if path.starts_with("/endpoint/") && path.ends_with("/healthz") => {
                let id = decoded(path[10..].trim_end_matches("/healthz"));
                match self.find(&id, version) {
                    Ok(found) if !found.is_empty() => {
                        Answer::json(200, &json!({"overallHealth": "OK", "connected": true}))
                    }
                    _ => Answer::empty(404),
                }
            }
            _ => return None,
        })
    }

    fn health(&mut self, version: (u32, u32)) -> Value {
        let mut health = self.setup.answers.get("/healthz").cloned().unwrap_or_else(|| json!({}));
        let stated = format!("{}.{}.0 (v{}.{}.0-stand-in)", version.0, version.1, version.0, version.1);
        health["cilium"] = json!({"state": "Ok", "msg": stated});
        let key = |address: &Ipv4Addr, held: &Held| match held.pool.as_str() {
            "default" => address.to_string(),
            pool => format!("{pool}/{address}"),
        };
        let all: BTreeMap<String, &String> =
            self.addresses.iter().map(|(address, held)| (key(address, held), &held.owner)).collect();
        let status = format!("IPv4: {}/254 allocated from 10.244.1.0/24, ", all.len());
        let now = json!({"allocations": all, "status": status});
        // As the agent, which looks only every so often.
        if self.shown.as_ref().is_none_or(|(since, _)| since.elapsed() > SHOWN_FOR) {
            self.shown = Some((Instant::now(), now));
        }
        health["ipam"] = self.shown.as_ref().unwrap().1.clone();
        health
    }

    fn allocate(&mut self, request: &Request) -> Answer {
        let query = query_of(request);
        let pool = query.get("pool").cloned().unwrap_or_else(|| "default".to_owned());
        let taken: Vec<Ipv4Addr> = self.addresses.keys().copied().collect();
        let free =
            (0..self.setup.room).map(|offset| Ipv4Addr::from(u32::from(FIRST) + offset)).find(|it| !taken.contains(it));
        let Some(address) = free else { return Answer::refusal(502, "range is full") };
        let expires = request.headers.iter().any(|(name, value)| name == "expiration" && value == "true");
        let expiration = expires.then(|| format!("5c0f19f3-e9c2-4e3d-b8fa-{:012x}", u32::from(address)));
        let owner = query.get("owner").cloned().unwrap_or_default();
        self.addresses
            .insert(address, Held { pool: pool.clone(), owner, expiration: expiration.clone(), since: Instant::now() });
        let mut pair = json!({"ipv4": address});
        if self.version().unwrap() >= (1, 14) {
            pair["ipv4-pool-name"] = json!(pool);
        }
        let mut details = json!({"cidrs": null, "ip": address});
        if let Some(expiration) = expiration {
            details["expiration-uuid"] = json!(expiration);
        }
        let host = json!({"ipv4": {"alloc-range": "10.244.1.0/24", "enabled": true, "ip": ROUTER}});
        Answer::json(201, &json!({"address": pair, "host-addressing": host, "ipv4": details}))
    }

    fn release(&mut self, address: &str, request: &Request) -> Answer {
        let Ok(address) = address.parse::<Ipv4Addr>() else { return Answer::refusal(400, "invalid IP address") };
        let pooled = query_of(request).contains_key("pool");
        if self.version().unwrap() >= (1, 14) && !pooled {
            return Answer::refusal(500, "unable to release IP: pool must be specified");
        }
        let text = address.to_string();
        let user =
            self.endpoints.values().find(|endpoint| endpoint["status"]["networking"]["addressing"][0]["ipv4"] == text);
        if let Some(user) = user {
            return Answer::refusal(500, &format!("IP is in use by endpoint {}", user["id"]));
        }
        self.addresses.remove(&address);
        Answer::empty(200)
    }

    fn register(&mut self, request: &Request, version: (u32, u32)) -> Answer {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return Answer::routed(400, "parsing body failed".to_owned());
        };
        if body["state"].as_str().is_none() {
            return Answer::json(422, &json!({"code": 602, "message": "state in body is required"}));
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let address = body["addressing"]["ipv4"].as_str().unwrap_or_default().to_owned();
        let attachment = format!("{}:{}", text("container-id"), text("container-interface-name"));
        for endpoint in self.endpoints.values() {
            let status = &endpoint["status"];
            if status["external-identifiers"]["cni-attachment-id"] == attachment {
                return Answer::refusal(400, "endpoint for CNI attachment ID already exists");
            }
            if status["networking"]["addressing"][0]["ipv4"] == address {
                return Answer::refusal(400, &format!("IP ipv4:{address} is already in use"));
            }
        }
        let timed = body["addressing"]["ipv4-expiration-uuid"].is_string();
        if timed && !address.parse().is_ok_and(|address: Ipv4Addr| self.addresses.contains_key(&address)) {
            return Answer::refusal(500, "no expiration timer registered");
        }
        if let Ok(address) = address.parse::<Ipv4Addr>()
            && let Some(held) = self.addresses.get_mut(&address)
        {
            let uuid = body["addressing"]["ipv4-expiration-uuid"].as_str().map(str::to_owned);
            if held.expiration.is_some() && uuid != held.expiration {
                return Answer::refusal(500, "UUID mismatch, not stopping expiration timer");
            }
            held.expiration = None;
        }
        let id = self.next_endpoint;
        self.next_endpoint += 1;
        let mut endpoint = json!({"id": id, "status": {
            "state": "ready",
            "external-identifiers": {"container-id": text("container-id"), "cni-attachment-id": attachment, "k8s-namespace": text("k8s-namespace"), "k8s-pod-name": text("k8s-pod-name")},
            "identity": {"id": 5, "labels": ["reserved:init"]},
            "networking": {
                "addressing": [body["addressing"]], "mac": body["mac"], "host-mac": body["host-mac"],
                "interface-name": body["interface-name"], "interface-index": body["interface-index"],
                "container-interface-name": body["container-interface-name"],
            },
        }});
        if let Some(mac) = &self.setup.mac {
            endpoint["status"]["networking"]["mac"] = json!(mac);
        }
        self.endpoints.insert(id, endpoint.clone());
        if version >= (1, 16) { Answer::json(201, &endpoint) } else { Answer::empty(201) }
    }

    /// The endpoints that an id means; an id of a form that this version does not know is refused.
    fn find(&self, id: &str, version: (u32, u32)) -> Result<Vec<u64>, Answer> {
        let (prefix, value) = id.split_once(':').unwrap_or(("cilium-local", id));
        let field = match prefix {
            "cilium-local" => {
                return Ok(value.parse().into_iter().filter(|id| self.endpoints.contains_key(id)).collect());
            }
            "cni-attachment-id" if version >= (1, 14) => "cni-attachment-id",
            "container-id" if version < (1, 16) => "container-id",
            _ => return Err(Answer::refusal(400, &format!("unknown endpoint prefix \"{prefix}\""))),
        };
        let fits = |endpoint: &Value| endpoint["status"]["external-identifiers"][field] == value;
        Ok(self.endpoints.iter().filter(|(_, endpoint)| fits(endpoint)).map(|(id, _)| *id).collect())
    }

    fn unregister(&mut self, id: &str, version: (u32, u32)) -> Answer {
        match self.find(id, version) {
            Err(answer) => answer,
            Ok(found) if found.is_empty() => Answer::refusal(404, "endpoint not found"),
            Ok(found) => {
                found.into_iter().for_each(|id| self.remove(id));
                Answer::empty(200)
            }
        }
    }

    /// An endpoint takes its addresses with it.
    fn remove(&mut self, id: u64) {
        let Some(endpoint) = self.endpoints.remove(&id) else { return };
        let address = endpoint["status"]["networking"]["addressing"][0]["ipv4"].as_str().unwrap_or_default();
        if let Ok(address) = address.parse::<Ipv4Addr>() {
            self.addresses.remove(&address);
        }
    }

    /// As an agent at its start: what another one left, less what is queued for deletion.
    fn work_queue(&mut self, queue: &Path) {
        if let Ok(text) = std::fs::read_to_string(&self.file) {
            let left: Value = serde_json::from_str(&text).unwrap();
            for endpoint in left["endpoints"].as_array().unwrap() {
                let address = endpoint["status"]["networking"]["addressing"][0]["ipv4"].as_str().unwrap_or_default();
                let held =
                    Held { pool: "default".into(), owner: "restored".into(), expiration: None, since: Instant::now() };
                self.addresses.extend(address.parse::<Ipv4Addr>().ok().map(|address| (address, held)));
                self.endpoints.insert(endpoint["id"].as_u64().unwrap(), endpoint.clone());
            }
        }
        for entry in std::fs::read_dir(queue).into_iter().flatten().flatten() {
            if entry.path().extension().is_none_or(|kind| kind != "delete") {
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let id = match serde_json::from_str::<Value>(&text) {
                Ok(batch) => format!("container-id:{}", batch["container-id"].as_str().unwrap()),
                Err(_) => text,
            };
            let found = self.find(&id, (1, 15)).unwrap_or_default();
            found.into_iter().for_each(|id| self.remove(id));
            std::fs::remove_file(entry.path()).unwrap();
        }
    }

    /// For the tests to look at.
    fn write(&self) {
        let addresses: BTreeMap<String, Value> = self
            .addresses
            .iter()
            .map(|(address, held)| {
                (address.to_string(), json!({"owner": held.owner, "expires": held.expiration.is_some()}))
            })
            .collect();
        let endpoints: Vec<&Value> = self.endpoints.values().collect();
        std::fs::write(&self.file, json!({"addresses": addresses, "endpoints": endpoints}).to_string()).unwrap();
    }
}

fn path_of(request: &Request) -> &str {
    let path = request.target.strip_prefix("/v1").unwrap_or(&request.target);
    path.split('?').next().unwrap_or(path)
}

pub fn query_of(request: &Request) -> BTreeMap<String, String> {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// `%2F` and the like.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
