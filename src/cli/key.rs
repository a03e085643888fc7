//! One key of the terminal.

use std::io::{self, Read, stdin};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use rustix::event::{PollFd, PollFlags, poll};

/// Waits for a key, unshown and without Enter, or until `also` is readable; `None` then, and at the end of input.
pub fn read(also: Option<BorrowedFd<'_>>) -> io::Result<Option<u8>> {
    let _keys = Keys::begin();
    let stdin = stdin();
    let mut waiting = vec![PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
    waiting.extend(also.map(|also| PollFd::from_borrowed_fd(also, PollFlags::IN)));
    while let Err(errno) = poll(&mut waiting, None) {
        if errno != rustix::io::Errno::INTR {
            return Err(errno.into());
        }
    }
    if waiting.get(1).is_some_and(|also| !also.revents().is_empty()) {
        return Ok(None);
    }
    let mut byte = [0];
    let count = stdin.lock().read(&mut byte)?;
    Ok(byte.first().copied().filter(|_| count > 0))
}

/// The terminal gives keys one by one until this is dropped.
struct Keys(Option<Termios>);

impl Keys {
    fn begin() -> Self {
        let Ok(usual) = tcgetattr(stdin()) else { return Self(None) };
        let mut single = usual.clone();
        single.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        Self(tcsetattr(stdin(), SetArg::TCSANOW, &single).ok().map(|()| usual))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(usual) = &self.0 {
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, usual);
        }
    }
}
