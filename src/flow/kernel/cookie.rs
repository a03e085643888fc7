//! The cookie of a netns: the number by which BPF programs know it (`SO_NETNS_COOKIE`, Linux 5.14).

use std::io;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `SO_NETNS_COOKIE` (asm-generic/socket.h).
const NETNS_COOKIE: libc::c_int = 71;

/// Of the calling thread's netns.
pub fn own() -> io::Result<u64> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let mut cookie: u64 = 0;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `cookie`, which has as many.
    #[expect(unsafe_code, reason = "getsockopt(2) of an option that no crate knows")]
    let result = unsafe {
        let place = std::ptr::from_mut(&mut cookie).cast::<libc::c_void>();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, NETNS_COOKIE, place, &mut length)
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}
