//! What `/proc` alone tells of containers, on a made-up one: `Options::proc_root`.

use std::fs;
use std::os::unix::fs::symlink;

use podnet::collect::options::{Depth, Options};
use podnet::model::node::Node;
use podnet::model::workload::{Role, Workload};

use crate::namespace::look;
use crate::support::facts;
use crate::support::scratch::Scratch;

const POD: &str = "/kubepods.slice/kubepods-podde1a6329_6418_6796_dab8_4fcfae4d6c12.slice";

struct Proc {
    scratch: Scratch,
    host: u64,
}

impl Proc {
    fn new() -> Self {
        let proc = Self { scratch: Scratch::new(), host: facts::netns(std::process::id()) };
        proc.process(1, 0, "systemd", proc.host, "/init.scope");
        proc
    }

    fn process(&self, pid: u32, parent: u32, name: &str, netns: u64, cgroup: &str) {
        let started = 1000 + pid;
        let stat = format!("{pid} ({name}) S {parent} 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {started} 0 0");
        self.scratch.write(&format!("{pid}/stat"), &stat);
        self.scratch.write(&format!("{pid}/cgroup"), &format!("0::{cgroup}\n"));
        let namespaces = self.scratch.join(&format!("{pid}/ns"));
        fs::create_dir(&namespaces).unwrap();
        symlink(format!("net:[{netns}]"), namespaces.join("net")).unwrap();
    }

    fn node(&self) -> Node {
        look(Options { proc_root: self.scratch.path().to_owned(), ..Options::default() }, Depth::Holders).node
    }
}

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn by_id<'a>(node: &'a Node, id: &str) -> &'a Workload {
    node.workloads.iter().find(|workload| workload.id.as_deref() == Some(id)).unwrap()
}

#[test]
fn a_pod_is_one_netns_with_several_workloads() {
    let proc = Proc::new();
    let (pause, app) = (id('a'), id('b'));
    proc.process(90, 1, "containerd-shim", proc.host, "/system.slice/containerd.service");
    proc.process(100, 90, "pause", 7, &format!("{POD}/cri-containerd-{pause}.scope"));
    proc.process(110, 90, "nginx", 7, &format!("{POD}/cri-containerd-{app}.scope"));
    proc.process(111, 110, "nginx", 7, &format!("{POD}/cri-containerd-{app}.scope"));
    let node = proc.node();
    assert_eq!(node.workloads.len(), 2);
    let (pause, app) = (by_id(&node, &pause), by_id(&node, &app));
    assert_eq!((pause.pid, pause.role, pause.netns), (Some(100), Role::Sandbox, Some(7)));
    assert_eq!((app.pid, app.role, app.netns), (Some(110), Role::Container, Some(7)));
    assert_eq!((app.runtime.as_deref(), app.seen_by.as_slice()), (Some("containerd"), ["proc".to_owned()].as_slice()));
    assert_eq!(node.namespace(7).unwrap().netns.holders.len(), 3);
}

#[test]
fn the_first_process_is_the_one_that_came_from_outside() {
    let proc = Proc::new();
    let cgroup = format!("/docker/{}", id('c'));
    // PIDs wrapped around: the child's is lower, and what entered later (`docker exec`) is younger.
    proc.process(300, 1, "sh", 7, &cgroup);
    proc.process(50, 300, "worker", 7, &cgroup);
    proc.process(400, 1, "exec", 7, &cgroup);
    assert_eq!(by_id(&proc.node(), &id('c')).pid, Some(300));
}

#[test]
fn host_network_is_a_normal_answer() {
    let proc = Proc::new();
    proc.process(20, 1, "kube-proxy", proc.host, &format!("/docker/{}", id('d')));
    let node = proc.node();
    assert_eq!(by_id(&node, &id('d')).netns, Some(node.host_netns));
}

#[test]
fn a_monitor_is_not_the_container() {
    let proc = Proc::new();
    proc.process(20, 1, "conmon", proc.host, &format!("/machine.slice/libpod-conmon-{}.scope", id('e')));
    proc.process(21, 20, "web", 7, &format!("/machine.slice/libpod-{}.scope/container", id('e')));
    let node = proc.node();
    assert_eq!(node.workloads.len(), 1);
    assert_eq!(by_id(&node, &id('e')).pid, Some(21));
}

#[test]
fn kernel_threads_and_processes_that_ended_are_left_out() {
    let proc = Proc::new();
    proc.scratch.write("2/stat", "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 14 0");
    proc.scratch.write("30/stat", "30 (gone) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5 0 0");
    proc.scratch.write("40/stat", "");
    let node = proc.node();
    assert_eq!(node.workloads, []);
    let source = node.sources.iter().find(|source| source.name == "proc").unwrap();
    assert_eq!(source.detail.as_deref(), Some("1 process, 1 network namespace"));
}
