//! The machine as a whole: its identity, the tables that all namespaces share, and what sysctl.d(5) files set.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::proc::Inotify;
use crate::model::host::{Host, Limits, SysctlSetting};
use crate::model::sysctl::Fill;

/// Where sysctl.d files may lie; of two with the same name the earlier place counts.
const FOLDERS: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// procps applies it after all others.
const LAST: &str = "/etc/sysctl.conf";
/// A configuration file is not longer.
const LONGEST: u64 = 1024 * 1024;

/// Reads it; `inotify` are the instances in use. `proc_root` is `/proc`.
pub fn read(proc_root: &Path, inotify: &[Inotify]) -> Host {
    let mut used: BTreeMap<u32, u64> = BTreeMap::new();
    let mut watches: BTreeMap<u32, u64> = BTreeMap::new();
    for instance in inotify {
        *used.entry(instance.user).or_default() += 1;
        *watches.entry(instance.user).or_default() += instance.watches(proc_root);
    }
    let sysctl = |path: &str| text(&proc_root.join("sys").join(path));
    let number = |path: &str| sysctl(path)?.parse().ok();
    Host {
        machine_id: text(Path::new("/etc/machine-id")).filter(|id| !id.is_empty()),
        boot_id: sysctl("kernel/random/boot_id"),
        limits: Limits {
            open_files: sysctl("fs/file-nr").and_then(|text| open_files(&text)),
            inotify_instances: number("fs/inotify/max_user_instances"),
            inotify_used: used,
            inotify_watches: number("fs/inotify/max_user_watches"),
            inotify_watches_used: watches,
            ipv4_neighbours: number("net/ipv4/neigh/default/gc_thresh3"),
            ipv6_neighbours: number("net/ipv6/neigh/default/gc_thresh3"),
        },
        dockerd: None,
        sysctl_settings: settings(&FOLDERS.map(Path::new), Path::new(LAST)),
    }
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// `fs.file-nr`: in use, free (always 0), most.
fn open_files(text: &str) -> Option<Fill> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let count = numbers.next()?.ok()?;
    Some(Fill { count, max: numbers.nth(1)?.ok()? })
}

fn settings(folders: &[&Path], last: &Path) -> Vec<SysctlSetting> {
    let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for folder in folders {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "conf") {
                files.entry(entry.file_name()).or_insert_with(|| entry.path());
            }
        }
    }
    // Often /etc/sysctl.d/99-sysctl.conf is a link to it.
    let mut seen = BTreeSet::new();
    let in_order = files.into_values().chain([last.to_owned()]);
    let distinct = in_order.filter(|file| seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    distinct.flat_map(|file| of_file(&file)).collect()
}

fn of_file(file: &Path) -> Vec<SysctlSetting> {
    let is_plain = fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LONGEST);
    let text = if is_plain { fs::read_to_string(file).unwrap_or_default() } else { String::new() };
    let line = |(number, line): (usize, &str)| {
        let line = line.trim();
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
        let name = dotted(name.trim().trim_start_matches('-'));
        let concerns_us = ["net.", "fs.", "user."].iter().any(|beginning| name.starts_with(beginning));
        let file = file.to_string_lossy().into_owned();
        let line = u32::try_from(number + 1).unwrap_or(u32::MAX);
        concerns_us.then(|| SysctlSetting { name, value: value.trim().to_owned(), file, line })
    };
    text.lines().enumerate().filter_map(line).collect()
}

/// Where the first separator is a slash, slashes and dots have changed their roles (sysctl.d(5)).
fn dotted(name: &str) -> String {
    match name.find(['.', '/']).and_then(|at| name.as_bytes().get(at)) {
        Some(b'/') => name.chars().map(|letter| if letter == '/' { '.' } else { letter }).collect(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_names_and_a_nearer_file_hides_its_namesake() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("etc/50-a.conf", "net/ipv4/ip_forward = 0\n# net.ipv4.x=1\n-net.ipv4.conf.*.rp_filter=2");
        write("lib/50-a.conf", "net.ipv4.ip_forward=7");
        write("lib/99-b.conf", "kernel.panic=1\nnet.ipv4.ip_forward=1");
        write("lib/README", "net.ipv4.ip_forward=8");
        std::os::unix::fs::symlink(root.path().join("last"), root.path().join("etc/70-c.conf")).unwrap();
        write("last", "fs.file-max = 5");
        let (etc, lib) = (root.path().join("etc"), root.path().join("lib"));
        let found = settings(&[&etc, &lib], &root.path().join("last"));
        let found: Vec<_> = found.iter().map(|each| (each.name.as_str(), each.value.as_str(), each.line)).collect();
        assert_eq!(
            found,
            [
                ("net.ipv4.ip_forward", "0", 1),
                ("net.ipv4.conf.*.rp_filter", "2", 3),
                ("fs.file-max", "5", 1),
                ("net.ipv4.ip_forward", "1", 2)
            ]
        );
    }

    #[test]
    fn open_files_of_the_machine() {
        assert_eq!(open_files("1024\t0\t9223372036854775807"), Some(Fill { count: 1024, max: i64::MAX as u64 }));
        assert_eq!(open_files("1024"), None);
    }
}
