//! The few questions to bpf(2) that no crate asks: what hangs on an ifindex, and what a program is called.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use crate::model::bpf::{Attachment, Hook};

/// `enum bpf_cmd`.
const PROG_GET_FD_BY_ID: libc::c_int = 13;
pub(super) const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const PROG_QUERY: libc::c_int = 16;
/// `enum bpf_attach_type`: tcx since Linux 6.6, netkit since 6.7.
const HOOKS: [(u32, Hook); 4] =
    [(46, Hook::TcxIngress), (47, Hook::TcxEgress), (54, Hook::NetkitPrimary), (55, Hook::NetkitPeer)];
/// More programs on one hook than `BPF_MPROG_MAX` allows.
const MOST: usize = 64;

/// The head of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
#[derive(Default)]
struct Query {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_count: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// … for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// … for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(Default)]
pub(super) struct InfoByFd {
    pub bpf_fd: u32,
    pub info_len: u32,
    pub info: u64,
}

/// The head of `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    xlated_len: u32,
    jited_insns: u64,
    xlated_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// `attr` must be the struct that `command` expects.
pub(super) fn bpf<T>(command: libc::c_int, attr: &mut T) -> Result<libc::c_long, Errno> {
    // SAFETY: the kernel reads and writes at most the size given, which is that of `attr`; the
    // addresses inside it are of buffers that the caller keeps alive, with their lengths beside them.
    #[expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    Errno::result(result)
}

/// Programs attached by tcx or netkit to an interface of the calling thread's netns. ENOENT says that nothing
/// is, EINVAL that the kernel has no such hook, ENODEV or EACCES that the device is of another kind.
pub fn attached(ifindex: u32) -> io::Result<Vec<Attachment>> {
    let mut found = Vec::new();
    for (attach_type, hook) in HOOKS {
        let mut ids = [0u32; MOST];
        let prog_ids = std::ptr::from_mut(&mut ids).expose_provenance() as u64;
        let mut query =
            Query { target_ifindex: ifindex, attach_type, prog_ids, prog_count: MOST as u32, ..Query::default() };
        match bpf(PROG_QUERY, &mut query) {
            Ok(_) => {
                let known = ids.iter().take(query.prog_count as usize).filter(|id| **id != 0);
                found.extend(known.map(|&id| Attachment { hook, name: None, id, tag: None, preference: None }));
            }
            Err(Errno::EPERM) => return Err(Errno::EPERM.into()),
            Err(_) => {}
        }
    }
    Ok(found)
}

/// `bpf_prog_info.name` (cut at 15 characters) and `.tag`.
pub fn name_and_tag(id: u32) -> io::Result<(String, String)> {
    let fd = bpf(PROG_GET_FD_BY_ID, &mut ById { id, ..ById::default() })?;
    let program = owned(fd);
    let mut info = ProgramInfo::default();
    let mut question = InfoByFd {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: size_of::<ProgramInfo>() as u32,
        info: std::ptr::from_mut(&mut info).expose_provenance() as u64,
    };
    bpf(OBJ_GET_INFO_BY_FD, &mut question)?;
    let name = info.name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok((String::from_utf8_lossy(name).into_owned(), hexadecimal(&info.tag)))
}

/// A descriptor that bpf(2) has just given.
pub(super) fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us.
    #[expect(unsafe_code, reason = "a descriptor comes out of bpf(2) as a number")]
    unsafe {
        OwnedFd::from_raw_fd(fd as i32)
    }
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Putting programs in place, for the tests of what reads them.
#[cfg(test)]
pub mod loading {
    use super::*;

    const PROG_LOAD: libc::c_int = 5;
    const OBJ_PIN: libc::c_int = 6;
    const LINK_CREATE: libc::c_int = 28;
    const TCX_INGRESS: u32 = 46;

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
    struct Pin {
        pathname: u64,
        bpf_fd: u32,
        file_flags: u32,
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

    fn address<T>(value: &T) -> u64 {
        std::ptr::from_ref(value).expose_provenance() as u64
    }

    /// A program of two instructions: `r0 = verdict; exit`.
    pub fn load(prog_type: u32, name: &str, verdict: i32) -> OwnedFd {
        let instructions: [u64; 2] = [0xb7 | (verdict as u32 as u64) << 32, 0x95];
        let license = *b"GPL\0";
        let mut prog_name = [0; 16];
        prog_name[..name.len()].copy_from_slice(name.as_bytes());
        let mut load = Load {
            prog_type,
            insn_cnt: 2,
            insns: address(&instructions),
            license: address(&license),
            prog_name,
            ..Load::default()
        };
        owned(bpf(PROG_LOAD, &mut load).unwrap())
    }

    pub fn pin(program: &OwnedFd, path: &str) {
        let path = std::ffi::CString::new(path).unwrap();
        let pathname = path.as_ptr().expose_provenance() as u64;
        bpf(OBJ_PIN, &mut Pin { pathname, bpf_fd: program.as_raw_fd() as u32, ..Pin::default() }).unwrap();
    }

    pub fn attach_tcx(program: &OwnedFd, ifindex: u32) -> OwnedFd {
        let mut link = Link {
            prog_fd: program.as_raw_fd() as u32,
            target_ifindex: ifindex,
            attach_type: TCX_INGRESS,
            ..Link::default()
        };
        owned(bpf(LINK_CREATE, &mut link).unwrap())
    }
}
