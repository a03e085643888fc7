//! The .rpm: it is built, and holds what the .deb holds.

use std::process::Command;

use crate::binary::Binary;
use crate::support::prerequisite;
use crate::support::scratch::Scratch;
use crate::support::shell::succeed;

#[test]
fn the_package_holds_the_program_its_pages_and_its_completions() {
    if !prerequisite::has(&["cargo", "cargo-generate-rpm", "rpm"]) {
        return;
    }
    let scratch = Scratch::new();
    let package = scratch.join("podnet.rpm");
    let binary = Binary::built();
    let mut command = binary.cargo("generate-rpm");
    command.args(["--profile", &binary.profile, "--payload-compress", "none", "--output"]).arg(&package);
    succeed(&mut command);
    let query = |what: &str| succeed(Command::new("rpm").args(["-qp", "--nosignature", what]).arg(&package));
    let files = query("--list");
    let pages = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/man")).unwrap().flatten().map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        format!("/usr/share/man/man{}/{name}", name.rsplit('.').next().unwrap())
    });
    let others = [
        "/usr/bin/podnet",
        "/usr/share/bash-completion/completions/podnet",
        "/usr/share/zsh/site-functions/_podnet",
        "/usr/share/fish/vendor_completions.d/podnet.fish",
        "/usr/share/licenses/podnet/LICENSE",
    ];
    for file in pages.chain(others.map(str::to_owned)) {
        assert!(files.lines().any(|line| line == file), "{file} is missing: {files}");
    }
    assert!(query("--info").contains(concat!("Version     : ", env!("CARGO_PKG_VERSION"))));
    let modes = query("-lv");
    let program = modes.lines().find(|line| line.ends_with(" /usr/bin/podnet")).unwrap();
    assert!(program.starts_with("-rwxr-xr-x") && program.contains(" root "), "{program}");
}
