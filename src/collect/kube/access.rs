//! How to reach the API server, and as whom: a kubeconfig, or the service account of the pod that podnet runs in.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::chain;
use super::kubelet::Kubelet;

/// Those that kubeadm, k3s, RKE2, k0s and MicroK8s leave on a control plane's node.
const ADMINISTRATOR: [&str; 5] = [
    "/etc/kubernetes/admin.conf",
    "/etc/rancher/k3s/k3s.yaml",
    "/etc/rancher/rke2/rke2.yaml",
    "/var/lib/k0s/pki/admin.conf",
    "/var/snap/microk8s/current/credentials/client.config",
];
/// The kubelet's own, which may read what concerns its node.
const KUBELET: [&str; 5] = [
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    "/var/lib/k0s/kubelet.conf",
];
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not that anything is wrong: this may be no node of a cluster.
    #[error("no kubeconfig (KUBECONFIG, ~/.kube/config, {} or {} other usual places), and not in a cluster's pod", ADMINISTRATOR[0], ADMINISTRATOR.len() + KUBELET.len() - 1)]
    Nothing,
    #[error("KUBECONFIG names no file that is there: {}", .0.display())]
    NoSuchFile(PathBuf),
    #[error("{}: the context «{context}» is not in it", .path.display())]
    NoSuchContext { path: PathBuf, context: String },
    // kube's own errors repeat their causes in their text.
    #[error("{}: {}", .path.display(), chain(.source))]
    Kubeconfig { path: PathBuf, source: KubeconfigError },
    #[error("the service account in {SERVICE_ACCOUNT}: {0}")]
    ServiceAccount(String),
    #[error("{}: {}", .path.display(), chain(.source))]
    Client { path: PathBuf, source: kube::Error },
}

pub struct Access {
    pub client: Client,
    /// The API server's URL, without the slash at the end.
    pub server: String,
    /// What to connect to; None where a proxy stands between.
    pub address: Option<(String, u16)>,
    pub credentials: PathBuf,
    pub context: Option<String>,
}

/// The first that there is. Reads files, may run a credential plugin, and so may block.
pub fn find(context: Option<&str>, kubelet: Option<&Kubelet>) -> Result<Access, Error> {
    let named = env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
    if let Some(paths) = named {
        let there: Vec<PathBuf> = env::split_paths(&paths).filter(|path| path.exists()).collect();
        return match there.first() {
            Some(_) => from_kubeconfig(&there, context),
            None => Err(Error::NoSuchFile(paths.into())),
        };
    }
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"));
    if let Some(home) = home.filter(|path| File::open(path).is_ok()) {
        return from_kubeconfig(&[home], context);
    }
    if context.is_none() && Path::new(SERVICE_ACCOUNT).join("token").exists() {
        return from_service_account();
    }
    let of_kubelet = kubelet.and_then(|kubelet| kubelet.kubeconfig.clone());
    let usual = ADMINISTRATOR.iter().map(PathBuf::from).chain(of_kubelet).chain(KUBELET.iter().map(PathBuf::from));
    let readable = usual.into_iter().find(|path| File::open(path).is_ok());
    from_kubeconfig(&[readable.ok_or(Error::Nothing)?], context)
}

/// Of several files the first that says a thing wins, as kubectl has it.
fn from_kubeconfig(paths: &[PathBuf], context: Option<&str>) -> Result<Access, Error> {
    let path = || paths.first().cloned().unwrap_or_default();
    let wrong = |source| Error::Kubeconfig { path: path(), source };
    let mut merged = Kubeconfig::default();
    for path in paths {
        let read = Kubeconfig::read_from(path).and_then(|next| merged.merge(next));
        merged = read.map_err(|source| Error::Kubeconfig { path: path.clone(), source })?;
    }
    // A plugin that asks questions would wait for an answer that nobody gives.
    for user in &mut merged.auth_infos {
        if let Some(exec) = user.auth_info.as_mut().and_then(|user| user.exec.as_mut()) {
            exec.interactive_mode = Some(kube::config::ExecInteractiveMode::Never);
        }
    }
    if let Some(context) = context.filter(|name| merged.contexts.iter().all(|known| known.name != **name)) {
        return Err(Error::NoSuchContext { path: path(), context: context.to_owned() });
    }
    let context = context.map(str::to_owned).or_else(|| merged.current_context.clone());
    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
    // It is async in name only: it awaits nothing.
    let config =
        tokio::runtime::Handle::current().block_on(Config::from_custom_kubeconfig(merged, &options)).map_err(wrong)?;
    connect(config, path(), context)
}

fn from_service_account() -> Result<Access, Error> {
    let config = Config::incluster().map_err(|error| Error::ServiceAccount(chain(&error)))?;
    connect(config, SERVICE_ACCOUNT.into(), None)
}

/// Sets up TLS and credentials; nothing is sent yet.
fn connect(mut config: Config, credentials: PathBuf, context: Option<String>) -> Result<Access, Error> {
    // The deadlines and repetitions are podnet's own, with all of the server's answer at hand.
    config.default_retry = false;
    config.connect_timeout = None;
    config.write_timeout = None;
    let url = &config.cluster_url;
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    let host = url.host().map(|host| host.trim_matches(['[', ']']).to_owned());
    let address = host.map(|host| (host, port)).filter(|_| config.proxy_url.is_none());
    let server = url.to_string().trim_end_matches('/').to_owned();
    let client = Client::try_from(config).map_err(|source| Error::Client { path: credentials.clone(), source })?;
    Ok(Access { client, server, address, credentials, context })
}
