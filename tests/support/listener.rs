//! Listeners that end when they are dropped.

use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{Shutdown, shutdown};

/// Its address is free at once. A program that another thread of the test is just starting has every descriptor open until it
/// executes: closed, the socket would go on listening for so long.
pub struct Listener<T: AsFd>(pub T);

impl<T: AsFd> Drop for Listener<T> {
    fn drop(&mut self) {
        shutdown(self.0.as_fd().as_raw_fd(), Shutdown::Both).unwrap();
    }
}
