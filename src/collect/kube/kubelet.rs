//! What the kubelet of this machine was started with.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::collect::proc::{Process, Walk};

/// The kubelet itself, and the programs that carry it inside.
const PROGRAMS: [&str; 3] = ["kubelet", "k3s-server", "k3s-agent"];
const OVERRIDES: [&str; 2] = ["--hostname-override", "--node-name"];

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kubelet {
    /// Which name it registers the node by, where that is not the hostname.
    pub hostname_override: Option<String>,
    pub kubeconfig: Option<PathBuf>,
}

/// Reads the flags of the kubelet that runs here. A container can call a process of its own «kubelet» and would choose
/// whom we believe and whose credentials we use: so only root's, and only in podnet's own mount namespace.
pub fn find(proc_root: &Path, walk: &Walk) -> Option<Kubelet> {
    let folder = |process: &Process| proc_root.join(process.pid.to_string());
    let of_root = |process: &Process| fs::metadata(folder(process)).is_ok_and(|folder| folder.uid() == 0);
    let kubelets = walk.processes.values().filter(|process| PROGRAMS.contains(&process.name.as_str()));
    let mut believed = kubelets.filter(|process| process.mount_ns.is_some() && process.mount_ns == walk.own_mount_ns);
    let kubelet = believed.find(|process| of_root(process))?;
    Some(flags(&fs::read(folder(kubelet).join("cmdline")).ok()?))
}

fn flags(line: &[u8]) -> Kubelet {
    let words: Vec<String> =
        line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let value = |flag: &str| {
        let mut given = words.iter().enumerate().filter_map(|(at, word)| match word.strip_prefix(flag)? {
            "" => words.get(at + 1).cloned(),
            rest => rest.strip_prefix('=').map(str::to_owned),
        });
        given.next_back().filter(|value| !value.is_empty())
    };
    Kubelet {
        hostname_override: OVERRIDES.iter().find_map(|flag| value(flag)),
        kubeconfig: value("--kubeconfig").map(PathBuf::from).filter(|path| path.is_absolute()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::collect::proc;

    #[test]
    fn both_spellings_of_a_flag_and_the_last_one_counts() {
        let line = b"/usr/bin/kubelet\0--kubeconfig=/etc/kubernetes/kubelet.conf\0--hostname-override\0a\0--hostname-override=node-7\0";
        let found = flags(line);
        assert_eq!(found.hostname_override.as_deref(), Some("node-7"));
        assert_eq!(found.kubeconfig, Some("/etc/kubernetes/kubelet.conf".into()));
        assert_eq!(flags(b"kubelet\0--hostname-override-file=x\0--kubeconfig=relative\0"), Kubelet::default());
        assert_eq!(flags(b""), Kubelet::default());
    }

    #[test]
    fn a_containers_process_is_no_kubelet() {
        let root = tempfile::tempdir().unwrap();
        let process = |pid: &str, mounts: &str| {
            let folder = root.path().join(pid);
            fs::create_dir_all(folder.join("ns")).unwrap();
            symlink(mounts, folder.join("ns/mnt")).unwrap();
            symlink("net:[7]", folder.join("ns/net")).unwrap();
            let stat = "(kubelet) S 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 9 10 11 12 1234 99";
            fs::write(folder.join("stat"), format!("{pid} {stat}")).unwrap();
            fs::write(folder.join("cmdline"), format!("kubelet\0--hostname-override={pid}\0")).unwrap();
        };
        process("self", "mnt:[1]");
        process("20", "mnt:[2]");
        let found = || find(root.path(), &proc::walk(root.path()).unwrap());
        assert_eq!(found(), None);
        if nix::unistd::geteuid().is_root() {
            process("30", "mnt:[1]");
            assert_eq!(found().unwrap().hostname_override.as_deref(), Some("30"));
        }
    }
}
