//! Looking leaves nothing: after thousands of inspections in one process there is no descriptor, thread, netns id,
//! mount or file more, and the caller is still where he was. Alone in its binary, which counts its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podnet::collect::dns;
use podnet::collect::options::{Options, Runtimes};
use podnet::collect::survey::survey;
use podnet::model::peer::Verdict;
use podnet::target::{Target, resolve};
use podnet::view::inspection::{Inspection, inspection};
use support::namespace::Namespace;
use support::shell::{run, wait_for};
use support::{facts, prerequisite};

const TIMES: usize = 10_000;

/// What podnet inspect does, from target to document.
fn inspect(target: &str) -> Inspection {
    let options = Options { runtimes: Runtimes::None, ..Options::default() };
    let target: Target = target.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let document = runtime.block_on(async {
        let mut survey = survey(&options, target.depth()).await;
        let pick = resolve(&survey.node, &target).unwrap();
        survey.read_closely(pick.netns.unwrap(), true);
        inspection(&survey.node, pick, Some(dns::read(&options.proc_root, std::process::id())))
    });
    runtime.shutdown_background();
    document
}

/// All that could be more afterwards.
#[derive(Debug, PartialEq)]
struct Left {
    descriptors: usize,
    threads: usize,
    mounts: usize,
    nsids: Vec<String>,
    files: BTreeSet<PathBuf>,
    netns: u64,
}

impl Left {
    fn of(namespaces: &[&Namespace]) -> Self {
        let count = |folder: &str| fs::read_dir(folder).unwrap().count();
        // The threads of a runtime that was told to end need a moment.
        let threads = wait_for("other threads to end", Duration::from_secs(30), || {
            let threads = count("/proc/self/task");
            (threads <= 2).then_some(threads)
        });
        let nsids = namespaces.iter().map(|netns| run("ip", &["-n", &netns.name, "netns", "list-id"]));
        let mut files = BTreeSet::new();
        add_files(Path::new("/run"), 3, &mut files);
        Self {
            descriptors: count("/proc/self/fd"),
            threads,
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(),
            nsids: nsids.chain([run("ip", &["netns", "list-id"])]).collect(),
            files,
            netns: facts::inode("/proc/thread-self/ns/net"),
        }
    }
}

fn add_files(folder: &Path, depth: usize, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            add_files(&entry.path(), depth - 1, files);
        }
        files.insert(entry.path());
    }
}

#[test]
fn looking_leaves_nothing() {
    if !prerequisite::root_and(&["ip"]) {
        return;
    }
    // A pod of the host, and one of a nested node.
    let (pod, node, nested) = (Namespace::new(), Namespace::new(), Namespace::new());
    pod.veth_from_host();
    run(
        "ip",
        &["-n", &node.name, "link", "add", "lxc1", "type", "veth", "peer", "name", "eth0", "netns", &nested.name],
    );
    let namespaces = [&pod, &node, &nested];
    let look = |netns: &Namespace| {
        let document = inspect(&netns.path());
        assert_eq!(document.problems, Vec::<String>::new());
        let peers = document.interfaces.iter().filter_map(|interface| interface.peer.as_ref());
        assert_eq!(peers.map(|peer| peer.verdict).collect::<Vec<_>>(), [Verdict::Confirmed]);
    };
    // What is loaded and kept once is no leak.
    namespaces.into_iter().for_each(look);
    let before = Left::of(&namespaces);
    (0..TIMES).for_each(|turn| look(namespaces[turn % namespaces.len()]));
    assert_eq!(Left::of(&namespaces), before);
}
