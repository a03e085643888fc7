//! What a kubelet does: making pods over the Container Runtime Interface (`runtime.v1`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

use super::image;
use message::*;

pub struct Cri {
    runtime: Runtime,
    channel: Channel,
}

/// A sandbox that runs.
pub struct Pod {
    pub sandbox: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    config: PodSandboxConfig,
}

impl Cri {
    pub fn connect(socket: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let socket = socket.to_owned();
        let connector = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://unix");
        let channel = runtime.block_on(endpoint.connect_with_connector(connector)).unwrap();
        Self { runtime, channel }
    }

    /// A pod on the CNI network.
    pub fn run_pod(&self, namespace: &str, name: &str) -> Pod {
        self.run_sandbox(namespace, name, NamespaceMode::Pod, Vec::new())
    }

    /// A pod in the host's netns.
    pub fn run_host_pod(&self, namespace: &str, name: &str) -> Pod {
        self.run_sandbox(namespace, name, NamespaceMode::Node, Vec::new())
    }

    /// A pod on the CNI network, with a port of its own at one of the host.
    pub fn run_pod_publishing(&self, namespace: &str, name: &str, host_port: i32, container_port: i32) -> Pod {
        let mapping = PortMapping { container_port, host_port };
        self.run_sandbox(namespace, name, NamespaceMode::Pod, vec![mapping])
    }

    fn run_sandbox(&self, namespace: &str, name: &str, network: NamespaceMode, port_mappings: Vec<PortMapping>) -> Pod {
        let uid = uid();
        let labels = [("namespace", namespace), ("name", name), ("uid", &uid)]
            .map(|(key, value)| (format!("io.kubernetes.pod.{key}"), value.to_owned()));
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.into(),
                uid: uid.clone(),
                namespace: namespace.into(),
                attempt: 0,
            }),
            // runc sets none without a UTS namespace of its own, which a pod in the host's netns has not.
            hostname: if network == NamespaceMode::Pod { name.into() } else { String::new() },
            port_mappings,
            labels: labels.into(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/kubepods/besteffort/pod{uid}"),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(NamespaceOption { network: network.into() }),
                }),
            }),
        };
        self.run(config)
    }

    /// Another sandbox for the same pod, as a kubelet makes that does not know of the first.
    pub fn run_again(&self, pod: &Pod) -> Pod {
        let mut config = pod.config.clone();
        config.metadata.iter_mut().for_each(|metadata| metadata.attempt += 1);
        self.run(config)
    }

    fn run(&self, config: PodSandboxConfig) -> Pod {
        let request = RunPodSandboxRequest { config: Some(config.clone()) };
        let answer: RunPodSandboxResponse = self.call("RunPodSandbox", request);
        let PodSandboxMetadata { name, uid, namespace, .. } = config.metadata.clone().unwrap();
        Pod { sandbox: answer.pod_sandbox_id, namespace, name, uid, config }
    }

    /// Whether its sandbox runs.
    pub fn is_ready(&self, pod: &Pod) -> bool {
        let pods: ListPodSandboxResponse = self.call("ListPodSandbox", Empty {});
        pods.items.iter().any(|item| item.id == pod.sandbox && item.state == 0)
    }

    /// A container in the pod; its id. Without a command it sleeps.
    pub fn run_container(&self, pod: &Pod, name: &str, command: &[&str]) -> String {
        let mut labels = pod.config.labels.clone();
        labels.insert("io.kubernetes.container.name".into(), name.into());
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.into(), attempt: 0 }),
            image: Some(ImageSpec { image: image::BUSYBOX.into() }),
            command: command.iter().map(|word| word.to_string()).collect(),
            labels,
        };
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.sandbox.clone(),
            config: Some(config),
            sandbox_config: Some(pod.config.clone()),
        };
        let CreateContainerResponse { container_id } = self.call("CreateContainer", request);
        let request = StartContainerRequest { container_id: container_id.clone() };
        let Empty {} = self.call("StartContainer", request);
        container_id
    }

    pub fn stop_container(&self, container: &str) {
        let Empty {} = self.call("StopContainer", StopContainerRequest { container_id: container.into(), timeout: 0 });
    }

    /// The container's first process.
    pub fn pid(&self, container: &str) -> u32 {
        let request = StatusRequest { id: container.into(), verbose: true };
        let answer: StatusResponse = self.call("ContainerStatus", request);
        answer.pid()
    }

    /// The pause container's process, which is never in the pod's list of containers.
    pub fn sandbox_pid(&self, pod: &Pod) -> u32 {
        self.sandbox_status(pod).pid()
    }

    /// Where the pod's netns is mounted; absent for the host's.
    pub fn netns_path(&self, pod: &Pod) -> Option<PathBuf> {
        let info = self.sandbox_status(pod).info();
        let namespaces = info.pointer("/runtimeSpec/linux/namespaces")?.as_array()?;
        let network = namespaces.iter().find(|namespace| namespace["type"] == "network")?;
        network["path"].as_str().map(PathBuf::from)
    }

    fn sandbox_status(&self, pod: &Pod) -> StatusResponse {
        self.call("PodSandboxStatus", StatusRequest { id: pod.sandbox.clone(), verbose: true })
    }

    pub fn remove_pod(&self, sandbox: &str) {
        let request = PodSandboxRequest { pod_sandbox_id: sandbox.into() };
        let Empty {} = self.call("StopPodSandbox", request.clone());
        let Empty {} = self.call("RemovePodSandbox", request);
    }

    pub fn remove_all_pods(&self) {
        let pods: ListPodSandboxResponse = self.call("ListPodSandbox", Empty {});
        for pod in pods.items {
            self.remove_pod(&pod.id);
            if let Some(metadata) = pod.metadata {
                remove_cgroups(&metadata.uid);
            }
        }
    }

    /// A daemon that was just started says for a while that it is not initialized.
    pub fn is_initialized(&self) -> bool {
        self.try_call::<_, Empty>("ListPodSandbox", Empty {}).is_ok()
    }

    fn call<Q, A>(&self, method: &str, request: Q) -> A
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.try_call(method, request).unwrap_or_else(|status| panic!("CRI {method}: {status}"))
    }

    fn try_call<Q, A>(&self, method: &str, request: Q) -> Result<A, tonic::Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{method}")).unwrap();
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        let answer = self.runtime.block_on(async {
            client.ready().await.unwrap();
            client.unary(tonic::Request::new(request), path, tonic_prost::ProstCodec::default()).await
        });
        Ok(answer?.into_inner())
    }
}

/// In the form of a pod's, and not given out before on this machine.
fn uid() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 & 0xffff_ffff_ffff;
    format!("{:08x}-{:04x}-4000-8000-{nanos:012x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The kubelet makes the pod's cgroup and removes it; the runtime leaves it. Those above are removed
/// with the last pod, unless somebody else has pods there.
fn remove_cgroups(uid: &str) {
    let controllers = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for root in controllers.chain(["/sys/fs/cgroup".into()]) {
        for folder in [&format!("kubepods/besteffort/pod{uid}"), "kubepods/besteffort", "kubepods"] {
            let _ = std::fs::remove_dir(root.join(folder));
        }
    }
}

impl StatusResponse {
    fn info(&self) -> serde_json::Value {
        serde_json::from_str(&self.info["info"]).unwrap()
    }

    fn pid(&self) -> u32 {
        self.info()["pid"].as_u64().unwrap().try_into().unwrap()
    }
}

/// The fields that are needed of `api.proto`.
mod message {
    use super::HashMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Empty {}

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct RunPodSandboxRequest {
        #[prost(message, optional, tag = "1")]
        pub config: Option<PodSandboxConfig>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PodSandboxConfig {
        #[prost(message, optional, tag = "1")]
        pub metadata: Option<PodSandboxMetadata>,
        #[prost(string, tag = "2")]
        pub hostname: String,
        #[prost(message, repeated, tag = "5")]
        pub port_mappings: Vec<PortMapping>,
        #[prost(map = "string, string", tag = "6")]
        pub labels: HashMap<String, String>,
        #[prost(message, optional, tag = "8")]
        pub linux: Option<LinuxPodSandboxConfig>,
    }

    /// TCP, on every address.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PortMapping {
        #[prost(int32, tag = "2")]
        pub container_port: i32,
        #[prost(int32, tag = "3")]
        pub host_port: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PodSandboxMetadata {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub uid: String,
        #[prost(string, tag = "3")]
        pub namespace: String,
        #[prost(uint32, tag = "4")]
        pub attempt: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct LinuxPodSandboxConfig {
        #[prost(string, tag = "1")]
        pub cgroup_parent: String,
        #[prost(message, optional, tag = "2")]
        pub security_context: Option<LinuxSandboxSecurityContext>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct LinuxSandboxSecurityContext {
        #[prost(message, optional, tag = "1")]
        pub namespace_options: Option<NamespaceOption>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct NamespaceOption {
        #[prost(enumeration = "NamespaceMode", tag = "1")]
        pub network: i32,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
    #[repr(i32)]
    pub enum NamespaceMode {
        Pod = 0,
        Node = 2,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct RunPodSandboxResponse {
        #[prost(string, tag = "1")]
        pub pod_sandbox_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PodSandboxRequest {
        #[prost(string, tag = "1")]
        pub pod_sandbox_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ListPodSandboxResponse {
        #[prost(message, repeated, tag = "1")]
        pub items: Vec<PodSandbox>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PodSandbox {
        #[prost(string, tag = "1")]
        pub id: String,
        #[prost(message, optional, tag = "2")]
        pub metadata: Option<PodSandboxMetadata>,
        /// 0 is ready.
        #[prost(int32, tag = "3")]
        pub state: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CreateContainerRequest {
        #[prost(string, tag = "1")]
        pub pod_sandbox_id: String,
        #[prost(message, optional, tag = "2")]
        pub config: Option<ContainerConfig>,
        #[prost(message, optional, tag = "3")]
        pub sandbox_config: Option<PodSandboxConfig>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ContainerConfig {
        #[prost(message, optional, tag = "1")]
        pub metadata: Option<ContainerMetadata>,
        #[prost(message, optional, tag = "2")]
        pub image: Option<ImageSpec>,
        #[prost(string, repeated, tag = "3")]
        pub command: Vec<String>,
        #[prost(map = "string, string", tag = "9")]
        pub labels: HashMap<String, String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ContainerMetadata {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(uint32, tag = "2")]
        pub attempt: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ImageSpec {
        #[prost(string, tag = "1")]
        pub image: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CreateContainerResponse {
        #[prost(string, tag = "1")]
        pub container_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct StartContainerRequest {
        #[prost(string, tag = "1")]
        pub container_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct StopContainerRequest {
        #[prost(string, tag = "1")]
        pub container_id: String,
        #[prost(int64, tag = "2")]
        pub timeout: i64,
    }

    /// `ContainerStatusRequest` and `PodSandboxStatusRequest` have the same form.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct StatusRequest {
        #[prost(string, tag = "1")]
        pub id: String,
        #[prost(bool, tag = "2")]
        pub verbose: bool,
    }

    /// Their answers too: `info` is the runtime's own JSON.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct StatusResponse {
        #[prost(map = "string, string", tag = "2")]
        pub info: HashMap<String, String>,
    }
}
