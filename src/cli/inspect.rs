//! `podnet inspect`.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;

use super::node::{add_address_stores, add_attachments};
use super::{Common, Error, block_on};
use crate::check::choice::Choice;
use crate::check::{self, Facts, Severity};
use crate::collect::options::Options;
use crate::collect::survey::{Survey, survey};
use crate::collect::{dns, runtime};
use crate::model::netns::Inode;
use crate::model::node::Node;
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
    after_help = "Examples:\n  podnet inspect 3f2a91c04d5e\n  podnet inspect default/web-0 -o json\n  podnet inspect dev:lxc4f1c0d77a2b1\n  podnet inspect 10.42.0.7 --runtime none\n  podnet inspect ep:157"
)]
pub struct Inspect {
    /// Whose network
    target: String,
}

impl Inspect {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let options = Options { agent: true, ..common.options_with_kube()? };
        let target: Target = self.target.parse()?;
        let document = block_on(async {
            let mut survey = survey(&options, target.depth()).await;
            let pick = match pick(&survey, &target) {
                Err(unresolved) => return Err(explained(&survey, &target, unresolved).await),
                Ok(pick) => pick,
            };
            if let Some(workload) = pick.workload.and_then(|index| survey.node.workloads.get_mut(index)) {
                runtime::look_closer(workload, &options).await;
            }
            if let Some(inode) = pick.netns {
                let every_socket = !matches!(common.output, Format::Table | Format::Name);
                survey.read_closely(inode, &options, every_socket);
            }
            let workload = pick.workload.and_then(|index| survey.node.workloads.get(index));
            let state = pick.netns.and_then(|inode| survey.node.namespace(inode)).cloned().unwrap_or_default();
            let pod: Vec<_> = pod_of(&survey.node, workload, &state).into_iter().collect();
            survey.ask_kubernetes_about(&pod).await;
            add_attachments(&mut survey.node);
            let pid = pick.workload.and_then(|index| survey.node.workloads.get(index)?.pid);
            let names = pid.map(|pid| dns::read(&options.proc_root, pid));
            add_address_stores(&mut survey.node);
            let faults = pick.netns.map(|inode| faults(&survey.node, inode)).unwrap_or_default();
            Ok::<_, Error>(Inspection { faults, ..inspection(&survey.node, pick, names) })
        })??;
        common.print(&document)?;
        Ok(0)
    }
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
fn pick(survey: &Survey, target: &Target) -> Result<Pick, Unresolved> {
    resolve(&survey.node, target).or_else(|unresolved| {
        let by_path = || {
            target.readings.iter().find_map(|reading| match reading {
                Reading::Path(path) => survey.inode_at(Path::new(path)),
                _ => None,
            })
        };
        if let Some(inode) = by_path() {
            let workload = inhabitant(&survey.node, inode).filter(|_| inode != survey.node.host_netns);
            return Ok(Pick { workload, netns: Some(inode), ..Pick::default() });
        }
        let netns = target.pid().and_then(|pid| survey.netns_of(pid));
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
