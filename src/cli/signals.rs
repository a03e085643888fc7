//! Signals that end a program, taken as a wish: what is under way is rolled back first.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks SIGINT, SIGTERM and SIGHUP for this thread and those that it starts, and collects them.
pub struct Signals {
    pending: Option<SignalFd>,
    seen: bool,
}

impl Signals {
    pub fn collect() -> Self {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        // Where that is refused, a signal ends the program at once, and gc finds the rest.
        let pending = SignalFd::with_flags(&set, flags).ok().filter(|_| set.thread_block().is_ok());
        Self { pending, seen: false }
    }

    /// Whether one has come.
    pub fn have_come(&mut self) -> bool {
        let come = self.pending.as_mut().is_some_and(|pending| matches!(pending.read_signal(), Ok(Some(_))));
        self.seen |= come;
        self.seen
    }

    /// Readable when one has come.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pending.as_ref().map(AsFd::as_fd)
    }
}
