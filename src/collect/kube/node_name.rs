//! The name that this machine has in the cluster.

use super::kubelet::Kubelet;

/// Where manifests put `spec.nodeName` by the downward API; the second is that of Cilium's own.
const VARIABLES: [&str; 3] = ["NODE_NAME", "K8S_NODE_NAME", "MY_NODE_NAME"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName {
    pub name: String,
    /// What told it.
    pub from: String,
}

/// From the environment, else what the kubelet registers.
pub fn node_name(kubelet: Option<&Kubelet>) -> NodeName {
    let hostname = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    pick(|variable| std::env::var(variable).ok(), kubelet, &hostname)
}

fn pick(variable: impl Fn(&str) -> Option<String>, kubelet: Option<&Kubelet>, hostname: &str) -> NodeName {
    let told = VARIABLES.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)));
    if let Some((variable, name)) = told {
        return NodeName { name, from: variable.to_owned() };
    }
    if let Some(name) = kubelet.and_then(|kubelet| kubelet.hostname_override.clone()) {
        return NodeName { name, from: "the kubelet's --hostname-override".to_owned() };
    }
    // The kubelet writes it in small letters (nodeutil.GetHostname).
    NodeName { name: hostname.trim().to_lowercase(), from: "the hostname".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_source_wins() {
        let kubelet = Kubelet { hostname_override: Some("node-7".into()), kubeconfig: None };
        let set = |name: &str| (name == "K8S_NODE_NAME").then(|| "node-8".to_owned());
        let empty = |name: &str| (name == "NODE_NAME").then(String::new);
        assert_eq!(pick(set, Some(&kubelet), "host").name, "node-8");
        assert_eq!(pick(empty, Some(&kubelet), "host").name, "node-7");
        assert_eq!(pick(|_| None, Some(&Kubelet::default()), "Host.Example").name, "host.example");
        assert_eq!(pick(|_| None, None, "Host").from, "the hostname");
    }
}
