//! No space, no descriptors, no right to write: a clear error, and nothing lost or half-written.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use podnet::ipam::{Error, Store};

use crate::store::{owner, pool, request, store};

/// A tmpfs for one test, gone with it.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// `None` where this user may not mount.
    fn new(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = mount(Some("podnet-test"), directory.path(), Some("tmpfs"), MsFlags::empty(), Some(options));
        mounted.ok().map(|()| Self(directory))
    }

    fn remount(&self, flags: MsFlags) {
        let flags = MsFlags::MS_REMOUNT | flags;
        mount(None::<&str>, self.0.path(), None::<&str>, flags, None::<&str>).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

fn cause(error: &Error) -> Option<i32> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(code) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(code);
        }
        source = error.source();
    }
    None
}

/// Every file says who holds it, and the containers are those.
fn holders(store: &Store) -> Vec<String> {
    let held = store.held().unwrap().into_iter();
    let mut holders: Vec<String> = held.map(|held| held.reservation.holder.unwrap().container_id).collect();
    holders.sort();
    holders
}

#[test]
fn a_full_disk_is_named_and_half_writes_nothing() {
    // Inodes run out first, at another step of the reservation each time.
    for inodes in 12..40 {
        let Some(disk) = Tmpfs::new(&format!("size=1m,nr_inodes={inodes}")) else {
            eprintln!("skipped: this user may not mount a tmpfs");
            return;
        };
        let store = Store::open(disk.0.path());
        let mut given = Vec::new();
        let refused = loop {
            let container = format!("c{:02}", given.len());
            match store.reserve(&request("default", &container)) {
                Ok(_) => given.push(container),
                Err(error) => break error,
            }
        };
        assert_eq!(cause(&refused), Some(nix::libc::ENOSPC), "{refused:?}");
        let twice: Vec<String> = given.iter().flat_map(|name| [name.clone(), name.clone()]).collect();
        assert_eq!(holders(&store), twice, "{inodes} inodes");
        for container in &given {
            assert_eq!(store.release(&owner(container)).unwrap().len(), 2, "{inodes} inodes");
        }
    }
}

#[test]
fn a_disk_without_a_byte_left_leaves_no_empty_file() {
    let Some(disk) = Tmpfs::new("size=64k") else { return eprintln!("skipped: this user may not mount a tmpfs") };
    let store = Store::open(disk.0.path());
    store.reserve(&request("default", "first")).unwrap();
    let mut filler = fs::File::create(disk.0.path().join("filler")).unwrap();
    while io::Write::write_all(&mut filler, &[1]).is_ok() {}
    let refused = store.reserve(&request("default", "second")).unwrap_err();
    assert_eq!(cause(&refused), Some(nix::libc::ENOSPC), "{refused:?}");
    assert_eq!(holders(&store), ["first", "first"]);
    drop(filler);
    fs::remove_file(disk.0.path().join("filler")).unwrap();
    store.reserve(&request("default", "second")).unwrap();
}

#[test]
fn a_read_only_disk_can_be_read_and_says_so_when_written() {
    let Some(disk) = Tmpfs::new("size=1m") else { return eprintln!("skipped: this user may not mount a tmpfs") };
    let store = Store::open(disk.0.path());
    store.reserve(&request("default", "first")).unwrap();
    disk.remount(MsFlags::MS_RDONLY);
    let refused = store.reserve(&request("default", "second")).unwrap_err();
    assert_eq!(cause(&refused), Some(nix::libc::EROFS), "{refused:?}");
    assert_eq!(cause(&store.release(&owner("first")).unwrap_err()), Some(nix::libc::EROFS));
    assert_eq!(holders(&store), ["first", "first"]);
    assert_eq!(store.lease(&owner("first")).unwrap().addresses.len(), 2);
    disk.remount(MsFlags::empty());
    assert_eq!(store.release(&owner("first")).unwrap().len(), 2);
}

const ROOT: &str = "PODNET_TEST_IPAM_STARVED";

/// Not a test of its own: `without_descriptors…` runs it, with fewer descriptors each time.
#[test]
fn starved_child() {
    let Ok(root) = std::env::var(ROOT) else { return };
    let store = Store::open(Path::new(&root));
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64.min(most), most).unwrap();
    for spare in (0..8).rev() {
        let mut taken: Vec<fs::File> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        taken.truncate(taken.len() - spare);
        let outcome = store.reserve(&request("blue", &format!("c{spare}")));
        drop(taken);
        match outcome {
            Ok(_) => assert_eq!(store.release(&owner(&format!("c{spare}"))).unwrap().len(), 1),
            Err(error) => {
                assert_eq!(cause(&error), Some(nix::libc::EMFILE), "{error:?}");
                assert!(holders(&store).is_empty(), "{spare} descriptors");
                println!("refused with {spare}");
            }
        }
    }
}

#[test]
fn without_descriptors_it_says_so_and_holds_nothing() {
    let (root, _store) = store(&[pool("blue", &["10.7.0.0/24"])]);
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "faults::starved_child", "--nocapture"]).env(ROOT, root.path());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told} {}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("refused with 0"), "{told}");
}
