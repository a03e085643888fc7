//! Whether the Docker daemon keeps chains in the firewall: what it was started with, else its file, else yes.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::proc::{Process, Walk};
use crate::model::host::Dockerd;
use crate::model::netns::Inode;

const FILE: &str = "/etc/docker/daemon.json";
/// A configuration file is not longer.
const LONGEST: u64 = 1024 * 1024;

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Configuration {
    iptables: Option<bool>,
    firewall_backend: Option<String>,
}

/// The one in the host's own network. `proc_root` is `/proc`.
pub fn find(proc_root: &Path, walk: &Walk, host_netns: Inode) -> Option<Dockerd> {
    let is_it = |process: &&Process| process.name == "dockerd" && process.netns == Some(host_netns);
    let process = walk.processes.values().find(is_it)?;
    let arguments = fs::read(proc_root.join(format!("{}/cmdline", process.pid))).unwrap_or_default();
    let arguments: Vec<String> =
        arguments.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect();
    // In another mount namespace the file is another one.
    let by_file = || (process.mount_ns == walk.own_mount_ns).then(|| of_file(Path::new(FILE))).flatten();
    Some(Dockerd { pid: process.pid, iptables: of_arguments(&arguments).unwrap_or_else(by_file) })
}

/// None where they leave it to the file; None inside where another file, or another way to write rules, is named.
fn of_arguments(arguments: &[String]) -> Option<Option<bool>> {
    let value = |name: &str| arguments.iter().rev().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
    if arguments
        .iter()
        .any(|argument| argument.starts_with("--config-file") || argument.starts_with("--firewall-backend"))
    {
        return Some(None);
    }
    match value("--iptables") {
        Some(text) => Some(text.parse().ok()),
        None => arguments.iter().any(|argument| argument == "--iptables").then_some(Some(true)),
    }
}

fn of_file(file: &Path) -> Option<bool> {
    let Ok(metadata) = fs::metadata(file) else { return Some(true) };
    if !metadata.is_file() || metadata.len() > LONGEST {
        return None;
    }
    let told: Configuration = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    let by_iptables = told.firewall_backend.is_none_or(|backend| backend == "iptables");
    by_iptables.then_some(told.iptables.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_was_started_with_comes_first() {
        let told = |arguments: &[&str]| {
            of_arguments(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(told(&["dockerd", "-H", "fd://"]), None);
        assert_eq!(told(&["dockerd", "--iptables=false"]), Some(Some(false)));
        assert_eq!(told(&["dockerd", "--iptables"]), Some(Some(true)));
        assert_eq!(told(&["dockerd", "--iptables=what"]), Some(None));
        assert_eq!(told(&["dockerd", "--config-file", "/x"]), Some(None));
    }

    #[test]
    fn its_file_may_say_so_or_leave_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("daemon.json");
        assert_eq!(of_file(&file), Some(true), "none");
        for (text, told) in [
            ("{}", Some(true)),
            (r#"{"iptables": false}"#, Some(false)),
            (r#"{"firewall-backend": "nftables"}"#, None),
            (r#"{"iptables": tru"#, None),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(of_file(&file), told, "{text}");
        }
        assert_eq!(of_file(folder.path()), None, "a folder");
    }
}
