//! The .deb, from building to removing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::Binary;
use crate::support::prerequisite;
use crate::support::scratch::Scratch;
use crate::support::shell::succeed;

fn build(scratch: &Scratch, binary: &Binary) -> PathBuf {
    let package = scratch.join("podnet.deb");
    let mut command = binary.cargo("deb");
    command.args(["--no-build", "--no-strip", "--fast", "--profile", &binary.profile, "--output"]).arg(&package);
    succeed(&mut command);
    package
}

fn dpkg(root: &Path, words: &[&str]) -> String {
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", root.display())).args(["--force-unsafe-io", "--path-include=*"]);
    // The libraries that an unfinished binary needs are in no root of its own.
    command.arg("--force-depends").args(words);
    succeed(command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if entry.file_type().unwrap().is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found
}

#[test]
fn the_package_is_installed_runs_and_goes_again() {
    if !prerequisite::root_and(&["cargo", "cargo-deb", "dpkg", "man"]) {
        return;
    }
    let scratch = Scratch::new();
    let package = build(&scratch, &Binary::built());
    let root = scratch.join("root");
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();

    dpkg(&root, &["--install", package.to_str().unwrap()]);
    let installed = |path: &str| root.join(path);
    let version = succeed(Command::new(installed("usr/bin/podnet")).arg("--version"));
    assert_eq!(version, concat!("podnet ", env!("CARGO_PKG_VERSION")));
    let page = succeed(Command::new("man").arg("-l").arg(installed("usr/share/man/man1/podnet-inspect.1.gz")));
    assert!(page.contains("everything about one workload"), "{page}");
    for file in [
        "usr/share/man/man7/podnet-json.7.gz",
        "usr/share/man/man8/podnet-cni.8.gz",
        "usr/share/bash-completion/completions/podnet",
        "usr/share/zsh/vendor-completions/_podnet",
        "usr/share/fish/vendor_completions.d/podnet.fish",
        "usr/share/doc/podnet/copyright",
    ] {
        assert!(installed(file).is_file(), "{file} is missing: {:#?}", files(&root));
    }
    // As a shell loads it, with the podnet that is installed.
    let file = installed("usr/share/bash-completion/completions/podnet");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", "source \"$0\" && complete -p podnet"]).arg(file);
    bash.env("PATH", format!("{}:/usr/bin:/bin", installed("usr/bin").display()));
    assert!(succeed(&mut bash).starts_with("complete -"));
    let status = dpkg(&root, &["--status", "podnet"]);
    assert!(status.contains("Status: install ok installed"), "{status}");

    dpkg(&root, &["--purge", "podnet"]);
    let left = files(&root.join("usr"));
    assert!(left.is_empty(), "{left:#?}");
}
