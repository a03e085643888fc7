//! One workload a container, however many sources know it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::workload::{Pod, State, Workload};

/// Joins answers by container id. Where two sources both know something, the earlier one in this list is
/// believed: it is closer to whoever made the container.
const ORDER: [&str; 5] = ["docker", "podman", "cri", "containerd", super::podman::STORAGE];

/// Joins what all sources told.
pub fn merge(answers: impl IntoIterator<Item = Workload>) -> Vec<Workload> {
    let mut workloads: Vec<Workload> = answers.into_iter().collect();
    workloads.sort_by_key(|workload| {
        let source = workload.seen_by.first();
        ORDER.iter().position(|name| Some(*name) == source.map(String::as_str))
    });
    let mut by_id: BTreeMap<String, Workload> = BTreeMap::new();
    let mut nameless = Vec::new();
    for workload in workloads {
        match workload.id.clone() {
            None => nameless.push(workload),
            Some(id) => match by_id.get_mut(&id) {
                Some(first) => complete(first, workload),
                None => drop(by_id.insert(id, workload)),
            },
        }
    }
    by_id.into_values().chain(nameless).collect()
}

/// Fills what `known` lacks from `further`; what it has stays, but for a state that it did not know.
pub fn complete(known: &mut Workload, further: Workload) {
    fn fill<T>(slot: &mut Option<T>, value: Option<T>) {
        if slot.is_none() {
            *slot = value;
        }
    }
    fill(&mut known.runtime, further.runtime);
    fill(&mut known.runtime_version, further.runtime_version);
    fill(&mut known.name, further.name);
    fill(&mut known.image, further.image);
    fill(&mut known.started_at, further.started_at);
    fill(&mut known.finished_at, further.finished_at);
    fill(&mut known.exit_code, further.exit_code);
    fill(&mut known.pid, further.pid);
    fill(&mut known.process, further.process);
    fill(&mut known.pod, further.pod);
    fill(&mut known.netns, further.netns);
    fill(&mut known.netns_path, further.netns_path);
    fill(&mut known.network_mode, further.network_mode);
    fill(&mut known.containerd_namespace, further.containerd_namespace);
    if known.state == State::Unknown {
        known.state = further.state;
    }
    if known.ports.is_empty() {
        known.ports = further.ports;
    }
    if known.networks.is_empty() {
        known.networks = further.networks;
    }
    for (key, value) in further.labels {
        known.labels.entry(key).or_insert(value);
    }
    for source in further.seen_by {
        if !known.seen_by.contains(&source) {
            known.seen_by.push(source);
        }
    }
}

/// The labels that kubelet has every runtime keep (`pkg/kubelet/types/labels.go`).
pub fn pod_of_labels(labels: &BTreeMap<String, String>) -> Option<Pod> {
    let label = |name: &str| labels.get(&format!("io.kubernetes.{name}")).filter(|value| !value.is_empty()).cloned();
    Some(Pod {
        namespace: label("pod.namespace")?,
        name: label("pod.name")?,
        uid: label("pod.uid"),
        container: label("container.name").filter(|name| name != "POD"),
        sandbox_id: label("sandbox.id"),
    })
}

/// `linux.namespaces[type=network].path` of an OCI runtime spec; absent where the runtime makes the netns itself.
pub fn netns_of_spec(spec: &Value) -> Option<String> {
    let namespaces = spec.get("linux")?.get("namespaces")?.as_array()?;
    let network =
        namespaces.iter().find(|namespace| namespace.get("type").and_then(Value::as_str) == Some("network"))?;
    network.get("path")?.as_str().filter(|path| !path.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(source: &str, id: &str) -> Workload {
        Workload {
            id: Some(id.to_owned()),
            seen_by: vec![source.to_owned()],
            runtime: Some(source.to_owned()),
            ..Workload::default()
        }
    }

    #[test]
    fn docker_and_its_containerd_are_one() {
        let moby = Workload {
            pid: Some(7),
            containerd_namespace: Some("moby".into()),
            state: State::Running,
            ..seen("containerd", "a")
        };
        let docker = Workload { name: Some("web".into()), state: State::Paused, ..seen("docker", "a") };
        let merged = merge([moby, docker, seen("containerd", "b")]);
        assert_eq!(merged.len(), 2);
        let web = merged.first().unwrap();
        assert_eq!((web.runtime.as_deref(), web.pid, web.state), (Some("docker"), Some(7), State::Paused));
        assert_eq!(web.seen_by, ["docker", "containerd"]);
    }

    #[test]
    fn a_pods_labels_and_a_spec_without_a_path() {
        let labels = BTreeMap::from([
            ("io.kubernetes.pod.name".to_owned(), "web-0".to_owned()),
            ("io.kubernetes.pod.namespace".to_owned(), "default".to_owned()),
            ("io.kubernetes.container.name".to_owned(), "POD".to_owned()),
        ]);
        let pod = pod_of_labels(&labels).unwrap();
        assert_eq!((pod.name.as_str(), pod.container), ("web-0", None));
        let spec = serde_json::json!({"linux": {"namespaces": [{"type": "pid"}, {"type": "network"}]}});
        assert_eq!(netns_of_spec(&spec), None);
    }
}
