//! Docker's HTTP API, which Podman's service speaks too.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings,
    PortSummary,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use bollard::{API_DEFAULT_VERSION, Docker};
use jiff::Timestamp;

use super::{Error, Told};
use crate::model::attachment::RuntimeNetwork;
use crate::model::workload::{Pod, Role, State, Workload};

/// The deadline is the caller's; the client's own must only not be shorter.
const CLIENT_TIMEOUT_SECONDS: u64 = 600;

async fn connect(runtime: &'static str, socket: &PathBuf) -> Result<Docker, Error> {
    let probe = tokio::net::UnixStream::connect(socket).await;
    probe.map_err(|source| Error::Connect { socket: socket.clone(), source })?;
    let wrong =
        |source: bollard::errors::Error| Error::Protocol { socket: socket.clone(), runtime, source: Box::new(source) };
    let client = Docker::connect_with_unix(&socket.to_string_lossy(), CLIENT_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
        .map_err(wrong)?;
    // Podman takes any version, and needs most of a second to tell its own: it runs conmon and the runtime for it.
    if runtime == "podman" { Ok(client) } else { client.negotiate_version().await.map_err(wrong) }
}

/// Version and every container, running or not. The list holds no PIDs.
pub async fn ask(runtime: &'static str, socket: PathBuf) -> Result<Told, Error> {
    let client = connect(runtime, &socket).await?;
    let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
    let answers = tokio::try_join!(client.version(), client.list_containers(Some(options)));
    let (version, list) = answers.map_err(|source| Error::Protocol { socket, runtime, source: Box::new(source) })?;
    let version = version.version;
    let workloads = list.into_iter().map(|summary| from_summary(runtime, version.clone(), summary)).collect();
    Ok(Told { version, workloads })
}

/// What only `inspect` tells of one container.
pub async fn look(runtime: &'static str, socket: PathBuf, id: &str) -> Result<Workload, Error> {
    let client = connect(runtime, &socket).await?;
    let answer = client.inspect_container(id, None::<InspectContainerOptions>).await;
    let answer = answer.map_err(|source| Error::Protocol { socket, runtime, source: Box::new(source) })?;
    Ok(from_inspection(answer))
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
