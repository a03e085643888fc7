//! Every command as it is usually called, at things of the test's own. Commands and their arguments are read from the
//! tree, so a new one is called, too; only what sets something up says here how it does that where nobody minds.

use std::path::Path;

use clap::{Arg, Command};

use super::commands::commands;
use crate::support::podnet::Podnet;
use crate::support::scratch::Scratch;

/// What must stand behind a command for it to be quick, and to change nothing that is not the test's.
const MORE: [(&str, &str); 11] = [
    ("gc", "--grace 0.01"),
    ("create", "--dry-run"),
    ("delete", "--dry-run"),
    ("cni gc", ""),
    ("cni check", ""),
    ("cni status", ""),
    ("install-cni", "--bin-dir bin --conf-dir net.d"),
    ("uninstall-cni", "--bin-dir bin --conf-dir net.d"),
    // The plugin, which is asked by its environment; and the store, which is the test's.
    ("cni", ""),
    ("bench add", "-n 1"),
    ("demo", ""),
];
/// Below these everything happens in the test's own store.
const IN_STORE: &str = "ipam";
/// A command that does something itself.
pub struct Ordinary {
    pub path: Vec<String>,
    pub command: Command,
    /// Behind its path.
    pub args: Vec<String>,
}

impl Ordinary {
    pub fn name(&self) -> String {
        self.path.join(" ")
    }

    /// As it is usually called, and harmlessly.
    pub fn line(&self) -> Vec<String> {
        [self.path.as_slice(), &self.args].concat()
    }

    /// Whether it says here how to call it harmlessly, or needs not.
    pub fn is_known(&self) -> bool {
        let name = self.name();
        self.path[0] == IN_STORE || MORE.iter().any(|(known, _)| *known == name) || !sets_up().contains(&self.path[0])
    }
}

/// Every one that is there.
pub fn every() -> Vec<Ordinary> {
    let acts = |path: &[String], command: &Command| {
        !path.is_empty() && (!command.has_subcommands() || !command.is_subcommand_required_set())
    };
    commands().into_iter().filter(|(path, command)| acts(path, command)).map(ordinary).collect()
}

fn ordinary((path, command): (Vec<String>, Command)) -> Ordinary {
    let more = MORE.iter().find(|(name, _)| *name == path.join(" ")).map_or("", |(_, more)| more);
    let needed = command.get_positionals().filter(|arg| arg.is_required_set() || is_target(arg));
    let args = more.split_whitespace().map(str::to_owned).chain(needed.flat_map(value)).collect();
    Ordinary { path, command, args }
}

/// The lines of all.
pub fn lines() -> Vec<Vec<String>> {
    every().iter().map(Ordinary::line).collect()
}

pub fn is_target(arg: &Arg) -> bool {
    ["target", "targets"].contains(&arg.get_id().as_str())
}

/// Something that an argument can be.
fn value(arg: &Arg) -> Vec<String> {
    let own = super::own_pid();
    let possible = arg.get_possible_values();
    let value = match arg.get_id().as_str() {
        _ if !possible.is_empty() => possible[0].get_name(),
        "target" | "targets" => &own,
        "address" => "10.42.0.7",
        "code" => "PN-LINK-001",
        "command" => "true",
        "ranges" => "10.7.0.0/24",
        _ => "pnt-ordinary",
    };
    let dashes = arg.is_last_set().then_some("--");
    dashes.into_iter().chain([value]).map(str::to_owned).collect()
}

/// The commands that the help has under «Set up and tear down».
fn sets_up() -> Vec<String> {
    let help = super::podnet().run(&["-h"]).stdout;
    let (_, group) = help.split_once("Set up and tear down:\n").unwrap();
    let (group, _) = group.split_once("\n\n").unwrap();
    group.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Where nothing is that is not the test's, and no source is waited for.
pub fn on(scratch: &Scratch) -> Podnet {
    let store = |name: &str| Path::new(scratch.path()).join(name).to_str().unwrap().to_owned();
    super::podnet()
        .env("PODNET_ROOT", store("store"))
        .env("PODNET_RUN", store("run"))
        .env("RUST_BACKTRACE", "1".to_owned())
        .env("KUBECONFIG", String::new())
}
