//! containerd's own API (github.com/containerd/containerd/api): every namespace of it, in three questions each.

use std::collections::HashMap;
use std::path::PathBuf;

use prost::Message;

use super::grpc::{Client, Nothing};
use super::{Error, Told};
use crate::model::workload::{Role, State, Workload};

const VERSION: &str = "/containerd.services.version.v1.Version/Version";
const NAMESPACES: &str = "/containerd.services.namespaces.v1.Namespaces/List";
const CONTAINERS: &str = "/containerd.services.containers.v1.Containers/List";
const TASKS: &str = "/containerd.services.tasks.v1.Tasks/List";
/// Set by the CRI plugin: `sandbox` or `container`.
const KIND_LABEL: &str = "io.cri-containerd.kind";
const NERDCTL_NAME: &str = "nerdctl/name";
/// The namespace of dockerd: what is in it is Docker's, also while dockerd tells nothing.
const DOCKERS: &str = "moby";

/// A message of which only the first string counts (`VersionResponse`, `Namespace`).
#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

#[derive(Clone, PartialEq, Message)]
struct Namespaces {
    #[prost(message, repeated, tag = "1")]
    namespaces: Vec<Text>,
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
    #[prost(map = "string, string", tag = "2")]
    labels: HashMap<String, String>,
    #[prost(string, tag = "3")]
    image: String,
    #[prost(message, optional, tag = "5")]
    spec: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Tasks {
    #[prost(message, repeated, tag = "1")]
    tasks: Vec<Task>,
}

#[derive(Clone, PartialEq, Message)]
struct Task {
    #[prost(string, tag = "2")]
    id: String,
    #[prost(uint32, tag = "3")]
    pid: u32,
    /// 1 created, 2 running, 3 stopped, 4 paused, 5 pausing.
    #[prost(int32, tag = "4")]
    status: i32,
    #[prost(uint32, tag = "9")]
    exit_status: u32,
}

/// Version and every container of every namespace.
pub async fn ask(socket: PathBuf) -> Result<Told, Error> {
    let client = Client::connect(&socket, "containerd").await?;
    let version: Text = client.call(VERSION, Nothing {}, None).await?;
    let namespaces: Namespaces = client.call(NAMESPACES, Nothing {}, None).await?;
    let mut workloads = Vec::new();
    for namespace in namespaces.namespaces {
        let namespace = namespace.text;
        let containers: Containers = client.call(CONTAINERS, Nothing {}, Some(&namespace)).await?;
        let tasks: Tasks = client.call(TASKS, Nothing {}, Some(&namespace)).await?;
        let tasks: HashMap<&str, &Task> = tasks.tasks.iter().map(|task| (task.id.as_str(), task)).collect();
        let convert = |container: Container| {
            let task = tasks.get(container.id.as_str()).copied();
            convert(container, task, &namespace, &version.text)
        };
        workloads.extend(containers.containers.into_iter().map(convert));
    }
    Ok(Told { version: Some(version.text), workloads, ..Told::default() })
}

fn convert(container: Container, task: Option<&Task>, namespace: &str, version: &str) -> Workload {
    let labels: std::collections::BTreeMap<String, String> = container.labels.into_iter().collect();
    let spec = container.spec.and_then(|spec| serde_json::from_slice(&spec.value).ok());
    let sandbox = labels.get(KIND_LABEL).is_some_and(|kind| kind == "sandbox");
    let pod = super::merge::pod_of_labels(&labels);
    let of_docker = namespace == DOCKERS;
    Workload {
        runtime: Some(if of_docker { "docker" } else { "containerd" }.to_owned()),
        runtime_version: (!of_docker).then(|| version.to_owned()),
        name: pod.as_ref().and_then(|pod| pod.container.clone()).or_else(|| labels.get(NERDCTL_NAME).cloned()),
        image: Some(container.image).filter(|image| !image.is_empty()),
        state: task.map_or(State::Created, |task| match task.status {
            1 => State::Created,
            2 => State::Running,
            3 => State::Stopped,
            4 | 5 => State::Paused,
            _ => State::Unknown,
        }),
        exit_code: task.filter(|task| task.status == 3).map(|task| i64::from(task.exit_status)),
        pid: task.filter(|task| task.status != 3 && task.pid != 0).map(|task| task.pid),
        role: if sandbox { Role::Sandbox } else { Role::Container },
        pod,
        netns_path: spec.as_ref().and_then(super::merge::netns_of_spec),
        containerd_namespace: Some(namespace.to_owned()),
        id: Some(container.id),
        labels,
        seen_by: vec!["containerd".to_owned()],
        ..Workload::default()
    }
}
