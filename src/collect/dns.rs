//! Name resolution as a container's processes see it: resolv.conf(5) and hosts(5) below their own root.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use crate::model::dns::{Dns, HostsLine};

/// No resolver reads more.
const LONGEST: u64 = 64 * 1024;

/// Reads and parses both for the process `pid`.
pub fn read(proc_root: &Path, pid: u32) -> Dns {
    let mut dns = Dns::default();
    match file(proc_root, pid, Path::new("etc/resolv.conf")) {
        Ok(text) => resolv_conf(&mut dns, &String::from_utf8_lossy(&text)),
        Err(error) => dns.problems.push(format!("/etc/resolv.conf: {error}")),
    }
    match file(proc_root, pid, Path::new("etc/hosts")) {
        Ok(text) => dns.hosts = hosts(&String::from_utf8_lossy(&text)),
        Err(error) => dns.problems.push(format!("/etc/hosts: {error}")),
    }
    dns
}

/// A file of the process's own file system, whatever its links say: they are resolved below its root
/// (`RESOLVE_IN_ROOT`, openat2(2)). A FIFO or a device is refused, and not waited for.
pub fn file(proc_root: &Path, pid: u32, path: &Path) -> io::Result<Vec<u8>> {
    read_below(&proc_root.join(pid.to_string()).join("root"), path)
}

fn read_below(root: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let root = open(root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = File::from(openat2(root, path, how)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Of several `search` or `domain` lines the last counts; options add up.
fn resolv_conf(dns: &mut Dns, text: &str) {
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => dns.nameservers.extend(words.next()),
            Some("search" | "domain") => dns.search = words.collect(),
            Some("options") => dns.options.extend(words),
            _ => {}
        }
    }
}

fn hosts(text: &str) -> Vec<HostsLine> {
    let line = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned);
        let address = words.next()?;
        Some(HostsLine { address, names: words.collect() })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_resolver_would() {
        let mut dns = Dns::default();
        resolv_conf(
            &mut dns,
            "# c\nnameserver 10.96.0.10\nsearch a b\ndomain c\nsearch default.svc.cluster.local svc\noptions ndots:5\n;x\nnameserver\n",
        );
        assert_eq!(dns.nameservers, ["10.96.0.10"]);
        assert_eq!(dns.search, ["default.svc.cluster.local", "svc"]);
        assert_eq!(dns.options, ["ndots:5"]);
        assert_eq!(
            hosts("127.0.0.1 localhost # me\n\n#\n::1 a b"),
            [
                HostsLine { address: "127.0.0.1".into(), names: vec!["localhost".into()] },
                HostsLine { address: "::1".into(), names: vec!["a".into(), "b".into()] },
            ]
        );
    }

    #[test]
    fn a_link_cannot_lead_out_of_the_container() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/../../../../etc/passwd", root.path().join("etc/resolv.conf")).unwrap();
        assert!(read_below(root.path(), Path::new("etc/resolv.conf")).is_err());
        std::fs::write(root.path().join("etc/passwd"), "inside").unwrap();
        assert_eq!(read_below(root.path(), Path::new("etc/resolv.conf")).unwrap(), b"inside");
    }
}
