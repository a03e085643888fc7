//! BPF maps of a test's own, pinned on a BPF file system of its own.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};

use super::scratch::Scratch;

/// `enum bpf_cmd`, `enum bpf_map_type`.
const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_DELETE_ELEM: libc::c_int = 3;
const PROG_LOAD: libc::c_int = 5;
const OBJ_PIN: libc::c_int = 6;
const LINK_CREATE: libc::c_int = 28;
const LINK_DETACH: libc::c_int = 34;
pub const HASH: u32 = 1;
pub const ARRAY: u32 = 2;
pub const PROGRAM_ARRAY: u32 = 3;
pub const PERCPU_HASH: u32 = 5;
pub const LPM_TRIE: u32 = 11;
/// `BPF_F_NO_PREALLOC`, which tries need.
const NO_PREALLOC: u32 = 1;

#[repr(C)]
#[derive(Default)]
struct Create {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct Pin {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log: [u64; 2],
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct Link {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
    tcx: [u64; 3],
}

#[repr(C)]
struct Detach {
    link_fd: u32,
}

/// `attr` must be the struct that `command` expects.
fn bpf<T>(command: libc::c_int, attr: &mut T) -> libc::c_long {
    try_bpf(command, attr).unwrap()
}

fn try_bpf<T>(command: libc::c_int, attr: &mut T) -> nix::Result<libc::c_long> {
    // SAFETY: the kernel reads and writes at most the size given, which is that of `attr`; the addresses inside it
    // are of buffers that the caller keeps alive, as long as the map's sizes say.
    #[expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    Errno::result(result)
}

/// A BPF file system below the scratch directory, which unmounts it in the end.
pub fn mounted(scratch: &Scratch) -> PathBuf {
    let root = scratch.join("bpf");
    std::fs::create_dir(&root).unwrap();
    mount(Some("bpf"), &root, Some("bpf"), MsFlags::empty(), None::<&str>).unwrap();
    root
}

/// A map that is pinned as long as its file system is there.
pub struct Map {
    fd: OwnedFd,
    sizes: (usize, usize),
}

impl Map {
    /// Keys and values of these `sizes`.
    pub fn pinned(path: &Path, kind: u32, sizes: (usize, usize)) -> Self {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let map_flags = if kind == LPM_TRIE { NO_PREALLOC } else { 0 };
        let (key_size, value_size) = (sizes.0 as u32, sizes.1 as u32);
        // Slots are numbered by endpoints' ids.
        let max_entries = if kind == PROGRAM_ARRAY { 1 << 16 } else { 256 };
        let fd = bpf(MAP_CREATE, &mut Create { map_type: kind, key_size, value_size, max_entries, map_flags });
        // SAFETY: the kernel has just made this descriptor for us.
        #[expect(unsafe_code, reason = "a descriptor comes out of bpf(2) as a number")]
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let name = CString::new(path.to_str().unwrap()).unwrap();
        let pathname = name.as_ptr().expose_provenance() as u64;
        bpf(OBJ_PIN, &mut Pin { pathname, bpf_fd: fd.as_raw_fd() as u32, ..Pin::default() });
        Self { fd, sizes }
    }

    pub fn insert(&self, key: &[u8], value: &[u8]) {
        assert_eq!(key.len(), self.sizes.0);
        let (key, value) = (key.as_ptr().expose_provenance() as u64, value.as_ptr().expose_provenance() as u64);
        bpf(MAP_UPDATE_ELEM, &mut Element { map_fd: self.fd.as_raw_fd() as u32, key, value, ..Element::default() });
    }
}

impl Map {
    pub fn remove(&self, key: &[u8]) {
        let key = key.as_ptr().expose_provenance() as u64;
        bpf(MAP_DELETE_ELEM, &mut Element { map_fd: self.fd.as_raw_fd() as u32, key, ..Element::default() });
    }

    /// Of [`PROGRAM_ARRAY`].
    pub fn insert_program(&self, slot: u32, program: &OwnedFd) {
        self.insert(&slot.to_le_bytes(), &(program.as_raw_fd() as u32).to_le_bytes());
    }
}

/// A classifier of that name that has nothing to say (`TC_ACT_UNSPEC`).
pub fn classifier(name: &str) -> OwnedFd {
    const SCHED_CLS: u32 = 3;
    load(SCHED_CLS, name, -1)
}

/// An XDP program of that name that lets everything pass (`XDP_PASS`).
pub fn xdp(name: &str) -> OwnedFd {
    const XDP: u32 = 6;
    load(XDP, name, 2)
}

/// `r0 = verdict; exit`.
fn load(prog_type: u32, name: &str, verdict: i32) -> OwnedFd {
    let instructions: [u64; 2] = [0xb7 | u64::from(verdict.cast_unsigned()) << 32, 0x95];
    let license = *b"GPL\0";
    let mut prog_name = [0; 16];
    let known = name.len().min(15);
    prog_name[..known].copy_from_slice(&name.as_bytes()[..known]);
    let address = |pointer: *const u8| pointer.expose_provenance() as u64;
    let mut load = Load {
        prog_type,
        insn_cnt: 2,
        insns: address(instructions.as_ptr().cast()),
        license: address(license.as_ptr()),
        prog_name,
        ..Load::default()
    };
    let fd = bpf(PROG_LOAD, &mut load);
    // SAFETY: the kernel has just made this descriptor for us.
    #[expect(unsafe_code, reason = "a descriptor comes out of bpf(2) as a number")]
    unsafe {
        OwnedFd::from_raw_fd(fd as i32)
    }
}

/// The id and the tag of a program, as the kernel tells them beside the descriptor.
pub fn id_and_tag(program: &OwnedFd) -> (u32, String) {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).unwrap();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap();
    (field("prog_id").parse().unwrap(), field("prog_tag").to_owned())
}

/// How many values a map has that has one a CPU.
pub fn possible_cpus() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
    text.trim().rsplit(['-', ',']).next().unwrap().parse::<usize>().unwrap() + 1
}

pub fn pin(program: &OwnedFd, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let pathname = name.as_ptr().expose_provenance() as u64;
    bpf(OBJ_PIN, &mut Pin { pathname, bpf_fd: program.as_raw_fd() as u32, ..Pin::default() });
}

/// A program that is attached until this is dropped.
pub struct Attached(OwnedFd);

/// Not when the kernel closes the link: a program that another thread of the test is just starting has it open, too, until it executes.
impl Drop for Attached {
    fn drop(&mut self) {
        // The interface may be gone, and what was attached with it.
        let _ = try_bpf(LINK_DETACH, &mut Detach { link_fd: self.0.as_raw_fd() as u32 });
    }
}

/// What comes in by an interface of this thread's namespace; None where the kernel has no tcx.
pub fn attach_tcx(program: &OwnedFd, ifindex: u32) -> Option<Attached> {
    const TCX_INGRESS: u32 = 46;
    let mut link = Link {
        prog_fd: program.as_raw_fd() as u32,
        target_ifindex: ifindex,
        attach_type: TCX_INGRESS,
        ..Link::default()
    };
    let fd = try_bpf(LINK_CREATE, &mut link).ok()?;
    // SAFETY: the kernel has just made this descriptor for us.
    #[expect(unsafe_code, reason = "a descriptor comes out of bpf(2) as a number")]
    Some(Attached(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}
