//! Docker's HTTP API, which Podman's service speaks too.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings,
    PortSummary,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::UnixStream;

use super::{Error, Told};
use crate::model::attachment::RuntimeNetwork;
use crate::model::workload::{Pod, Role, State, Workload};

/// The deadline is the caller's; the client's own must only not be shorter.
const CLIENT_TIMEOUT_SECONDS: u64 = 600;

/// What a daemon says of itself with any answer.
struct Greeting {
    /// The highest version of its API.
    api: Option<ClientVersion>,
    /// Its own version.
    version: Option<String>,
}

/// Its words in the headers of `/_ping`, within a millisecond. `/version`, which the client would negotiate by, takes ten
/// and more: for it Docker and Podman first run containerd, runc and conmon.
async fn greet(stream: UnixStream) -> Result<Greeting, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut ping = Request::new(Empty::<Bytes>::new());
    *ping.uri_mut() = Uri::from_static("/_ping");
    ping.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    let exchange = sender.send_request(ping);
    tokio::pin!(exchange, connection);
    let answer = tokio::select! {
        biased;
        answer = &mut exchange => answer?,
        _ = &mut connection => exchange.await?,
    };
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    Ok(Greeting { api: header("api-version").and_then(api_version), version: header("server").and_then(version) })
}

/// `1.41`.
fn api_version(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
}

/// `20.10.24` of `Docker/20.10.24 (linux)`; Podman calls itself Libpod.
fn version(server: &str) -> Option<String> {
    let (name, rest) = server.split_once('/')?;
    matches!(name, "Docker" | "Libpod").then(|| rest.split(' ').next().map(str::to_owned))?
}

/// The client, and the daemon's own version.
async fn connect(runtime: &'static str, socket: &PathBuf) -> Result<(Docker, Option<String>), Error> {
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|source| Error::Connect { socket: socket.clone(), source })?;
    let greeting = greet(stream).await;
    let greeting =
        greeting.map_err(|source| Error::Protocol { socket: socket.clone(), runtime, source: Box::new(source) })?;
    let ours = API_DEFAULT_VERSION;
    let older = |theirs: &ClientVersion| {
        (theirs.major_version, theirs.minor_version) < (ours.major_version, ours.minor_version)
    };
    let spoken = greeting.api.filter(older).unwrap_or(*ours);
    let client = Docker::connect_with_unix(&socket.to_string_lossy(), CLIENT_TIMEOUT_SECONDS, &spoken);
    let client =
        client.map_err(|source| Error::Protocol { socket: socket.clone(), runtime, source: Box::new(source) })?;
    Ok((client, greeting.version))
}

/// Who has been asked, to be asked more.
#[derive(Clone, Debug)]
pub struct Client {
    pub runtime: &'static str,
    docker: Docker,
    /// What it tells of the one that is sought, with the beginning of its id.
    sought: Option<(String, Shared<BoxFuture<'static, Option<Workload>>>)>,
}

/// Version and every container, running or not; the list holds no PIDs. Beside it begins the question for the one that is
/// `sought` by its id, which the list does not wait for: of a container that something holds on to (its lock in dockerd)
/// Docker tells nothing more for as long as that takes.
pub async fn ask(runtime: &'static str, socket: PathBuf, sought: Option<&str>) -> Result<Told, Error> {
    let (docker, version) = connect(runtime, &socket).await?;
    let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
    let sought = sought.filter(|id| is_id(id)).map(|id| {
        let (docker, id) = (docker.clone(), id.to_owned());
        let begun = tokio::spawn({
            let id = id.clone();
            async move { inspect(&docker, &id).await }
        });
        (id, begun.map(|found| found.ok().flatten()).boxed().shared())
    });
    let list = docker.list_containers(Some(options)).await;
    let list = list.map_err(|source| Error::Protocol { socket, runtime, source: Box::new(source) })?;
    let workloads = list.into_iter().map(|summary| from_summary(runtime, version.clone(), summary)).collect();
    Ok(Told { version, workloads, client: Some(Client { runtime, docker, sought }), ..Told::default() })
}

/// What only `inspect` tells of one container, over the connection that brought the list.
pub async fn look(client: &Client, id: &str) -> Option<Workload> {
    let told = match &client.sought {
        Some((beginning, told)) if id.starts_with(beginning) => told.clone().await,
        _ => None,
    };
    match told.filter(|told| told.id.as_deref() == Some(id)) {
        Some(told) => Some(told),
        None => inspect(&client.docker, id).await,
    }
}

/// Or the beginning of one. What a person typed becomes a part of a URL.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn inspect(docker: &Docker, id: &str) -> Option<Workload> {
    docker.inspect_container(id, None::<InspectContainerOptions>).await.ok().map(from_inspection)
}

fn from_summary(runtime: &str, version: Option<String>, summary: ContainerSummary) -> Workload {
    let labels: std::collections::BTreeMap<String, String> = summary.labels.unwrap_or_default().into_iter().collect();
    let name = summary.names.unwrap_or_default().into_iter().next().map(|name| name.trim_start_matches('/').to_owned());
    let pod = super::merge::pod_of_labels(&labels);
    Workload {
        runtime: Some(runtime.to_owned()),
        runtime_version: version,
        id: summary.id,
        name,
        image: summary.image,
        state: summary.state.map_or(State::Unknown, state),
        role: role(pod.as_ref()),
        pod,
        network_mode: summary.host_config.and_then(|config| config.network_mode),
        ports: ports(&summary.ports.unwrap_or_default()),
        networks: summary.network_settings.and_then(|settings| settings.networks).map(networks).unwrap_or_default(),
        labels,
        seen_by: vec![runtime.to_owned()],
        ..Workload::default()
    }
}

/// cri-dockerd's pause containers have the pod's labels and no container name.
fn role(pod: Option<&Pod>) -> Role {
    match pod {
        Some(pod) if pod.container.is_none() => Role::Sandbox,
        _ => Role::Container,
    }
}

fn ports(list: &[PortSummary]) -> Vec<String> {
    let one = |port: &PortSummary| {
        let protocol = port.typ.map(|protocol| protocol.to_string()).unwrap_or_default();
        let inside = format!("{}/{protocol}", port.private_port);
        match (&port.ip, port.public_port) {
            (Some(ip), Some(public)) => format!("{ip}:{public}->{inside}"),
            (None, Some(public)) => format!("{public}->{inside}"),
            (_, None) => inside,
        }
    };
    list.iter().map(one).collect()
}

/// A container that does not run has networks without addresses, which say nothing.
fn networks(networks: HashMap<String, EndpointSettings>) -> Vec<RuntimeNetwork> {
    let addresses = |texts: [Option<String>; 2]| texts.into_iter().flatten().filter_map(|text| text.parse().ok());
    let one = |(name, endpoint): (String, EndpointSettings)| RuntimeNetwork {
        name,
        addresses: addresses([endpoint.ip_address, endpoint.global_ipv6_address]).collect(),
        gateways: addresses([endpoint.gateway, endpoint.ipv6_gateway]).collect(),
        mac: endpoint.mac_address.and_then(|text| text.parse().ok()),
    };
    let mut networks: Vec<RuntimeNetwork> = networks.into_iter().map(one).collect();
    networks.retain(|network| !network.addresses.is_empty());
    networks.sort_by(|one, other| one.name.cmp(&other.name));
    networks
}

fn state(state: ContainerSummaryStateEnum) -> State {
    match state {
        ContainerSummaryStateEnum::CREATED => State::Created,
        ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING => State::Running,
        ContainerSummaryStateEnum::PAUSED => State::Paused,
        ContainerSummaryStateEnum::RESTARTING => State::Restarting,
        ContainerSummaryStateEnum::EXITED | ContainerSummaryStateEnum::REMOVING => State::Stopped,
        ContainerSummaryStateEnum::DEAD => State::Dead,
        ContainerSummaryStateEnum::EMPTY => State::Unknown,
    }
}

fn from_inspection(answer: ContainerInspectResponse) -> Workload {
    let mut found = Workload { id: answer.id, ..Workload::default() };
    if let Some(state) = answer.state {
        found.pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
        found.started_at = state.started_at.as_deref().and_then(time);
        found.finished_at = state.finished_at.as_deref().and_then(time);
        let ended = matches!(state.status, Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD));
        found.exit_code = state.exit_code.filter(|_| ended);
    }
    found.netns_path =
        answer.network_settings.and_then(|settings| settings.sandbox_key).filter(|path| !path.is_empty());
    found.image = answer.config.and_then(|config| config.image);
    found
}

/// Docker writes the year 1 for «never».
fn time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().filter(|time| time.as_second() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_says_its_version_with_every_answer() {
        assert_eq!(version("Docker/20.10.24+dfsg1 (linux)").as_deref(), Some("20.10.24+dfsg1"));
        assert_eq!(version("Libpod/4.3.1 (linux)").as_deref(), Some("4.3.1"));
        assert_eq!((version("nginx/1.2"), version("Docker")), (None, None));
        let api = |text| api_version(text).map(|version| (version.major_version, version.minor_version));
        assert_eq!((api("1.41"), api("1"), api("1.x")), (Some((1, 41)), None, None));
    }
}
