//! `podnet inspect`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use clap::Args;
use futures_util::FutureExt;

use super::check::netns_of;
use super::from::From;
use super::node::{add_address_stores, add_attachments};
use super::{Common, Error, block_on};
use crate::check::choice::Choice;
use crate::check::{self, Facts, Severity};
use crate::collect::ahead::{Ahead, Begun};
use crate::collect::options::{Depth, Options};
use crate::collect::survey::{Survey, survey, survey_closely};
use crate::collect::{background, dns, runtime};
use crate::model::dns::Dns;
use crate::model::netns::Inode;
use crate::model::node::Node;
use crate::model::snapshot::Snapshot;
use crate::show::Format;
use crate::target::{Pick, Reading, Target, Unresolved, elsewhere, inhabitant, resolve};
use crate::view::inspection::{Fault, Inspection, inspection};
use crate::view::kube::pod_of;

/// Show everything about one workload's network
///
/// TARGET is a container id (or a prefix), a name, docker://ID, containerd://ID, cri-o://ID, podman://ID,
/// NAMESPACE/POD[/CONTAINER], a pod's name, a PID, a netns path or inode, an IP or MAC address, a host
/// interface or its ifindex; beside a Cilium agent also ep:ID, cep:NAMESPACE/NAME or identity:ID. Where a word
/// means several things, say which: pid:, netns:, dev:, ifindex:, ip:, mac:, pod:, name:, container:.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet inspect 3f2a91c04d5e\n  podnet inspect default/web-0 -o json\n  podnet inspect dev:lxc4f1c0d77a2b1\n  podnet inspect 10.42.0.7 --runtime none\n  podnet inspect ep:157\n  podnet inspect default/web-0 --from node7.json"
)]
pub struct Inspect {
    /// Whose network
    target: String,
    #[command(flatten)]
    from: From,
}

impl Inspect {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let target: Target = self.target.parse()?;
        let every_socket = !matches!(common.output, Format::Table | Format::Name);
        let document = match self.from.read()? {
            Some(snapshot) => of_snapshot(snapshot, &target, every_socket)?,
            None => {
                let options = Options { agent: true, ..common.options_with_kube()? };
                // On its way before the async runtime is there.
                let begun = read_ahead(&target, &options, every_socket);
                block_on(of_node(&target, &options, begun, every_socket))??
            }
        };
        common.print(&document)?;
        std::mem::forget(document); // as the survey that it was made of
        Ok(0)
    }
}

/// Of a target that is not found by what is read deeper.
fn read_ahead(target: &Target, options: &Options, every_socket: bool) -> Option<Begun> {
    let is_near = matches!(target.depth(), Depth::Holders | Depth::HostLinks);
    is_near.then(|| Ahead { likely: target.likely(), wide: every_socket }.begin(&options.proc_root))
}

async fn of_node(
    target: &Target,
    options: &Options,
    begun: Option<Begun>,
    every_socket: bool,
) -> Result<Inspection, Error> {
    let mut survey = match begun {
        Some(begun) => survey_closely(options, target.depth(), begun).await,
        None => survey(options, target.depth()).await,
    };
    let look = |survey: &Survey| pick(&survey.node, target, |path| survey.inode_at(path), |pid| survey.netns_of(pid));
    let mut found = look(&survey);
    if matches!(found, Err(Unresolved::NotFound { .. })) && survey.find_by_threads(&options.proc_root, target.depth()) {
        found = look(&survey);
    }
    let pick = match found {
        Err(unresolved) => {
            target.pid().map(|pid| netns_of(options, pid)).transpose()?;
            // On the heap, as the survey: the stack is touched as deep as if what is seldom awaited were.
            return Err(explained(&survey, target, unresolved).boxed_local().await);
        }
        Ok(pick) => pick,
    };
    // The runtime and the kernel answer side by side.
    let mut closer = pick.workload.and_then(|index| survey.node.workloads.get(index)).cloned();
    let clients = survey.clients.clone();
    let reading = read_closely(survey, pick.netns, every_socket);
    let looking = async {
        if let Some(workload) = &mut closer {
            runtime::look_closer(workload, options, &clients).boxed_local().await;
        }
    };
    let (read, ()) = tokio::join!(reading, looking);
    let mut survey = read?;
    let slot = pick.workload.and_then(|index| survey.node.workloads.get_mut(index));
    if let Some((slot, closer)) = slot.zip(closer) {
        *slot = closer;
    }
    let workload = pick.workload.and_then(|index| survey.node.workloads.get(index));
    let state = pick.netns.and_then(|inode| survey.node.namespace(inode)).cloned().unwrap_or_default();
    let pod: Vec<_> = pod_of(&survey.node, workload, &state).into_iter().collect();
    survey.ask_kubernetes_about(&pod).boxed_local().await;
    add_attachments(&mut survey.node);
    let pid = pick.workload.and_then(|index| survey.node.workloads.get(index)?.pid);
    let names = pid.map(|pid| dns::read(&options.proc_root, survey.way_into(pid)));
    add_address_stores(&mut survey.node);
    let document = document(&survey.node, pick, names);
    std::mem::forget(survey); // the process ends soon, and forgets it faster
    Ok(document)
}

async fn read_closely(mut survey: Survey, inode: Option<Inode>, every_socket: bool) -> Result<Survey, Error> {
    let Some(inode) = inode else { return Ok(survey) };
    let was_read = survey.was_read(inode);
    let read = move || {
        survey.read_closely(inode, every_socket);
        survey
    };
    if was_read {
        return Ok(read()); // sooner than another thread begins
    }
    background::begin(read).await.map_err(|died| Error::Start { source: io::Error::other(died) })
}

fn of_snapshot(snapshot: Snapshot, target: &Target, every_socket: bool) -> Result<Inspection, Error> {
    let pick = pick(&snapshot.node, target, |_| None, |pid| snapshot.netns_of(pid))?;
    let closer = pick.workload.and_then(|index| snapshot.closer(index)).cloned();
    let mut node = snapshot.node;
    let workload = pick.workload.and_then(|index| node.workloads.get_mut(index));
    if let Some((workload, closer)) = workload.zip(closer) {
        *workload = closer;
    }
    let sockets = node.namespaces.iter_mut().filter_map(|state| state.sockets.as_mut());
    sockets.filter(|_| !every_socket).for_each(|sockets| sockets.others.clear());
    let pid = pick.workload.and_then(|index| node.workloads.get(index)?.pid);
    let names = pid.and_then(|pid| node.names_of(pid)).cloned();
    Ok(document(&node, pick, names))
}

fn document(node: &Node, pick: Pick, names: Option<Dns>) -> Inspection {
    let faults = pick.netns.map(|inode| faults(node, inode)).unwrap_or_default();
    Inspection { faults, ..inspection(node, pick, names) }
}

/// What the rules find in what was read; not what is only for information.
fn faults(node: &Node, inode: Inode) -> Vec<Fault> {
    let choice = Choice { severity: Severity::Warning, ..Choice::default() };
    let facts = Facts::new(node, None, choice.grace);
    let report = check::check(&facts, Some(&BTreeSet::from([inode])), &choice, None);
    report.findings.into_iter().map(|finding| Fault { code: finding.code, message: finding.message }).collect()
}

/// What was named; for a PID the host's own namespace, too, whose processes are no workloads, and for a path what it
/// leads to, though it is not the one that it is mounted at (a link, a descriptor).
fn pick(
    node: &Node,
    target: &Target,
    inode_at: impl Fn(&Path) -> Option<Inode>,
    netns_of: impl Fn(u32) -> Option<Inode>,
) -> Result<Pick, Unresolved> {
    resolve(node, target).or_else(|unresolved| {
        if let Some(inode) = target.path().and_then(inode_at) {
            let workload = inhabitant(node, inode).filter(|_| inode != node.host_netns);
            return Ok(Pick { workload, netns: Some(inode), ..Pick::default() });
        }
        let netns = target.pid().and_then(netns_of);
        let found_nothing = matches!(unresolved, Unresolved::NotFound { .. });
        netns.filter(|_| found_nothing).map(|_| Pick { netns, ..Pick::default() }).ok_or(unresolved)
    })
}

/// A pod that is not here may be elsewhere in the cluster.
async fn explained(survey: &Survey, target: &Target, unresolved: Unresolved) -> Error {
    let pod = target.readings.iter().find_map(|reading| match reading {
        Reading::Pod { namespace, name, .. } => Some((namespace.as_deref(), name)),
        _ => None,
    });
    let (Unresolved::NotFound { .. }, Some((namespace, name)), Some(told)) =
        (&unresolved, pod, &survey.node.kubernetes)
    else {
        return unresolved.into();
    };
    let pods = survey.find_pod(namespace, name).await;
    elsewhere(&target.text, &told.node_name, &pods).map_or_else(|| unresolved.into(), Error::from)
}
