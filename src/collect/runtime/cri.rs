//! The Container Runtime Interface, v1 (k8s.io/cri-api/pkg/apis/runtime/v1/api.proto): containerd, CRI-O, cri-dockerd.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use jiff::Timestamp;
use prost::Message;
use serde_json::Value;

use super::grpc::{Client, Nothing};
use super::{Error, Told};
use crate::model::network::NetworkStatus;
use crate::model::workload::{Pod, Role, State, Workload};

const VERSION: &str = "/runtime.v1.RuntimeService/Version";
const LIST_SANDBOXES: &str = "/runtime.v1.RuntimeService/ListPodSandbox";
const LIST_CONTAINERS: &str = "/runtime.v1.RuntimeService/ListContainers";
const SANDBOX_STATUS: &str = "/runtime.v1.RuntimeService/PodSandboxStatus";
const STATUS: &str = "/runtime.v1.RuntimeService/Status";
const CONTAINER_STATUS: &str = "/runtime.v1.RuntimeService/ContainerStatus";

#[derive(Clone, PartialEq, Message)]
struct VersionAnswer {
    #[prost(string, tag = "2")]
    runtime_name: String,
    #[prost(string, tag = "3")]
    runtime_version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sandboxes {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Sandbox>,
}

#[derive(Clone, PartialEq, Message)]
struct Sandbox {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    metadata: Option<SandboxMetadata>,
    /// 0 ready, 1 not ready.
    #[prost(int32, tag = "3")]
    state: i32,
    /// Nanoseconds.
    #[prost(int64, tag = "4")]
    created_at: i64,
    #[prost(map = "string, string", tag = "5")]
    labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct Containers {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Container>,
}

#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    metadata: Option<Name>,
    #[prost(message, optional, tag = "4")]
    image: Option<Name>,
    #[prost(int32, tag = "6")]
    state: i32,
    #[prost(map = "string, string", tag = "8")]
    labels: HashMap<String, String>,
}

/// `ContainerMetadata` and `ImageSpec` both begin with the one string that counts.
#[derive(Clone, PartialEq, Message)]
struct Name {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct StatusQuestion {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bool, tag = "2")]
    verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerStatusAnswer {
    #[prost(message, optional, tag = "1")]
    status: Option<ContainerStatus>,
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerStatus {
    #[prost(int64, tag = "5")]
    started_at: i64,
    #[prost(int64, tag = "6")]
    finished_at: i64,
    #[prost(int32, tag = "7")]
    exit_code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxStatusAnswer {
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusAnswer {
    #[prost(message, optional, tag = "1")]
    status: Option<RuntimeStatus>,
}

#[derive(Clone, PartialEq, Message)]
struct RuntimeStatus {
    #[prost(message, repeated, tag = "1")]
    conditions: Vec<Condition>,
}

#[derive(Clone, PartialEq, Message)]
struct Condition {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(bool, tag = "2")]
    status: bool,
    #[prost(string, tag = "3")]
    reason: String,
    #[prost(string, tag = "4")]
    message: String,
}

/// Version, sandboxes and containers of one socket; and its word on its network, where that is `judged`: the runtime may
/// ask its plugins first.
pub async fn ask(socket: PathBuf, judged: bool) -> Result<Told, Error> {
    let client = Client::connect(&socket, "the CRI").await?;
    let version: VersionAnswer = client.call(VERSION, Nothing {}, None).await?;
    let sandboxes: Sandboxes = client.call(LIST_SANDBOXES, Nothing {}, None).await?;
    let containers: Containers = client.call(LIST_CONTAINERS, Nothing {}, None).await?;
    let runtime = Runtime { name: version.runtime_name, version: version.runtime_version };
    let mut workloads: Vec<Workload> = sandboxes.items.iter().map(|sandbox| runtime.sandbox(sandbox)).collect();
    let pods: HashMap<&str, &Sandbox> = sandboxes.items.iter().map(|sandbox| (sandbox.id.as_str(), sandbox)).collect();
    let container = |container| runtime.container(container, &pods);
    workloads.extend(containers.containers.iter().map(container));
    let network = if judged { network_status(&client, &runtime.name).await } else { None };
    Ok(Told { version: Some(format!("{} {}", runtime.name, runtime.version)), workloads, network, ..Told::default() })
}

/// The kubelet takes the node for unready by it. One that tells none is not known to be unready.
async fn network_status(client: &Client, runtime: &str) -> Option<NetworkStatus> {
    let answer: StatusAnswer = client.call(STATUS, Nothing {}, None).await.ok()?;
    let conditions = answer.status?.conditions;
    let condition = conditions.into_iter().find(|condition| condition.kind == "NetworkReady")?;
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    Some(NetworkStatus {
        runtime: runtime.to_owned(),
        ready: condition.status,
        reason: text(condition.reason),
        message: text(condition.message),
    })
}

struct Runtime {
    name: String,
    version: String,
}

impl Runtime {
    fn sandbox(&self, sandbox: &Sandbox) -> Workload {
        Workload {
            id: Some(sandbox.id.clone()),
            state: if sandbox.state == 0 { State::Running } else { State::Stopped },
            started_at: time(sandbox.created_at),
            role: Role::Sandbox,
            pod: pod(sandbox, None),
            ..self.workload(&sandbox.labels)
        }
    }

    fn container(&self, container: &Container, pods: &HashMap<&str, &Sandbox>) -> Workload {
        let name = container.metadata.as_ref().map(|metadata| metadata.name.clone());
        let sandbox = pods.get(container.sandbox_id.as_str());
        Workload {
            id: Some(container.id.clone()),
            name: name.clone(),
            image: container.image.as_ref().map(|image| image.name.clone()),
            state: match container.state {
                0 => State::Created,
                1 => State::Running,
                2 => State::Stopped,
                _ => State::Unknown,
            },
            pod: sandbox.and_then(|sandbox| pod(sandbox, name)),
            ..self.workload(&container.labels)
        }
    }

    fn workload(&self, labels: &HashMap<String, String>) -> Workload {
        Workload {
            runtime: Some(self.name.clone()),
            runtime_version: Some(self.version.clone()),
            labels: labels.clone().into_iter().collect::<BTreeMap<_, _>>(),
            seen_by: vec!["cri".to_owned()],
            ..Workload::default()
        }
    }
}

fn pod(sandbox: &Sandbox, container: Option<String>) -> Option<Pod> {
    let metadata = sandbox.metadata.as_ref()?;
    Some(Pod {
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: Some(metadata.uid.clone()).filter(|uid| !uid.is_empty()),
        container,
        sandbox_id: Some(sandbox.id.clone()),
    })
}

/// What only a verbose status tells of one container or sandbox, from the first socket that knows it.
pub async fn look(sockets: Vec<PathBuf>, id: &str, sandbox: bool) -> Option<Workload> {
    for socket in sockets {
        let Ok(client) = Client::connect(&socket, "the CRI").await else { continue };
        let question = StatusQuestion { id: id.to_owned(), verbose: true };
        let found = if sandbox {
            let answer: Result<SandboxStatusAnswer, Error> = client.call(SANDBOX_STATUS, question, None).await;
            answer.map(|answer| from_info(&answer.info))
        } else {
            let answer: Result<ContainerStatusAnswer, Error> = client.call(CONTAINER_STATUS, question, None).await;
            answer.map(|answer| {
                let status = answer.status.unwrap_or_default();
                let finished_at = time(status.finished_at);
                let exit_code = finished_at.map(|_| i64::from(status.exit_code));
                Workload { started_at: time(status.started_at), finished_at, exit_code, ..from_info(&answer.info) }
            })
        };
        if let Ok(found) = found {
            return Some(found);
        }
    }
    None
}

/// The untyped JSON under `info`, which every runtime fills as it likes.
fn from_info(info: &HashMap<String, String>) -> Workload {
    let info: Value = info.get("info").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let pid = info.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
    let netns_path = info.get("runtimeSpec").and_then(super::merge::netns_of_spec);
    Workload { pid, netns_path, ..Workload::default() }
}

/// Nanoseconds since 1970; 0 for «not yet».
fn time(nanoseconds: i64) -> Option<Timestamp> {
    (nanoseconds > 0).then(|| Timestamp::from_nanosecond(i128::from(nanoseconds)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_verbose_info_of_a_real_containerd() {
        let info = include_str!("../../../tests/data/cri-sandbox-info.json");
        let found = from_info(&HashMap::from([("info".to_owned(), info.to_owned())]));
        assert!(found.pid.is_some_and(|pid| pid > 1));
        assert!(found.netns_path.is_some_and(|path| path.starts_with("/var/run/netns/cni-")));
        assert_eq!(from_info(&HashMap::from([("info".to_owned(), "[1".to_owned())])), Workload::default());
    }
}
