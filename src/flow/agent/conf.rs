//! What the network configuration of Cilium's plugin asks for, where a person creates an interface by one.

use crate::cni::netconf::Network;

const CILIUM: &str = "cilium-cni";
/// Networks of these names are Cilium's second in a chain, whatever else they say.
const CHAINERS: [&str; 4] = ["aws-cni", "azure", "flannel", "generic-veth"];

/// A network whose pods the agent makes.
#[derive(Debug, PartialEq, Eq)]
pub struct Cilium {
    /// The plugin that gives the addresses, where it is not the agent.
    pub ipam: Option<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "the network {network} is a chain ({}): its interface is made by {first}, and Cilium only joins it; half of it would be no network",
        chain.join(", ")
    )]
    Chained { network: String, first: String, chain: Vec<String> },
    #[error(
        "the network {network} has the chaining mode {mode}: its interface is another plugin's, and Cilium only joins it"
    )]
    ChainingMode { network: String, mode: String },
    #[error(
        "the network {network} has plugins after Cilium's ({}), which podnet does not run; half of it would be no network",
        rest.join(", ")
    )]
    Further { network: String, rest: Vec<String> },
}

/// Reads it; what would be done by half is refused. None where Cilium has no part in it.
pub fn cilium(network: &Network) -> Result<Option<Cilium>, Refused> {
    let kinds: Vec<String> = network.plugins.iter().map(|plugin| plugin.kind.clone()).collect();
    let name = || network.name.clone();
    let Some(at) = kinds.iter().position(|kind| kind == CILIUM) else { return Ok(None) };
    let own = network.plugins.get(at);
    let mode = own.and_then(|plugin| plugin.object.get("chaining-mode")?.as_str());
    let mode = mode.filter(|mode| !matches!(*mode, "" | "none"));
    if let Some(mode) = mode {
        return Err(Refused::ChainingMode { network: name(), mode: mode.to_owned() });
    }
    if let Some(first) = kinds.first().filter(|_| at > 0) {
        return Err(Refused::Chained { network: name(), first: first.clone(), chain: kinds });
    }
    if CHAINERS.contains(&network.name.as_str()) {
        return Err(Refused::ChainingMode { network: name(), mode: network.name.clone() });
    }
    if let Some(rest) = kinds.get(1..).filter(|rest| !rest.is_empty()) {
        return Err(Refused::Further { network: name(), rest: rest.to_vec() });
    }
    Ok(Some(Cilium { ipam: own.and_then(|plugin| plugin.ipam()).map(str::to_owned) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, plugins: &str) -> Result<Option<Cilium>, Refused> {
        let text = format!(r#"{{"cniVersion": "1.0.0", "name": "{name}", "plugins": [{plugins}]}}"#);
        cilium(&Network::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn ciliums_own_network_is_taken() {
        let own = read("cilium", r#"{"type": "cilium-cni", "enable-debug": false, "log-file": "/x"}"#);
        assert_eq!(own, Ok(Some(Cilium { ipam: None })));
        let delegated = read("cilium", r#"{"type": "cilium-cni", "ipam": {"type": "host-local"}}"#);
        assert_eq!(delegated, Ok(Some(Cilium { ipam: Some("host-local".to_owned()) })));
        let others = read("n", r#"{"type": "bridge"}, {"type": "portmap"}"#);
        assert_eq!(others, Ok(None));
    }

    #[test]
    fn what_would_be_half_of_a_chain_is_refused_with_the_reason() {
        for (name, plugins, words) in [
            ("x", r#"{"type": "ptp"}, {"type": "cilium-cni"}"#, "made by ptp"),
            ("aws-cni", r#"{"type": "cilium-cni"}"#, "chaining mode aws-cni"),
            ("y", r#"{"type": "cilium-cni", "chaining-mode": "generic-veth"}"#, "chaining mode generic-veth"),
            ("portmap", r#"{"type": "cilium-cni"}, {"type": "portmap"}"#, "after Cilium's (portmap)"),
        ] {
            let refused = read(name, plugins).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
