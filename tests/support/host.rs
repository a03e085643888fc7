//! A host of the test's own: a netns that podnet runs in, with its own address store and journals.

use std::process::{Command, Output, Stdio};

use super::namespace::unique;
use super::netns::TestNetns;
use super::scratch::Scratch;

pub struct Host {
    pub netns: TestNetns,
    pub scratch: Scratch,
    /// Begins the names of what the test makes, which share `/run/netns` with others.
    pub prefix: String,
}

impl Host {
    pub fn new() -> Self {
        let netns = TestNetns::new();
        netns.ip("link set lo up");
        Self { netns, scratch: Scratch::new(), prefix: format!("{}-", unique()) }
    }

    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.on_terminal(program, args);
        command.stdin(Stdio::null());
        command
    }

    /// A command whose standard input whoever starts it gives.
    pub fn on_terminal(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env("PODNET_ROOT", self.scratch.join("store")).env("PODNET_RUN", self.scratch.join("run"));
        command
    }

    /// Runs a command in the host's netns.
    pub fn run(&self, mut command: Command) -> Output {
        self.netns.handle().run(|| command.output()).unwrap().unwrap()
    }

    pub fn podnet(&self, args: &[&str]) -> Output {
        self.run(self.command(env!("CARGO_BIN_EXE_podnet"), args))
    }

    /// The document that `args… -o json` prints; the run must succeed.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.podnet(&[args, &["-o", "json"]].concat());
        assert!(output.status.success(), "podnet {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What there is of podnet's: links, addresses of the store, journals, elements of the table, named namespaces.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for link in self.netns.ip_json("link").as_array().unwrap() {
            let name = link["ifname"].as_str().unwrap();
            if name.starts_with("lxc") || name.starts_with("tmp") {
                found.push(format!("link {name}"));
            }
        }
        for folder in ["run/attachments", "store/owners"] {
            found.extend(names(&self.scratch.join(folder)).map(|name| format!("{folder}/{name}")));
        }
        for pool in names(&self.scratch.join("store/networks")) {
            let held = names(&self.scratch.join("store/networks").join(&pool));
            let held = held.filter(|name| name.parse::<std::net::IpAddr>().is_ok());
            found.extend(held.map(|name| format!("address {name}")));
        }
        let table = self.run(self.command("nft", &["list", "tables"]));
        found.extend(text(&table.stdout).lines().filter(|line| line.contains("podnet")).map(str::to_owned));
        let mounted = names(std::path::Path::new("/run/netns")).filter(|name| name.starts_with(&self.prefix));
        found.extend(mounted.map(|name| format!("netns {name}")));
        found
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for name in names(std::path::Path::new("/run/netns")).filter(|name| name.starts_with(&self.prefix)) {
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
        }
    }
}

pub fn names(folder: &std::path::Path) -> impl Iterator<Item = String> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
