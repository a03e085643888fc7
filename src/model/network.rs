//! The networks that the container runtimes of this node put pods in, by the CNI configurations that they read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Family;
use super::address_store::AddressRange;

/// The plugin that has host-local give addresses, and says so in no configuration.
pub const FLANNEL: &str = "flannel";

/// One that reads a directory of configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkReader {
    /// containerd or cri-o; absent where none is configured here, and the usual directory was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    pub directory: String,
    pub plugin_directories: Vec<String>,
    /// In the order in which they are looked at.
    pub files: Vec<NetworkFile>,
    /// Others in the directory: backups (`.cilium_bak`), notes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// Why the directory could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl NetworkReader {
    /// The network that pods get.
    pub fn picked(&self) -> Option<&NetworkFile> {
        self.files.iter().find(|file| file.standing == Standing::Picked)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkFile {
    pub path: String,
    /// Absent where the file is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Versions of the CNI spec that it names, as they are written: `cniVersion`, and those of `cniVersions`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// Types of its plugins, in their order.
    pub plugins: Vec<String>,
    /// Those of them, and of their address plugins, that are in none of the directories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Those that are there, and that nobody may execute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_executable: Vec<String>,
    /// What its address plugin gives addresses from, where the file says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<AddressRange>,
    pub standing: Standing,
    /// The families that pods get a default route for by it, as far as it says so itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_routes: Vec<Family>,
    /// The file of the network that it hands each pod on to (Multus), as it is told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_network: Option<String>,
    /// The type of the address plugin that they name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipam: Option<String>,
    /// The file that decides its standing, where another one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because_of: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The network that pods get.
    Picked,
    /// A further one, for an interface of its own.
    Also,
    /// Fine, but another comes first.
    Shadowed,
    /// Its name was taken by another.
    SameName,
    /// The reader wants the network of another name.
    NotNamed,
    /// Left out: damaged, or with a plugin that is not installed.
    PassedOver,
    /// Damaged, and so the reader has no network at all.
    Blocks,
    /// Never looked at, because of another.
    Blocked,
}

/// What a runtime says, over the CRI, of whether it can give pods a network: the condition that the kubelet goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkStatus {
    pub runtime: String,
    pub ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
