//! The image for debugging nodes: its wrapper runs podnet with the node's files.

use std::process::Command;

use crate::support::prerequisite;
use crate::support::scratch::Scratch;
use crate::support::shell::succeed;

const BINARY: &str = env!("CARGO_BIN_EXE_podnet");
const WRAPPER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.image/podnet");

/// A container's mounts: what it has at `$1` the node has not, and the other way round.
const IN_CONTAINER: &str = r#"
mount -t tmpfs tmpfs "$1" && cp "$2" "$1/podnet" && shift 2 && exec "$@"
"#;

#[test]
fn podnet_in_a_container_sees_what_the_node_has() {
    if !prerequisite::root_and(&["unshare", "nsenter", "mount"]) {
        return;
    }
    let scratch = Scratch::new();
    let folder = scratch.text("place");
    std::fs::create_dir(&folder).unwrap();
    scratch.write("place/networks/pnt-node/10.9.0.7", "3f2a91c04d5e\r\neth0");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", IN_CONTAINER, "sh", &folder, BINARY]);
    command.args(["sh", WRAPPER, "ipam", "list", "--dir", &format!("{folder}/networks"), "-o", "name"]);
    command.env("PODNET_PROGRAM", format!("{folder}/podnet"));
    assert_eq!(succeed(&mut command), "10.9.0.7");
}
