//! `podnet inspect`.

use clap::Args;

use super::{Common, Error, block_on};
use crate::collect::options::Options;
use crate::collect::survey::survey;
use crate::collect::{dns, runtime};
use crate::show::Format;
use crate::target::{Pick, Target, Unresolved, resolve};
use crate::view::inspection::inspection;

/// Show everything about one workload's network
///
/// TARGET is a container id (or a prefix), a name, docker://ID, containerd://ID, cri-o://ID, podman://ID,
/// NAMESPACE/POD[/CONTAINER], a pod's name, a PID, a netns path or inode, an IP or MAC address, a host
/// interface or its ifindex. Where a word means several things, say which: pid:, netns:, dev:, ifindex:, ip:,
/// mac:, pod:, name:, container:.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  podnet inspect 3f2a91c04d5e\n  podnet inspect default/web-0 -o json\n  podnet inspect dev:lxc4f1c0d77a2b1\n  podnet inspect 10.42.0.7 --runtime none"
)]
pub struct Inspect {
    /// Whose network
    target: String,
}

impl Inspect {
    pub(super) fn run(&self, common: &Common) -> Result<u8, Error> {
        let options = Options { agent: true, ..common.options()? };
        let target: Target = self.target.parse()?;
        let document = block_on(async {
            let mut survey = survey(&options, target.depth()).await;
            let pick = resolve(&survey.node, &target).or_else(|unresolved| {
                let netns = target.pid().and_then(|pid| survey.netns_of(pid));
                let found_nothing = matches!(unresolved, Unresolved::NotFound { .. });
                netns.filter(|_| found_nothing).map(|_| Pick { workload: None, netns }).ok_or(unresolved)
            })?;
            if let Some(workload) = pick.workload.and_then(|index| survey.node.workloads.get_mut(index)) {
                runtime::look_closer(workload, &options).await;
            }
            if let Some(inode) = pick.netns {
                survey.read_closely(inode, &options, common.output == Format::Wide);
            }
            let pid = pick.workload.and_then(|index| survey.node.workloads.get(index)?.pid);
            let names = pid.map(|pid| dns::read(&options.proc_root, pid));
            Ok::<_, Error>(inspection(&survey.node, pick, names))
        })??;
        common.print(&document)?;
        Ok(0)
    }
}
