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
const OBJ_PIN: libc::c_int = 6;
pub const HASH: u32 = 1;
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

/// `attr` must be the struct that `command` expects.
fn bpf<T>(command: libc::c_int, attr: &mut T) -> libc::c_long {
    // SAFETY: the kernel reads and writes at most the size given, which is that of `attr`; the addresses inside it
    // are of buffers that the caller keeps alive, as long as the map's sizes say.
    #[expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    Errno::result(result).unwrap()
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
        let fd = bpf(MAP_CREATE, &mut Create { map_type: kind, key_size, value_size, max_entries: 256, map_flags });
        // SAFETY: the kernel has just made this descriptor for us.
        #[expect(unsafe_code, reason = "a descriptor comes out of bpf(2) as a number")]
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let name = CString::new(path.to_str().unwrap()).unwrap();
        let pathname = name.as_ptr().expose_provenance() as u64;
        bpf(OBJ_PIN, &mut Pin { pathname, bpf_fd: fd.as_raw_fd() as u32, ..Pin::default() });
        Self { fd, sizes }
    }

    pub fn insert(&self, key: &[u8], value: &[u8]) {
        assert_eq!((key.len(), value.len()), self.sizes);
        let (key, value) = (key.as_ptr().expose_provenance() as u64, value.as_ptr().expose_provenance() as u64);
        bpf(MAP_UPDATE_ELEM, &mut Element { map_fd: self.fd.as_raw_fd() as u32, key, value, ..Element::default() });
    }
}
