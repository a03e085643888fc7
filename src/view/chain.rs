//! A network of CNI plugins, driven by podnet in the place of a runtime: each plugin's turn, its time and its result.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::API_VERSION;
use crate::cni::AddResult;
use crate::cni::alive::Standing;
use crate::cni::chain::{Skipped, Turn};
use crate::cni::exec;
use crate::cni::netconf::{GcAttachment, Network};
use crate::collect::kernel::problem::chain;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChainRun {
    pub api_version: String,
    pub kind: String,
    /// ADD, DEL, CHECK, STATUS or GC.
    pub verb: String,
    pub network: ChainNetwork,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// Of a dry run: what would be called. Nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<ChainPlan>,
    pub turns: Vec<PluginTurn>,
    /// What the last plugin's ADD gave back, in the network's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// For GC: what is alive, and what is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Attachments>,
    /// Why no plugin was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChainNetwork {
    pub name: String,
    pub cni_version: String,
    pub plugins: Vec<String>,
    /// Where it was read.
    pub source: String,
    /// Why this one, and what was passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// The turns to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChainPlan {
    /// Whether podnet makes the netns before.
    pub new_netns: bool,
    /// In the order of their turns.
    pub plugins: Vec<PlannedPlugin>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedPlugin {
    pub plugin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// What it is told, but for the result of the plugin before it.
    pub config: Map<String, Value>,
    /// Why there is no program for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginTurn {
    pub verb: String,
    pub plugin: String,
    pub elapsed_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What an ADD brought beyond what was there before it: interfaces and addresses, in short.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachments {
    pub alive: Vec<Attached>,
    pub gone: Vec<Attached>,
    /// False: nothing was done yet.
    pub applied: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    pub container_id: String,
    pub ifname: String,
}

pub fn network(network: &Network, source: String, reasons: Vec<String>) -> ChainNetwork {
    ChainNetwork {
        name: network.name.clone(),
        cni_version: network.version.to_string(),
        plugins: network.plugins.iter().map(|plugin| plugin.kind.clone()).collect(),
        source,
        reasons,
    }
}

impl ChainRun {
    pub fn new(verb: &str, network: ChainNetwork) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: "ChainRun".to_owned(),
            verb: verb.to_owned(),
            network,
            container_id: None,
            ifname: None,
            netns: None,
            plan: None,
            turns: Vec::new(),
            result: None,
            attachments: None,
            skipped: None,
        }
    }
}

/// A plugin's turn of ADD that is to come.
pub fn planned(kind: &str, program: Result<&Path, &exec::Error>, config: Map<String, Value>) -> PlannedPlugin {
    PlannedPlugin {
        plugin: kind.to_owned(),
        program: program.ok().map(|path| path.display().to_string()),
        config,
        error: program.err().map(|error| chain(error)),
    }
}

/// What a result has that the one before had not.
fn made(before: Option<&AddResult>, result: Option<&AddResult>) -> Vec<String> {
    let before = told(before);
    told(result).into_iter().filter(|made| !before.contains(made)).collect()
}

fn told(result: Option<&AddResult>) -> Vec<String> {
    let Some(result) = result else { return Vec::new() };
    let interfaces = result.interfaces.iter().map(|interface| match interface.sandbox.as_str() {
        "" => format!("interface {} on the host", interface.name),
        sandbox => format!("interface {} in {sandbox}", interface.name),
    });
    interfaces.chain(result.ips.iter().map(|ip| format!("address {}", ip.address))).collect()
}

pub fn turn(turn: &Turn<'_>) -> PluginTurn {
    PluginTurn {
        verb: turn.verb.to_string(),
        plugin: turn.plugin.kind.clone(),
        elapsed_ms: turn.elapsed.as_secs_f64() * 1000.0,
        error: turn.error.map(|error| chain(error)),
        made: made(turn.before, turn.result),
    }
}

pub fn skipped(skipped: Skipped, verb: &str) -> String {
    match skipped {
        Skipped::TooOld(version) => format!("a network of version {version} has no {verb}"),
        Skipped::Disabled => format!("the network disables {verb}"),
    }
}

pub fn attachments(standing: &Standing, applied: bool) -> Attachments {
    let attached = |attachment: &GcAttachment| Attached {
        container_id: attachment.container_id.clone(),
        ifname: attachment.ifname.clone(),
    };
    Attachments {
        alive: standing.alive.iter().map(attached).collect(),
        gone: standing.gone.iter().map(attached).collect(),
        applied,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plugin_is_told_what_it_brought_itself() {
        let result = |names: &[&str]| {
            let interface = |name: &&str| json!({ "name": name, "sandbox": "/run/netns/x" });
            let interfaces: Vec<Value> = names.iter().map(interface).collect();
            serde_json::from_value::<AddResult>(
                json!({ "interfaces": interfaces, "ips": [{ "address": "10.0.0.7/24" }] }),
            )
        };
        let (first, second) = (result(&["eth0"]).unwrap(), result(&["eth0", "ifb0"]).unwrap());
        assert_eq!(made(None, Some(&first)), ["interface eth0 in /run/netns/x", "address 10.0.0.7/24"]);
        assert_eq!(made(Some(&first), Some(&second)), ["interface ifb0 in /run/netns/x"]);
        assert!(made(Some(&second), Some(&second)).is_empty());
        assert!(made(Some(&second), None).is_empty());
    }
}
