//! Where runtimes listen, on every kind of node, when nobody says so.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::collect::options::Options;

pub const DOCKER: &[&str] = &["/run/docker.sock"];
/// Plain, k3s and RKE2, k0s, MicroK8s.
pub const CONTAINERD: &[&str] = &[
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
];
/// CRI-O, cri-dockerd, and k3s' own of that.
pub const CRI_ONLY: &[&str] =
    &["/run/crio/crio.sock", "/run/cri-dockerd.sock", "/run/k3s/cri-dockerd/cri-dockerd.sock"];
pub const PODMAN: &[&str] = &["/run/podman/podman.sock"];
const CRICTL: &str = "/etc/crictl.yaml";

/// `DOCKER_HOST` where it names a unix socket, else the usual place.
pub fn docker() -> Option<PathBuf> {
    let named = docker_host().and_then(|host| host.strip_prefix("unix://").map(PathBuf::from));
    named.or_else(|| present(DOCKER).into_iter().next())
}

/// A `DOCKER_HOST` that is no unix socket: the daemon there may be another machine's.
pub fn distant_docker() -> Option<String> {
    docker_host().filter(|host| !host.starts_with("unix://"))
}

fn docker_host() -> Option<String> {
    std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty())
}

/// The service's socket: root's, or the caller's own.
pub fn podman() -> Option<PathBuf> {
    let own = format!("/run/user/{}/podman/podman.sock", nix::unistd::getuid());
    present(&[PODMAN, &[&own]].concat()).into_iter().next()
}

/// Sockets that may answer containerd's own API.
pub fn containerd(options: &Options) -> Vec<PathBuf> {
    chosen(options).map_or_else(
        || present(CONTAINERD),
        |chosen| chosen.into_iter().filter(|path| names_containerd(path)).collect(),
    )
}

/// Sockets that may answer the CRI.
pub fn cri(options: &Options) -> Vec<PathBuf> {
    chosen(options).unwrap_or_else(|| [present(CONTAINERD), present(CRI_ONLY)].concat())
}

/// What the operator says, by flag or environment first, then in crictl's own file.
fn chosen(options: &Options) -> Option<Vec<PathBuf>> {
    let endpoints =
        if options.endpoints.is_empty() { crictl().into_iter().collect() } else { options.endpoints.clone() };
    let paths: Vec<PathBuf> =
        endpoints.iter().map(|endpoint| PathBuf::from(endpoint.strip_prefix("unix://").unwrap_or(endpoint))).collect();
    (!paths.is_empty()).then_some(paths)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Crictl {
    runtime_endpoint: Option<String>,
}

fn crictl() -> Option<String> {
    let text = std::fs::read_to_string(CRICTL).ok()?;
    let file: Crictl = serde_saphyr::from_str(&text).ok()?;
    file.runtime_endpoint.filter(|endpoint| !endpoint.is_empty())
}

fn names_containerd(path: &Path) -> bool {
    path.to_string_lossy().contains("containerd") && !path.to_string_lossy().contains("cri-dockerd")
}

/// Those that exist, each once though several paths lead to it.
fn present(paths: &[&str]) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut keep =
        |path: &Path| std::fs::metadata(path).is_ok_and(|metadata| seen.insert((metadata.dev(), metadata.ino())));
    paths.iter().map(PathBuf::from).filter(|path| keep(path)).collect()
}
