//! Paths that lead elsewhere than they say, or nowhere.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use podnet::collect::options::{Depth, Options};
use podnet::netns::{Error, Handle};

use crate::namespace::look;
use crate::support::prerequisite::{root_and, skip};
use crate::support::scratch::Scratch;

#[test]
fn another_netns_than_the_one_found_is_not_kept() {
    let proc = Scratch::new();
    let fifo = proc.join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let mounts = [(123, "/proc/self/ns/net"), (124, fifo.to_str().unwrap()), (125, "/nowhere")];
    let line = |(inode, path): (u32, &str)| format!("36 35 0:4 net:[{inode}] {path} rw - nsfs nsfs rw\n");
    proc.write("self/mountinfo", &mounts.map(line).concat());
    let survey = look(Options { proc_root: proc.path().to_owned(), ..Options::default() }, Depth::AllLinks);
    for (inode, path) in mounts {
        let state = survey.node.namespace(inode.into()).unwrap();
        assert_eq!(state.netns.paths, [path]);
        assert!(survey.handle(inode.into()).is_none(), "{path}");
        assert_eq!(state.problems.len(), 1, "a missing answer is never shown as an empty one");
    }
}

#[test]
fn a_link_does_not_lead_out_of_somebody_elses_root() {
    let scratch = Scratch::new();
    symlink("/proc/self/ns/net", scratch.join("out")).unwrap();
    let refused = Handle::open_below(scratch.path(), Path::new("/out"));
    assert!(matches!(refused, Err(Error::Open { .. })), "{refused:?}");
}

#[test]
fn a_file_system_that_never_answers_is_not_waited_for() {
    if !root_and(&[]) {
        return;
    }
    let Ok(server) = OpenOptions::new().read(true).write(true).open("/dev/fuse") else {
        skip("no /dev/fuse");
        return;
    };
    let scratch = Scratch::new();
    let root = scratch.path().to_owned();
    std::fs::create_dir(root.join("fuse")).unwrap();
    serve_nothing(&server, &root.join("fuse"));
    let (told, answer) = channel();
    let opener = std::thread::spawn(move || {
        let outcome = Handle::open_below(&root, Path::new("/fuse/netns"));
        told.send(outcome.map(drop)).unwrap();
    });
    let answer = answer.recv_timeout(Duration::from_secs(5));
    drop(server); // ends the file system, and whoever waits for it
    opener.join().unwrap();
    assert!(matches!(answer, Ok(Err(Error::Open { .. }))), "{answer:?}");
}

fn serve_nothing(server: &File, target: &Path) {
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
    mount(Some("fuse"), target, Some("fuse"), MsFlags::empty(), Some(options.as_str())).unwrap();
}
