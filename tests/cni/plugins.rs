//! Plugins written for a test, in the shell, that note how they were called.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use podnet::cni::cache::Cache;
use podnet::cni::chain::{Attachment, Runtime};
use podnet::ipam::Owner;

use crate::support::prerequisite;
use crate::support::scratch::Scratch;

/// A directory of plugins, and the runtime that drives them.
pub struct Plugins {
    pub scratch: Scratch,
    pub runtime: Runtime,
}

impl Plugins {
    /// None, having said why, where what they are written with is not installed.
    pub fn noting(names: &[&str]) -> Option<Self> {
        let plugins = prerequisite::program("jq").then(Self::new)?;
        plugins.write_noting(names);
        Some(plugins)
    }

    pub fn new() -> Self {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("bin")).unwrap();
        let runtime = Runtime {
            path: vec![scratch.join("bin"), "/usr/lib/cni".into()],
            cache: Cache::open(&scratch.join("cache")),
            deadline: Duration::from_secs(30),
        };
        Self { scratch, runtime }
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.scratch.join("bin").join(name)
    }

    /// A plugin of that type with this body; `$LOG` is what [`Plugins::log`] reads.
    pub fn write(&self, name: &str, body: &str) -> PathBuf {
        let program = self.program(name);
        let log = self.scratch.text("log");
        fs::write(&program, format!("#!/bin/sh\nLOG={log}\n{body}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    /// Several that note `TYPE VERB STDIN` and give `prevResult`, or an empty result, back.
    pub fn write_noting(&self, names: &[&str]) {
        names.iter().for_each(|name| drop(self.write_one_noting(name)));
    }

    fn write_one_noting(&self, name: &str) -> PathBuf {
        self.write(
            name,
            &format!(
                r#"input=$(cat); echo "{name} $CNI_COMMAND $input" >>$LOG
[ $CNI_COMMAND != ADD ] || echo "$input" | jq -c '(.prevResult // {{}}) + {{cniVersion: .cniVersion, "x-{name}": true}}'"#
            ),
        )
    }

    /// The lines that they noted.
    pub fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.scratch.join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Forgets what they noted.
    pub fn clear(&self) {
        let _ = fs::remove_file(self.scratch.join("log"));
    }

    /// The first two words of each line.
    pub fn calls(&self) -> Vec<String> {
        let words = |line: &String| line.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ");
        self.log().iter().map(words).collect()
    }
}

pub fn attachment(container: &str, netns: Option<&str>) -> Attachment {
    Attachment {
        owner: Owner::new(container, "eth0").unwrap(),
        netns: netns.map(PathBuf::from),
        args: vec![("IgnoreUnknown".into(), "1".into()), ("K8S_POD_NAME".into(), "web-0".into())],
        capabilities: serde_json::Map::new(),
    }
}
