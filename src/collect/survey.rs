//! The whole node in one go: what the runtimes, `/proc` and the kernel say, joined.

mod addresses;
mod closely;
mod threads;
mod walking;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use caps::Capability;
use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use jiff::Timestamp;
use tokio::sync::oneshot;

use self::walking::Walked;
use super::ahead::Begun;
use super::kernel::{self, Visit, Want};
use super::options::{Depth, Options};
use super::proc::{self, Process, Walk};
use super::{background, cilium, dns, dockerd, host, join, kube, log, runtime};
use crate::model::count::counted;
use crate::model::kube::pod::KubePod;
use crate::model::netns::{Inode, NetnsState};
use crate::model::node::{Names, Node};
use crate::model::snapshot::Inhabitants;
use crate::model::socket::SocketProcess;
use crate::model::source::{Asked, Status};
use crate::netns::Handle;

/// A node as it was read, and the open namespaces to read more of it.
#[derive(Debug)]
pub struct Survey {
    pub node: Node,
    /// Each open, or why it isn't.
    handles: BTreeMap<Inode, Result<Handle, String>>,
    walk: Walk,
    kube: Option<kube::Session>,
    /// The runtimes that can tell more of one container.
    pub clients: runtime::Clients,
    /// The namespaces that were read ahead: the host's with the programs of only these links.
    read_ahead: BTreeSet<Inode>,
    host_ends: Vec<u32>,
}

/// Asks the runtimes while `/proc` is walked, the agent and the API server where the options say so, and reads the
/// namespaces as deep as `depth` says.
pub async fn survey(options: &Options, depth: Depth) -> Survey {
    survey_beside(options, depth, None).boxed_local().await
}

/// As [`survey`], with what [`Survey::read_closely`] will need, which is being read.
pub async fn survey_closely(options: &Options, depth: Depth, begun: Begun) -> Survey {
    survey_beside(options, depth, Some(begun)).boxed_local().await
}

/// On the heap, as is what it seldom asks: the stack is touched as deep as all that might be polled below, and a page of
/// it costs more than a system call.
async fn survey_beside(options: &Options, depth: Depth, begun: Option<Begun>) -> Survey {
    let (root, start) = (options.proc_root.clone(), Instant::now());
    let (tell, kubelet) = oneshot::channel();
    let (reading, lookout) = begun.map(|Begun { told, lookout }| (told, lookout)).unzip();
    let lookout = lookout.flatten();
    let sought = lookout.as_ref().map(|lookout| lookout.id.clone());
    let walking = background::begin(move || walking::walk(&root, depth, lookout, tell));
    let agent = async { if options.agent { Some(cilium::ask(options).boxed_local().await) } else { None } };
    let runtimes = runtime::ask_all(options, depth >= Depth::Judgeable, sought.as_deref());
    let in_kube = kube::ask(options, async { kubelet.await.ok() });
    let (walked, told, agent, in_kube) = tokio::join!(walking, runtimes, agent, in_kube);
    let (mut sources, mut answers): (Vec<Asked>, Vec<runtime::Told>) = told.into_iter().unzip();
    let clients = runtime::Clients::of(&mut answers);
    let network_status = answers.iter_mut().filter_map(|told| told.network.take()).collect();
    let walked = walked.unwrap_or_else(|error| Walked::failed(&error, start.elapsed()));
    let Walked { asked, mut walk, found, host_alone } = walked;
    sources.push(asked);
    let (asked, in_kube) = in_kube.unzip();
    sources.extend(asked);
    let (kube, kubernetes) = in_kube.flatten().unzip();
    let inotify = std::mem::take(&mut walk.open.inotify);
    let mut workloads = runtime::merge(answers.into_iter().flat_map(|told| told.workloads));
    join::join(&mut workloads, &walk, &found);
    let mut node = Node {
        hostname: hostname(),
        collected_at: Timestamp::now(),
        host_netns: found.iter().find(|each| each.netns.is_host).map_or(0, |each| each.netns.inode),
        workloads,
        namespaces: found
            .iter()
            .map(|each| NetnsState { netns: each.netns.clone(), ..NetnsState::default() })
            .collect(),
        kernel: Some(proc::kernel(&options.proc_root, &walk.own_mounts)),
        network_status,
        kubernetes,
        sources,
        host: (depth >= Depth::Judgeable).then(|| host::read(&options.proc_root, &inotify)),
        ..Node::default()
    };
    if let Some(host) = &mut node.host {
        host.dockerd = dockerd::find(&options.proc_root, &walk, node.host_netns);
    }
    if let Some(cilium) = agent {
        cilium.add_to(&mut node);
    }
    let mut told = Vec::new();
    let handles = found.into_iter().map(|each| {
        told.extend(each.told);
        (each.netns.inode, each.handle)
    });
    let handles = handles.collect();
    let mut survey = Survey { node, handles, walk, kube, clients, read_ahead: BTreeSet::new(), host_ends: Vec::new() };
    if let Some(Ok(read)) = OptionFuture::from(reading).await {
        survey.keep_ahead(read, depth);
    }
    match depth {
        Depth::Addresses => survey.keep_addresses(host_alone, told),
        _ => survey.read_links(depth),
    }
    survey.find_by_threads_if_missing(&options.proc_root, depth);
    if depth >= Depth::Judgeable {
        survey.read_names(options);
        let inodes: Vec<Inode> = survey.node.namespaces.iter().map(|state| state.netns.inode).collect();
        inodes.into_iter().for_each(|inode| survey.name_socket_processes(inode));
    }
    survey
}

impl Survey {
    /// Only what was read, for who needs no more and then ends: what is open is left to the end of the process, as one by
    /// one a large node's namespaces take milliseconds.
    pub fn into_node(mut self) -> Node {
        let node = std::mem::take(&mut self.node);
        std::mem::forget(self);
        node
    }

    /// The open namespace.
    pub fn handle(&self, inode: Inode) -> Option<&Handle> {
        self.handles.get(&inode)?.as_ref().ok()
    }

    /// The namespace that a process is in: also the host's, whose processes hold nothing and are not listed.
    pub fn netns_of(&self, pid: u32) -> Option<Inode> {
        self.walk.processes.get(&pid)?.netns
    }

    /// By what number `/proc` leads into a process: that of a thread that lives.
    pub fn way_into(&self, pid: u32) -> u32 {
        self.walk.processes.get(&pid).map_or(pid, |process| process.way_in)
    }

    /// Processes that podnet may not look at for want of a capability.
    pub fn hidden(&self) -> usize {
        if may(Capability::CAP_SYS_PTRACE) { 0 } else { self.walk.hidden }
    }

    /// The namespace that a path leads to.
    pub fn inode_at(&self, path: &Path) -> Option<Inode> {
        let inode = Handle::open(path).ok()?.inode();
        self.node.namespace(inode).map(|_| inode)
    }

    /// The processes in a namespace, by PID.
    pub fn processes_in(&self, inode: Inode) -> impl Iterator<Item = &Process> {
        self.walk.processes.values().filter(move |process| process.netns == Some(inode))
    }

    /// The processes in each namespace.
    pub fn inhabitants(&self) -> Vec<Inhabitants> {
        let mut pids: BTreeMap<Inode, Vec<u32>> = BTreeMap::new();
        for process in self.walk.processes.values() {
            if let Some(inode) = process.netns {
                pids.entry(inode).or_default().push(process.pid);
            }
        }
        pids.into_iter().map(|(netns, pids)| Inhabitants { netns, pids }).collect()
    }

    /// Asks the API server, where it answered, for what Cilium wrote of these pods (namespace, name).
    pub async fn ask_kubernetes_about(&mut self, pods: &[(String, String)]) {
        let (Some(session), Some(told)) = (&self.kube, &mut self.node.kubernetes) else { return };
        let start = Instant::now();
        session.ask_about(told, pods).await;
        if let Some(source) = self.node.sources.iter_mut().find(|source| source.name == kube::NAME) {
            source.elapsed_ms += start.elapsed().as_secs_f64() * 1000.0;
        }
    }

    /// Pods of that name in the cluster, which the API server was asked for where it answered.
    pub async fn find_pod(&self, namespace: Option<&str>, name: &str) -> Vec<KubePod> {
        match &self.kube {
            Some(session) => session.find_pod(namespace, name).await,
            None => Vec::new(),
        }
    }

    fn read_links(&mut self, depth: Depth) {
        let wanted: Vec<Inode> = match depth {
            Depth::Holders | Depth::Addresses => return,
            Depth::HostLinks if self.read_ahead.contains(&self.node.host_netns) => return,
            Depth::HostLinks => vec![self.node.host_netns],
            Depth::AllLinks | Depth::Judgeable | Depth::Whole => {
                self.node.namespaces.iter().map(|state| state.netns.inode).collect()
            }
        };
        let start = Instant::now();
        self.read(wanted.into_iter().map(|inode| (inode, want(depth))).collect());
        self.told_by_kernel(start.elapsed());
    }

    /// The resolver files of every workload that runs.
    fn read_names(&mut self, options: &Options) {
        let pids = self.node.workloads.iter().filter_map(|workload| workload.pid);
        let read = |pid| Names { pid, dns: dns::read(&options.proc_root, self.way_into(pid)) };
        self.node.names = pids.map(read).collect();
    }

    fn read(&mut self, wanted: Vec<(Inode, Want)>) {
        self.read_with(wanted, true);
    }

    /// Which namespaces the other ends of links are in takes more questions.
    fn read_with(&mut self, wanted: Vec<(Inode, Want)>, find_ends: bool) {
        let mut visits = Vec::new();
        for (inode, want) in wanted {
            let Some(state) = self.node.namespaces.iter_mut().find(|state| state.netns.inode == inode) else {
                continue;
            };
            match self.handles.get(&inode) {
                Some(Ok(handle)) => {
                    visits.push(Visit { netns: state.netns.clone(), handle, want, known: state.nsids.clone() });
                }
                Some(Err(why)) => state.problems = vec![why.clone()],
                None => {}
            }
        }
        if visits.is_empty() {
            return;
        }
        let candidates = if find_ends { self.candidates() } else { Vec::new() };
        let before =
            self.node.namespace(self.node.host_netns).filter(|host| self.read_ahead.contains(&host.netns.inode));
        let before = before.filter(|_| visits.iter().all(|visit| !visit.netns.is_host)).cloned();
        let states = kernel::read_beside(&visits, before.into_iter().collect(), &candidates);
        self.keep(states);
    }

    /// The namespaces that the other end of a link may be in, the host's first.
    fn candidates(&self) -> Vec<&Handle> {
        let host = self.node.host_netns;
        let others = self.handles.values().flatten().filter(|handle| handle.inode() != host);
        self.handle(host).into_iter().chain(others).collect()
    }

    fn keep(&mut self, states: Vec<NetnsState>) {
        let mut states: BTreeMap<Inode, NetnsState> =
            states.into_iter().map(|state| (state.netns.inode, state)).collect();
        for slot in &mut self.node.namespaces {
            if let Some(state) = states.remove(&slot.netns.inode) {
                *slot = state;
            }
        }
        self.number_as_the_host_does();
    }

    fn number_as_the_host_does(&mut self) {
        let Some(host) = self.node.namespace(self.node.host_netns) else { return };
        let ids: BTreeMap<Inode, i32> = host.nsids.iter().map(|known| (known.inode, known.nsid)).collect();
        for state in &mut self.node.namespaces {
            state.netns.nsid = ids.get(&state.netns.inode).copied().or(state.netns.nsid);
        }
    }

    /// Docker's own resolver listens in the containers' namespaces, and is a process of none of them. Sockets of the
    /// kernel have no inode.
    fn name_socket_processes(&mut self, inode: Inode) {
        let state = self.node.namespaces.iter_mut().find(|state| state.netns.inode == inode);
        let Some(sockets) = state.and_then(|state| state.sockets.as_mut()) else { return };
        for socket in sockets.listeners.iter_mut().chain(&mut sockets.others).filter(|socket| socket.inode != 0) {
            let process = self.walk.holder_of(socket.inode.into(), inode);
            socket.process = process.map(|process| SocketProcess { pid: process.pid, name: process.name.clone() });
        }
    }

    fn told_by_kernel(&mut self, elapsed: Duration) {
        let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
        let unread =
            self.node.namespaces.iter().filter(|state| !state.problems.is_empty() && !state.was_read()).count();
        let read = self.node.namespaces.iter().filter(|state| state.was_read()).count();
        let (status, detail) = match unread {
            0 => (Status::Present, Some(counted(read, "namespace", "namespaces"))),
            count => {
                let needs = if may(Capability::CAP_SYS_ADMIN) { "" } else { " (needs CAP_SYS_ADMIN)" };
                (
                    Status::Failed,
                    Some(format!("{} could not be read{needs}", counted(count, "namespace", "namespaces"))),
                )
            }
        };
        let told = log::told(Asked { name: "kernel".to_owned(), status, detail, elapsed_ms });
        match self.node.sources.iter_mut().find(|source| source.name == "kernel") {
            Some(source) => *source = Asked { elapsed_ms: source.elapsed_ms + elapsed_ms, ..told },
            None => self.node.sources.push(told),
        }
    }
}

/// How much of a namespace is read at once.
fn want(depth: Depth) -> Want {
    match depth {
        Depth::Whole => Want::everything(true),
        Depth::Judgeable => Want::judgeable(),
        Depth::Holders | Depth::HostLinks | Depth::Addresses | Depth::AllLinks => Want::default(),
    }
}

/// The node's name for itself.
pub fn hostname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn may(capability: Capability) -> bool {
    caps::has_cap(None, caps::CapSet::Effective, capability).unwrap_or(false)
}
