//! Reading pinned BPF maps, by plain calls to bpf(2): opened read-only, looked up, never written.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use super::bpf::{InfoByFd, OBJ_GET_INFO_BY_FD, bpf, owned};

/// `enum bpf_cmd`.
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_GET_NEXT_KEY: libc::c_int = 4;
const OBJ_GET: libc::c_int = 7;
/// `BPF_F_RDONLY`.
const READ_ONLY: u32 = 1 << 3;
/// `enum bpf_map_type`: those whose values are one value …
const HASH: u32 = 1;
const ARRAY: u32 = 2;
/// (a program's id, as it is read)
const PROGRAM_ARRAY: u32 = 3;
const LRU_HASH: u32 = 9;
const LPM_TRIE: u32 = 11;
/// … and one whose values are one for each CPU that the machine may have.
const PER_CPU_HASH: u32 = 5;
/// No key or value of Cilium's is longer; what claims to be is not read.
const LONGEST: u32 = 4096;

/// The head of `union bpf_attr` for `BPF_OBJ_GET`.
#[repr(C)]
#[derive(Default)]
struct Get {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// … for `BPF_MAP_LOOKUP_ELEM` and `BPF_MAP_GET_NEXT_KEY`.
#[repr(C)]
#[derive(Default)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The head of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
struct MapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    name: [u8; 16],
}

/// A map that is open for reading.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    pub key_size: usize,
    /// Of one value, also where there is one a CPU.
    pub value_size: usize,
    /// What the kernel writes for a key.
    room: usize,
    max_entries: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open the map {path}")]
    Open { path: String, source: io::Error },
    #[error("{path} is no BPF map")]
    NoMap { path: String },
    #[error(
        "the map {path} is of a kind that podnet does not read (type {kind}, keys of {key_size} and values of {value_size} bytes)"
    )]
    Kind { path: String, kind: u32, key_size: u32, value_size: u32 },
    #[error("cannot read the map {path}")]
    Read { path: String, source: io::Error },
}

impl Map {
    /// One with a value a key.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::of_kinds(path, &[HASH, ARRAY, PROGRAM_ARRAY, LRU_HASH, LPM_TRIE])
    }

    /// One with a value a key and CPU.
    pub fn open_by_cpu(path: &Path) -> Result<Self, Error> {
        Self::of_kinds(path, &[PER_CPU_HASH])
    }

    fn of_kinds(path: &Path, kinds: &[u32]) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let failed = |source: io::Error| Error::Open { path: shown.clone(), source };
        let name = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other).map_err(failed)?;
        let pathname = name.as_ptr().expose_provenance() as u64;
        let fd = bpf(OBJ_GET, &mut Get { pathname, file_flags: READ_ONLY, ..Get::default() });
        let fd = owned(fd.map_err(|errno| failed(errno.into()))?);
        // A program or a link can be pinned under any name, and would answer the next question with its own.
        let kind = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(failed)?;
        if kind.as_os_str() != "anon_inode:bpf-map" {
            return Err(Error::NoMap { path: shown });
        }
        let mut info = MapInfo::default();
        let mut question = InfoByFd {
            bpf_fd: fd.as_raw_fd() as u32,
            info_len: size_of::<MapInfo>() as u32,
            info: std::ptr::from_mut(&mut info).expose_provenance() as u64,
        };
        bpf(OBJ_GET_INFO_BY_FD, &mut question).map_err(|errno| failed(errno.into()))?;
        let MapInfo { kind, key_size, value_size, max_entries, .. } = info;
        // Of other kinds the kernel might write more than we have room for.
        if !kinds.contains(&kind) || key_size > LONGEST || value_size > LONGEST {
            return Err(Error::Kind { path: shown, kind, key_size, value_size });
        }
        let value_size = value_size as usize;
        let room = match kind {
            PER_CPU_HASH => padded(value_size) * possible_cpus().map_err(failed)?,
            _ => value_size,
        };
        Ok(Self { fd, key_size: key_size as usize, value_size, room, max_entries })
    }

    /// The values of each CPU, out of what was read for a key.
    pub fn by_cpu<'v>(&self, value: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
        let size = self.value_size;
        value.chunks(padded(size).max(1)).filter_map(move |chunk| chunk.get(..size))
    }

    /// The value of a key that is as long as the map's are.
    pub fn lookup(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if key.len() != self.key_size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut value = vec![0; self.room];
        match self.ask(MAP_LOOKUP_ELEM, Some(key), &mut value) {
            Ok(()) => Ok(Some(value)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// All entries, by key. The map may change meanwhile: what is deleted as we stand on it makes the kernel begin
    /// again, so what was seen counts once, and there is an end to it.
    pub fn entries(&self) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut last: Option<Vec<u8>> = None;
        for _ in 0..=self.max_entries {
            let mut next = vec![0; self.key_size];
            match self.ask(MAP_GET_NEXT_KEY, last.as_deref(), &mut next) {
                Ok(()) => {}
                Err(Errno::ENOENT) => break,
                Err(errno) => return Err(errno.into()),
            }
            if let Some(value) = self.lookup(&next)? {
                found.insert(next.clone(), value);
            }
            last = Some(next);
        }
        Ok(found)
    }

    /// `answer` must be as long as what the kernel writes: a value for a lookup, a key for the next one.
    fn ask(&self, command: libc::c_int, key: Option<&[u8]>, answer: &mut [u8]) -> Result<(), Errno> {
        let key = key.map_or(0, |key| key.as_ptr().expose_provenance() as u64);
        let value = answer.as_mut_ptr().expose_provenance() as u64;
        bpf(command, &mut Element { map_fd: self.fd.as_raw_fd() as u32, key, value, ..Element::default() }).map(drop)
    }
}

/// Values a CPU begin at multiples of 8 bytes.
fn padded(size: usize) -> usize {
    size.next_multiple_of(8)
}

/// How many CPUs the kernel keeps room for, also for those that are off.
fn possible_cpus() -> io::Result<usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = text.trim().rsplit([',', '-']).next().and_then(|number| number.parse::<usize>().ok());
    last.map(|last| last + 1).ok_or_else(|| io::Error::other(format!("«{}» is no list of CPUs", text.trim())))
}
