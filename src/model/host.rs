//! What the machine as a whole is and is set to, beyond one namespace.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sysctl::Fill;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// `/etc/machine-id` (machine-id(5)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`: another one after each boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    pub limits: Limits,
    /// dockerd, where it runs in the host's own network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerd: Option<Dockerd>,
    /// What sysctl.d(5) files set, in the order in which they are applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sysctl_settings: Vec<SysctlSetting>,
}

/// A Docker daemon, as far as the firewall concerns it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dockerd {
    pub pid: u32,
    /// Whether it keeps chains by iptables; absent where its configuration could not be read for sure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iptables: Option<bool>,
}

/// Tables that all namespaces share, and how full they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Open files of the whole machine: `fs.file-nr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<Fill>,
    /// `fs.inotify.max_user_instances`, for each user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inotify_instances: Option<u64>,
    /// inotify instances in use, by user id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inotify_used: BTreeMap<u32, u64>,
    /// `fs.inotify.max_user_watches`, for each user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inotify_watches: Option<u64>,
    /// Files that are watched, by user id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inotify_watches_used: BTreeMap<u32, u64>,
    /// `net.ipv4.neigh.default.gc_thresh3`: above that no neighbour is added, in any namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_neighbours: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_neighbours: Option<u64>,
}

/// One line of a sysctl.d(5) file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SysctlSetting {
    /// With dots, as sysctl(8) prints names; may hold `*`.
    pub name: String,
    pub value: String,
    pub file: String,
    pub line: u32,
}

impl Host {
    /// The line that sets a name last, and so wins.
    pub fn who_sets(&self, name: &str) -> Option<&SysctlSetting> {
        self.sysctl_settings.iter().rev().find(|setting| fits(&setting.name, name))
    }
}

/// Whether a pattern, whose `*` stands for any run of letters without a dot, fits a name.
fn fits(pattern: &str, name: &str) -> bool {
    let (mut parts, mut words) = (pattern.split('.'), name.split('.'));
    loop {
        match (parts.next(), words.next()) {
            (None, None) => return true,
            (Some(part), Some(word)) if fits_word(part, word) => {}
            _ => return false,
        }
    }
}

fn fits_word(pattern: &str, word: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == word,
        Some((before, after)) => match word.strip_prefix(before) {
            Some(rest) if !after.contains('*') => rest.ends_with(after),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_fits_wins() {
        let line = |name: &str, value: &str, line| SysctlSetting {
            name: name.into(),
            value: value.into(),
            file: "/etc/sysctl.d/x.conf".into(),
            line,
        };
        let host = Host {
            sysctl_settings: vec![
                line("net.ipv4.conf.*.rp_filter", "2", 1),
                line("net.ipv4.conf.lxc*.rp_filter", "0", 2),
                line("net.ipv4.ip_forward", "0", 3),
            ],
            ..Host::default()
        };
        let winner = |name| host.who_sets(name).map(|setting| setting.line);
        assert_eq!(winner("net.ipv4.conf.lxc1234.rp_filter"), Some(2));
        assert_eq!(winner("net.ipv4.conf.eth0.rp_filter"), Some(1));
        assert_eq!(winner("net.ipv4.ip_forward"), Some(3));
        assert_eq!(winner("net.ipv4.conf.eth0.forwarding"), None);
    }
}
