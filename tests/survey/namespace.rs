//! Namespaces that are held in every way there is.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use podnet::collect::options::{Depth, Options, Runtimes};
use podnet::collect::survey::{Survey, survey};
use podnet::model::netns::{Holder, HolderKind, Netns};
use podnet::model::workload::{Role, State};
use serde_json::json;

use crate::resident::Resident;
use crate::support::facts;
use crate::support::host::names;
use crate::support::podnet::{Podnet, source};
use crate::support::prerequisite::root_and;
use crate::support::scratch::Scratch;
use crate::support::shell::{run, wait_for};

pub fn look(options: Options, depth: Depth) -> Survey {
    let options = Options { runtimes: Runtimes::None, ..options };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(survey(&options, depth))
}

fn netns(survey: &Survey, inode: u64) -> &Netns {
    &survey.node.namespace(inode).unwrap_or_else(|| panic!("{inode} was not found")).netns
}

/// A netns that nothing but a mount at `path` holds.
fn mounted(scratch: &Scratch, name: &str) -> (String, u64) {
    scratch.write(name, "");
    let path = scratch.text(name);
    run("unshare", &[&format!("--net={path}"), "true"]);
    let inode = facts::inode(&path);
    (path, inode)
}

#[test]
fn of_a_process_alone() {
    if !root_and(&["unshare"]) {
        return;
    }
    let resident = Resident::start("unshare", &["-n", "sleep", "infinity"]);
    let inode = facts::netns(resident.pid());
    let survey = look(Options::default(), Depth::AllLinks);
    let found = netns(&survey, inode);
    let holder = Holder {
        kind: HolderKind::Process,
        pid: Some(resident.pid()),
        process: Some("sleep".into()),
        container: None,
        path: None,
    };
    assert_eq!((of_one(found, resident.pid()), found.is_host, found.owner_user_ns), (vec![&holder], false, None));
    assert_eq!(survey.node.namespace(inode).unwrap().links.first().unwrap().name, "lo");
    let workload = survey.node.workloads.iter().find(|workload| workload.netns == Some(inode)).unwrap();
    assert_eq!((workload.role, workload.state, workload.pid), (Role::Process, State::Running, Some(resident.pid())));
}

/// Those of one process. A test beside this one, in this run or another, may have the namespace open for a moment, or
/// have cloned the mount namespace that it is mounted in.
fn of_one(netns: &Netns, pid: u32) -> Vec<&Holder> {
    netns.holders.iter().filter(|holder| holder.pid == Some(pid)).collect()
}

fn ip_inside(netns: &str, words: &str) {
    let net = format!("--net={netns}");
    run("nsenter", &[&[net.as_str(), "ip"], &words.split(' ').collect::<Vec<_>>()[..]].concat());
}

/// Gives it an `eth0`, of which the host has the other end.
fn pair_with_host(netns: &str, end: &str) {
    ip_inside(netns, &format!("link add eth0 type veth peer name {end}"));
    ip_inside(netns, &format!("link set {end} netns {}", std::process::id()));
}

/// Told from outside, where the host has a link in common with them, whatever leads to them; else seen from inside.
#[test]
fn with_their_addresses_alone() {
    if !root_and(&["ip", "nsenter", "unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    let [lived_in, lone] = [(); 2].map(|()| Resident::start("unshare", &["-n", "sleep", "infinity"]));
    let (mount, mounted) = mounted(&scratch, "a netns");
    let paths = [format!("/proc/{}/ns/net", lived_in.pid()), mount, format!("/proc/{}/ns/net", lone.pid())];
    for (nth, path) in paths.iter().enumerate() {
        if nth < 2 {
            pair_with_host(path, &format!("pnt{}{nth}", lone.pid()));
        }
        let device = if nth < 2 { "eth0" } else { "lo" };
        ip_inside(path, &format!("addr add 10.97.{nth}.2/32 dev {device}"));
    }
    let survey = look(Options::default(), Depth::Addresses);
    let seen = [facts::netns(lived_in.pid()), mounted, facts::netns(lone.pid())].map(|inode| {
        let state = survey.node.namespace(inode).unwrap();
        let (told, entered) = (state.addresses.iter().flatten(), state.links.iter().flat_map(|link| &link.addresses));
        let addresses: Vec<String> = told.chain(entered).map(|address| address.address.to_string()).collect();
        (addresses, state.links.len(), state.was_read())
    });
    let expected = [(0, 0), (1, 0), (2, 1)].map(|(nth, links)| (vec![format!("10.97.{nth}.2")], links, true));
    assert_eq!(seen, expected);
}

#[test]
fn more_of_them_than_podnet_may_have_open() {
    if !root_and(&["ip", "nsenter", "prlimit", "unshare"]) {
        return;
    }
    let residents: Vec<Resident> = (0..40).map(|_| Resident::start("unshare", &["-n", "sleep", "infinity"])).collect();
    for (nth, resident) in residents.iter().take(20).enumerate() {
        let path = format!("/proc/{}/ns/net", resident.pid());
        pair_with_host(&path, &format!("pnt{}", resident.pid()));
        ip_inside(&path, &format!("addr add 10.96.{nth}.2/32 dev eth0"));
    }
    let podnet = Podnet::default().through(&["prlimit", "--nofile=48:48"]);
    let list = podnet.json(&["list", "--runtime", "none"]);
    let items = list["items"].as_array().unwrap();
    for (nth, resident) in residents.iter().enumerate() {
        let item = items.iter().find(|item| item["workload"]["pid"] == resident.pid());
        let addresses = &item.unwrap_or_else(|| panic!("{nth} is not listed"))["addresses"];
        let told = if nth < 20 { json!([format!("10.96.{nth}.2")]) } else { json!([]) };
        assert_eq!(*addresses, told, "{nth}");
    }
    assert!(source(&list, "kernel")["detail"].as_str().unwrap().contains("could not be read"), "{}", list["sources"]);
}

#[test]
fn of_a_mount_alone() {
    if !root_and(&["unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    let (path, inode) = mounted(&scratch, "a netns");
    let survey = look(Options::default(), Depth::AllLinks);
    let found = netns(&survey, inode);
    assert_eq!(found.paths, [path]);
    let [holder] = found.holders.iter().filter(|holder| holder.pid.is_none()).collect::<Vec<_>>()[..] else {
        panic!("{found:?}")
    };
    assert_eq!(holder.kind, HolderKind::Mount);
    assert!(found.holders.iter().all(|holder| holder.kind != HolderKind::Process), "{found:?}");
    assert_eq!(survey.node.namespace(inode).unwrap().links.len(), 1, "it was entered");
    assert!(survey.node.workloads.iter().all(|workload| workload.netns != Some(inode)));
}

#[test]
fn of_an_open_descriptor_alone() {
    if !root_and(&["unshare", "bash"]) {
        return;
    }
    let scratch = Scratch::new();
    let (path, inode) = mounted(&scratch, "netns");
    let resident = Resident::start("bash", &["-c", "exec 7<$0 8<$0; exec sleep infinity", &path]);
    umount2(path.as_str(), MntFlags::MNT_DETACH).unwrap();
    let survey = look(Options::default(), Depth::AllLinks);
    let found = netns(&survey, inode);
    let [holder] = of_one(found, resident.pid())[..] else { panic!("{found:?}") };
    assert_eq!((holder.kind, holder.pid), (HolderKind::Fd, Some(resident.pid())));
    let fd = holder.path.as_deref().unwrap();
    assert!([7, 8].iter().any(|number| fd == format!("/proc/{}/fd/{number}", resident.pid())), "{fd}");
    assert_eq!(survey.node.namespace(inode).unwrap().links.len(), 1, "it was entered");
}

#[test]
fn of_a_mount_elsewhere_alone() {
    if !root_and(&["unshare", "bash"]) {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.write("netns", "");
    let show = scratch.write("inode", "");
    let script = "unshare --net=$0 true; stat -c %i $0 > $1; exec sleep infinity";
    let (path, show) = (path.to_str().unwrap(), show.to_str().unwrap());
    let resident = Resident::start("unshare", &["-m", "bash", "-c", script, path, show]);
    let inode = std::fs::read_to_string(show).unwrap().trim().parse().unwrap();
    let survey = look(Options::default(), Depth::AllLinks);
    let found = netns(&survey, inode);
    let [holder] = of_one(found, resident.pid())[..] else { panic!("{found:?}") };
    assert_eq!((holder.kind, holder.pid), (HolderKind::ForeignMount, Some(resident.pid())));
    assert_eq!((holder.path.as_deref(), found.paths.len()), (Some(path), 0));
    assert_eq!(survey.node.namespace(inode).unwrap().links.len(), 1, "it was entered");
}

/// Another one than its process is in, until it is dropped.
struct Elsewhere {
    /// `/proc/PID/task/TID/ns/net`.
    path: String,
    stay: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Elsewhere {
    fn go() -> Self {
        let (stay, leave) = channel();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            tell.send(nix::unistd::gettid()).unwrap();
            let _ = leave.recv();
        });
        let path = format!("/proc/{}/task/{}/ns/net", std::process::id(), told.recv().unwrap());
        Self { path, stay: Some(stay), thread: Some(thread) }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.stay.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn of_a_thread_alone() {
    if !root_and(&["ip", "nsenter"]) {
        return;
    }
    let thread = Elsewhere::go();
    let (inode, end) = (facts::inode(&thread.path), format!("pnt{}t", std::process::id()));
    // A test beside this one may have it open for a moment, and it is found by that.
    let by_thread = |target: &str| {
        wait_for("nothing but the thread to hold it", Duration::from_secs(20), || {
            let document = Podnet::default().json(&["inspect", target, "--runtime", "none"]);
            assert_eq!(document["netns"]["inode"], inode, "{target}");
            let [holder] = document["netns"]["holders"].as_array()?.as_slice() else { return None };
            (holder["kind"] == "thread" && holder["path"] == thread.path).then_some(document)
        })
    };
    // Who names it finds it, though nothing on the host tells that there is one.
    for target in [thread.path.clone(), format!("netns:{inode}"), inode.to_string()] {
        assert_eq!(by_thread(&target)["interfaces"][0]["name"], "lo", "{target}");
        let ran = Podnet::default().run(&["exec", &target, "--runtime", "none", "--", "readlink", "/proc/self/ns/net"]);
        assert_eq!(ran.stdout, format!("net:[{inode}]\n"), "{target}");
    }
    pair_with_host(&thread.path, &end);
    ip_inside(&thread.path, "addr add 10.95.0.2/32 dev eth0");
    let document = by_thread(&end);
    let eth0 = document["interfaces"].as_array().unwrap().iter().find(|link| link["name"] == "eth0").unwrap();
    assert_eq!((&eth0["peer"]["verdict"], &eth0["peer"]["name"]), (&json!("confirmed"), &json!(end)));
    let list = Podnet::default().json(&["list", "--runtime", "none"]);
    let row = list["items"].as_array().unwrap().iter().find(|row| row["netns"]["inode"] == inode).unwrap();
    assert_eq!((&row["addresses"], &row["hostInterface"]), (&json!(["10.95.0.2"]), &json!(end)));
    let survey = look(Options::default(), Depth::AllLinks);
    assert!(netns(&survey, inode).nsid.is_some() && survey.handle(inode).is_some());
}

/// As while a process that was killed waits for a disk: nsenter(1) finds nothing by its number.
#[test]
fn of_a_process_whose_first_thread_has_ended() {
    if !root_and(&["cc", "unshare"]) {
        return;
    }
    let scratch = Scratch::new();
    let source = scratch.write(
        "lives-on.c",
        "#include <pthread.h>\n#include <unistd.h>\n\
         static void *stay(void *nothing) { for (;;) pause(); return nothing; }\n\
         int main(void) { pthread_t thread; pthread_create(&thread, 0, stay, 0); pthread_exit(0); }\n",
    );
    let program = scratch.text("lives-on");
    run("cc", &["-pthread", "-o", &program, source.to_str().unwrap()]);
    let resident = Resident::until("unshare", &["-n", &program], |pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.contains("(lives-on) Z")
    });
    let threads = names(Path::new(&format!("/proc/{}/task", resident.pid())));
    let alive = threads.into_iter().find(|thread| *thread != resident.pid().to_string()).unwrap();
    let inode = facts::inode(format!("/proc/{alive}/ns/net"));
    let survey = look(Options::default(), Depth::AllLinks);
    let holder = of_one(netns(&survey, inode), resident.pid())[0].clone();
    assert_eq!((holder.kind, holder.process.as_deref()), (HolderKind::Process, Some("lives-on")));
    assert!(survey.node.namespace(inode).unwrap().was_read());
    drop(survey);
    let pid = resident.pid().to_string();
    let document = Podnet::default().json(&["inspect", &pid, "--runtime", "none"]);
    assert_eq!((&document["workload"]["pid"], &document["netns"]["inode"]), (&json!(resident.pid()), &json!(inode)));
    assert!(document["dns"].is_object() && document["dns"].get("problems").is_none(), "{}", document["dns"]);
    let ran =
        Podnet::default().run(&["exec", &pid, "--runtime", "none", "--dns", "--", "readlink", "/proc/self/ns/net"]);
    assert_eq!(ran.stdout, format!("net:[{inode}]\n"), "{}", ran.stderr);
}

#[test]
fn of_another_user_namespace() {
    if !root_and(&["unshare"]) {
        return;
    }
    let resident = Resident::start("unshare", &["-Urn", "sleep", "infinity"]);
    let survey = look(Options::default(), Depth::Holders);
    let found = netns(&survey, facts::netns(resident.pid()));
    assert_eq!(found.owner_user_ns, Some(facts::inode(format!("/proc/{}/ns/user", resident.pid()))));
}

#[test]
fn of_several_processes_opened_once() {
    if !root_and(&["unshare", "nsenter"]) {
        return;
    }
    let first = Resident::start("unshare", &["-n", "sleep", "infinity"]);
    let pid = first.pid().to_string();
    let second = Resident::start("nsenter", &["-t", &pid, "-n", "sleep", "infinity"]);
    let inode = facts::netns(first.pid());
    let survey = look(Options::default(), Depth::Holders);
    let holders = netns(&survey, inode).holders.iter().filter(|holder| holder.kind == HolderKind::Process);
    let mut pids: Vec<_> = holders.filter_map(|holder| holder.pid).collect();
    pids.sort_unstable();
    let mut expected = vec![first.pid(), second.pid()];
    expected.sort_unstable();
    assert_eq!(pids, expected);
    let workloads = survey.node.workloads.iter().filter(|workload| workload.netns == Some(inode));
    let pids: Vec<_> = workloads.filter_map(|workload| workload.pid).collect();
    assert_eq!(pids, [first.pid()], "the oldest speaks for the namespace");
}

#[test]
fn the_hosts_own() {
    let survey = look(Options::default(), Depth::HostLinks);
    // The tests run in it.
    let host = netns(&survey, facts::netns(std::process::id()));
    assert!(host.is_host);
    assert_eq!(survey.node.host_netns, host.inode);
    assert!(host.holders.iter().all(|holder| holder.kind != HolderKind::Process), "{:?}", host.holders);
    assert_eq!(survey.node.namespaces.iter().filter(|state| state.netns.is_host).count(), 1);
}
