//! The program that is packed.

use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Binary {
    /// Where it was built for a target, that.
    target: Option<String>,
    /// As cargo calls it.
    pub profile: String,
}

impl Binary {
    /// The static one, where `tests/run` built it and says so; else the one that the tests are run with.
    pub fn built() -> Self {
        let file = std::env::var_os("PODNET_TESTS_STATIC").map(PathBuf::from);
        let file = file.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_podnet")));
        let mut folders = file.ancestors().skip(1).filter_map(Path::file_name).filter_map(|name| name.to_str());
        let profile = match folders.next().unwrap() {
            "debug" => "dev",
            profile => profile,
        };
        let target = folders.next().filter(|name| name.contains("-linux-"));
        Self { target: target.map(str::to_owned), profile: profile.to_owned() }
    }

    /// A command of cargo's that packs it, without the network.
    pub fn cargo(&self, command: &str) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.arg(command).current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_NET_OFFLINE", "true");
        if let Some(target) = &self.target {
            cargo.args(["--target", target]);
        }
        cargo
    }
}
