//! How to reach the API server, and as whom: a kubeconfig, or the service account of the pod that podnet runs in.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use kube::client::AuthError;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::net::TcpStream;

use super::kubelet::Kubelet;
use super::{chain, connect};

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
    #[error("{}: kube waits for something to understand it", .0.display())]
    Waits(PathBuf),
    #[error("the service account in {SERVICE_ACCOUNT}: {0}")]
    ServiceAccount(String),
    #[error("{}: the API server is behind the proxy {proxy}, and podnet goes through none", .path.display())]
    Proxied { path: PathBuf, proxy: String },
    #[error("{}: its credential plugin {command} failed: {said}", .path.display())]
    Plugin { path: PathBuf, command: String, said: String },
    #[error("{}: {}", .path.display(), chain(.source))]
    Client { path: PathBuf, source: kube::Error },
}

/// Where the API server is, and what there is to show it.
pub struct Access {
    config: Config,
    /// The API server's URL, without the slash at the end.
    pub server: String,
    pub host: String,
    pub port: u16,
    pub credentials: PathBuf,
    pub context: Option<String>,
}

impl Access {
    fn new(config: Config, credentials: PathBuf, context: Option<String>) -> Self {
        let url = &config.cluster_url;
        Self {
            server: url.to_string().trim_end_matches('/').to_owned(),
            host: url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            port: url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 }),
            config,
            credentials,
            context,
        }
    }

    /// Sets up TLS and credentials on the open connection; nothing is sent yet. It may run a credential plugin, and so
    /// may block.
    pub fn connect(&self, open: TcpStream) -> Result<Client, Error> {
        let path = self.credentials.clone();
        connect::client(&self.config, self.host.clone(), self.port, open).map_err(|source| match source {
            kube::Error::Auth(AuthError::AuthExecRun { cmd, out }) => {
                let said = String::from_utf8_lossy(&out.stderr).trim().lines().next().unwrap_or_default().to_owned();
                let said = if said.is_empty() { out.status.to_string() } else { format!("{}: {said}", out.status) };
                Error::Plugin { path, command: cmd, said }
            }
            source => Error::Client { path, source },
        })
    }
}

/// The first that there is.
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
    let proxy = proxy_of(&merged, context.as_deref());
    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
    // It is async in name only: it awaits nothing.
    let config = Config::from_custom_kubeconfig(merged, &options).now_or_never();
    let mut config = config.ok_or_else(|| Error::Waits(path()))?.map_err(wrong)?;
    if let Some(proxy) = proxy {
        return Err(Error::Proxied { path: path(), proxy });
    }
    // What the environment names is for what is far away, and the API server's way back here is a direct one.
    config.proxy_url = None;
    Ok(Access::new(config, path(), context))
}

/// The one that the kubeconfig itself names.
fn proxy_of(config: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let context = config.contexts.iter().find(|known| Some(known.name.as_str()) == context)?.context.as_ref()?;
    let cluster = config.clusters.iter().find(|known| known.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|url| !url.is_empty())
}

fn from_service_account() -> Result<Access, Error> {
    let config = Config::incluster().map_err(|error| Error::ServiceAccount(chain(&error)))?;
    Ok(Access::new(config, SERVICE_ACCOUNT.into(), None))
}
