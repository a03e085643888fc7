//! An image made from the host's static busybox, since nothing can be pulled.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::{fs, path::Path};

use sha2::{Digest, Sha256};

use super::scratch::Scratch;
use super::shell::run;

pub const BUSYBOX: &str = "podnet.test/busybox:1";
/// The same image, under the name that a pod's sandbox is made from.
pub const PAUSE: &str = "podnet.test/pause:1";

const APPLETS: [&str; 9] = ["cat", "httpd", "ip", "nc", "ping", "sh", "sleep", "true", "wget"];

/// The image as a docker archive, which docker, podman and containerd all load. Its command sleeps
/// for an hour.
pub fn archive(scratch: &Scratch) -> PathBuf {
    let archive = scratch.join("image.tar");
    if !archive.exists() {
        write(scratch, &archive);
    }
    archive
}

fn write(scratch: &Scratch, archive: &Path) {
    let folder = scratch.join("image");
    fs::create_dir_all(&folder).unwrap();
    let layer = folder.join("layer.tar");
    rootfs(&scratch.join("rootfs"));
    tar(&layer, &scratch.join("rootfs"));

    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Cmd": ["/bin/sleep", "3600"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&fs::read(&layer).unwrap()))] },
    });
    let config = serde_json::to_vec(&config).unwrap();
    let config_file = format!("{}.json", sha256(&config));
    fs::write(folder.join(&config_file), config).unwrap();
    let manifest =
        serde_json::json!([{ "Config": config_file, "RepoTags": [BUSYBOX, PAUSE], "Layers": ["layer.tar"] }]);
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();

    tar(archive, &folder);
}

fn rootfs(root: &Path) {
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
}

fn tar(archive: &Path, folder: &Path) {
    run("tar", &["-C", folder.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]);
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
