//! What Cilium keeps on the node beside the agent: pinned maps, the state directory, the deletion queue. It is there
//! while the agent is down.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{asked, map, queue, socket, state};
use crate::collect::kernel::problem::chain;
use crate::collect::options::Options;
use crate::model::count::counted;
use crate::model::datapath::{Datapath, LocalEndpoint};
use crate::model::endpoint::{Endpoint, QueuedDelete, ToldBy};
use crate::model::source::{Asked, Status};

#[derive(Debug, Default)]
pub struct Evidence {
    pub datapath: Option<Datapath>,
    pub queued_deletes: Vec<QueuedDelete>,
    /// Those of the state directory, and those that only the maps know; none where the agent's own are at hand.
    pub endpoints: Vec<Endpoint>,
    /// A line for each that is there, or could not be read.
    pub sources: Vec<Asked>,
}

/// Reads the queue; the maps where they are wanted; the endpoints only where the agent did not tell its `own`.
pub fn read(options: &Options, own: Option<&[Endpoint]>, maps: bool) -> Evidence {
    let mut found = Evidence::default();
    found.read_queue(&run_directory(options).join("deleteQueue"));
    if own.is_none() {
        found.read_state(&run_directory(options).join("state"));
    }
    if maps {
        found.read_maps(&options.bpf_root, own);
    }
    found
}

/// Where the agent's socket is, or would be.
fn run_directory(options: &Options) -> PathBuf {
    socket(options).parent().map(Path::to_owned).unwrap_or_default()
}

impl Evidence {
    fn read_queue(&mut self, directory: &Path) {
        let start = Instant::now();
        match queue::deletes(directory) {
            Ok(deletes) => self.queued_deletes = deletes,
            Err(error) => self.failed("deletion queue", directory, &error, start),
        }
    }

    fn read_state(&mut self, directory: &Path) {
        let start = Instant::now();
        match state::endpoints(directory) {
            Ok((endpoints, problems)) => {
                let unread = problems.iter().map(|problem| format!("; {problem}")).collect::<String>();
                let status = if problems.is_empty() { Status::Present } else { Status::Failed };
                let detail = format!("{}{unread}", counted(endpoints.len(), "endpoint", "endpoints"));
                self.sources.push(Asked { name: "cilium state".to_owned(), ..asked(status, detail, start) });
                self.endpoints = endpoints;
            }
            Err(error) => self.failed("cilium state", directory, &error, start),
        }
    }

    fn read_maps(&mut self, bpf: &Path, own: Option<&[Endpoint]>) {
        if !map::is_there(bpf) {
            return;
        }
        let start = Instant::now();
        let mut problems = Vec::new();
        let mut datapath = Datapath::default();
        match map::local_endpoints(bpf) {
            Ok(endpoints) => datapath.endpoints = Some(endpoints),
            Err(error) => problems.push(chain(&error)),
        }
        let local = datapath.endpoints.as_deref().unwrap_or_default();
        if own.is_none() {
            self.add_mapped(local);
        }
        let addresses = addresses(own.unwrap_or(&self.endpoints), local);
        match map::identities(bpf, &addresses) {
            Ok(identities) => datapath.identities = identities,
            Err(error) => problems.push(chain(&error)),
        }
        let ids: Vec<u32> = own.unwrap_or(&self.endpoints).iter().map(|endpoint| endpoint.id).collect();
        match map::with_program(bpf, &ids) {
            Ok(with_program) => datapath.with_program = with_program,
            Err(error) => problems.push(chain(&error)),
        }
        match map::heartbeat(bpf) {
            Ok(age) => datapath.heartbeat_age_ms = age,
            Err(error) => problems.push(chain(&error)),
        }
        match map::drops(bpf) {
            Ok(drops) => datapath.drops = drops,
            Err(error) => problems.push(chain(&error)),
        }
        let status = if problems.is_empty() { Status::Present } else { Status::Failed };
        let told = datapath
            .endpoints
            .iter()
            .map(|all| format!("{} in cilium_lxc", counted(all.len(), "address", "addresses")));
        let detail = told.chain(problems).collect::<Vec<_>>().join("; ");
        self.sources.push(Asked { name: "cilium maps".to_owned(), ..asked(status, detail, start) });
        self.datapath = Some(datapath);
    }

    /// Endpoints that the datapath serves and no directory tells of.
    fn add_mapped(&mut self, local: &[LocalEndpoint]) {
        for entry in local.iter().filter(|entry| !entry.is_host && entry.endpoint_id != 0) {
            let id = u32::from(entry.endpoint_id);
            match self.endpoints.iter_mut().find(|endpoint| endpoint.id == id) {
                Some(endpoint) if endpoint.told_by == ToldBy::Map => endpoint.addresses.push(entry.address),
                Some(_) => {}
                None => self.endpoints.push(mapped(id, entry)),
            }
        }
        self.endpoints.sort_by_key(|endpoint| endpoint.id);
    }

    /// What is not there needs no line: the agent's own says that it is not.
    fn failed(&mut self, name: &str, place: &Path, error: &io::Error, start: Instant) {
        if error.kind() != io::ErrorKind::NotFound {
            let detail = format!("{}: {error}", place.display());
            self.sources.push(Asked { name: name.to_owned(), ..asked(Status::Failed, detail, start) });
        }
    }
}

fn mapped(id: u32, entry: &LocalEndpoint) -> Endpoint {
    Endpoint {
        id,
        told_by: ToldBy::Map,
        identity: entry.identity,
        addresses: vec![entry.address],
        ifindex: Some(entry.ifindex).filter(|ifindex| *ifindex != 0),
        mac: entry.mac,
        host_mac: entry.host_mac,
        ..Endpoint::default()
    }
}

fn addresses(endpoints: &[Endpoint], local: &[LocalEndpoint]) -> Vec<IpAddr> {
    let believed = endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied());
    let served = local.iter().filter(|entry| !entry.is_host).map(|entry| entry.address);
    let mut all: Vec<IpAddr> = believed.chain(served).collect();
    all.sort_unstable();
    all.dedup();
    all
}
