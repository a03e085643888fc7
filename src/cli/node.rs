//! Reading the node with what lies in rooms above the collectors.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use crate::cni::{self, CACHE_ROOT};
use crate::collect::log;
use crate::collect::options::{Depth, Options};
use crate::collect::survey::{Survey, survey};
use crate::flow;
use crate::flow::journal::DEFAULT_RUN;
use crate::ipam::{DEFAULT_ROOT, evidence, reader};
use crate::model::attachment::{Attachment, Keeper};
use crate::model::count::counted;
use crate::model::node::Node;
use crate::model::source::{Answer, Asked, Status};

/// The node with all that can be judged of it, each namespace and each store read once.
pub async fn judgeable(options: &Options) -> Node {
    let mut survey = survey(options, Depth::Judgeable).await;
    let pods = with_endpoints(&survey.node).collect();
    ask_about(&mut survey, pods).await;
    add_files(&mut survey.node);
    survey.node
}

/// The node with all that can be judged and shown of it.
pub async fn whole(options: &Options) -> Survey {
    let mut survey = survey(options, Depth::Whole).await;
    let pods = with_endpoints(&survey.node).chain(known(&survey.node)).collect();
    ask_about(&mut survey, pods).await;
    add_files(&mut survey.node);
    survey
}

/// A pod's namespace and name.
type PodName = (String, String);

/// The pods that the agent has endpoints for.
fn with_endpoints(node: &Node) -> impl Iterator<Item = PodName> {
    let pods = node.endpoints.iter().filter_map(|endpoint| endpoint.pod.as_ref());
    pods.map(|pod| (pod.namespace.clone(), pod.name.clone()))
}

/// Every pod that a runtime or the API server knows here.
fn known(node: &Node) -> impl Iterator<Item = PodName> {
    let of_runtimes = node.workloads.iter().filter_map(|workload| workload.pod.as_ref());
    let of_cluster = node.kubernetes.iter().flat_map(|told| told.pods.iter().flatten());
    of_runtimes
        .map(|pod| (pod.namespace.clone(), pod.name.clone()))
        .chain(of_cluster.map(|pod| (pod.namespace.clone(), pod.name.clone())))
}

/// Asks Kubernetes what it has noted of them, each once.
async fn ask_about(survey: &mut Survey, pods: BTreeSet<PodName>) {
    survey.ask_kubernetes_about(&Vec::from_iter(pods)).await;
}

fn add_files(node: &mut Node) {
    add_attachments(node);
    add_address_stores(node);
    add_networks(node);
    add_ranges(node);
}

/// What the networks of the stores give addresses from, by their configurations.
pub fn add_ranges(node: &mut Node) {
    cni::evidence::add_ranges(node);
}

/// What libcni's cache tells of attachments, and podnet's journals of those that no runtime keeps there.
pub fn add_attachments(node: &mut Node) {
    let cached = attachments(node, Keeper::CniCache, || cni::evidence::attachments(Path::new(CACHE_ROOT)));
    let own = attachments(node, Keeper::Podnet, || flow::evidence::attachments(Path::new(DEFAULT_RUN)));
    let failed = |keeper: Keeper| {
        node.sources.iter().any(|source| source.name == keeper.source() && source.status == Status::Failed)
    };
    node.attachments = match (cached, own) {
        // By half they would make what they do not tell of look well.
        _ if failed(Keeper::CniCache) || failed(Keeper::Podnet) => None,
        (Some(mut all), Some(mut own)) => {
            own.retain(|own| !all.iter().any(|cached| cached.is_of_interface(&own.container_id, &own.ifname)));
            all.append(&mut own);
            Some(all)
        }
        (cached, own) => cached.or(own),
    };
}

fn attachments(node: &mut Node, keeper: Keeper, read: impl Fn() -> Answer<Vec<Attachment>>) -> Option<Vec<Attachment>> {
    let start = Instant::now();
    let answer = read();
    told(node, keeper.source(), start, answer, |list| counted(list.len(), "attachment", "attachments"))
}

/// What the address stores of this node hold.
pub fn add_address_stores(node: &mut Node) {
    add_stores(node, Path::new(DEFAULT_ROOT));
}

/// … with podnet's own below `own`.
pub fn add_stores(node: &mut Node, own: &Path) {
    let (stores, asked) = evidence::stores(Path::new(reader::HOST_LOCAL_ROOT), own);
    node.address_stores = stores;
    node.sources.extend(asked);
}

/// What the runtimes make of their directories of networks.
pub fn add_networks(node: &mut Node) {
    node.networks = Some(cni::evidence::networks(Path::new("/")));
}

/// Notes what a source answered, and gives what it told.
fn told<T>(node: &mut Node, name: &str, start: Instant, answer: Answer<T>, count: impl Fn(&T) -> String) -> Option<T> {
    let elapsed_ms = start.elapsed().as_secs_f64() * 1000.0;
    let (status, detail, told) = match answer {
        Answer::Present(told) => (Status::Present, count(&told), Some(told)),
        Answer::Absent(why) => (Status::Absent, why, None),
        Answer::Failed(why) => (Status::Failed, why, None),
    };
    node.sources.push(log::told(Asked { name: name.to_owned(), status, detail: Some(detail), elapsed_ms }));
    told
}
