//! An order to the kernel that another process gives, and waits for.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

/// Where the errno stands in an acknowledgement: behind `struct nlmsghdr`.
const ERRNO: std::ops::Range<usize> = 16..20;

/// A process that was sent with one order. It lives until the kernel has carried it out, whatever becomes of podnet,
/// and has nothing of podnet's open (locks, the runtime's pipes).
pub struct Errand {
    answer: OwnedFd,
}

impl Errand {
    /// Sends a whole rtnetlink message that asks for an acknowledgement, from the netns of the calling thread.
    pub fn run(message: &[u8]) -> io::Result<Self> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        let (answer, tell) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        // SAFETY: until it ends, the child makes plain system calls on memory that was there before; it allocates
        // nothing and takes no lock that another thread may have held.
        #[expect(unsafe_code, reason = "fork(2) has no safe wrapper")]
        match unsafe { fork() }? {
            ForkResult::Parent { child } => drop(waitpid(child, None)),
            // Not podnet's own child: a caller that lives on would have to wait for it.
            #[expect(unsafe_code, reason = "as above")]
            ForkResult::Child => match unsafe { fork() } {
                Ok(ForkResult::Child) => go(socket.as_raw_fd(), tell.as_raw_fd(), message),
                Ok(ForkResult::Parent { .. }) | Err(_) => leave(),
            },
        }
        Ok(Self { answer })
    }

    /// What the kernel said, once there is something to read: an errno, 0 for success. None when the process died.
    pub fn outcome(self) -> Option<i32> {
        let mut bytes = [0; 4];
        let read = nix::unistd::read(&self.answer, &mut bytes);
        (read == Ok(bytes.len())).then(|| i32::from_ne_bytes(bytes).wrapping_neg())
    }
}

impl AsFd for Errand {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answer.as_fd()
    }
}

fn go(socket: RawFd, tell: RawFd, message: &[u8]) -> ! {
    keep_only(socket, tell);
    // SAFETY: keep_only put them there.
    #[expect(unsafe_code, reason = "numbers of descriptors that stay open until the process ends")]
    let tell = unsafe { BorrowedFd::borrow_raw(1) };
    let mut answer = [0; 4096];
    if let Err(errno) = send(0, message, MsgFlags::empty()) {
        let _ = nix::unistd::write(tell, &(-(errno as i32)).to_ne_bytes());
    } else if recv(0, &mut answer, MsgFlags::empty()).is_ok()
        && let Some(errno) = answer.get(ERRNO)
    {
        let _ = nix::unistd::write(tell, errno);
    }
    leave()
}

/// Makes them standard input and output, and closes everything else. Before Linux 5.9 the rest stays open for as long
/// as the errand takes.
fn keep_only(socket: RawFd, tell: RawFd) {
    // SAFETY: dup2(2) and close_range(2) take numbers; nothing of this process uses what they close.
    #[expect(unsafe_code, reason = "close_range(2) has no safe wrapper")]
    unsafe {
        libc::dup2(socket, 0);
        libc::dup2(tell, 1);
        libc::syscall(libc::SYS_close_range, 2, libc::c_uint::MAX, 0);
    }
}

/// Without what a process does at its end: it has nothing of its own to flush.
fn leave() -> ! {
    // SAFETY: _exit(2) takes a number.
    #[expect(unsafe_code, reason = "_exit(2) has no safe wrapper")]
    unsafe {
        libc::_exit(0)
    }
}
