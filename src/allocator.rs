//! The allocator of the static binary: dlmalloc, behind the standard library's lock.
//!
//! musl's own takes a system call for almost each request. The lock that dlmalloc brings along is pthread's, which in
//! musl takes longer than most allocations.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;

pub struct Allocator(Mutex<Heap>);

struct Heap(Dlmalloc);

// SAFETY: its pointers lead to memory of the process, and none of it is a thread's own.
#[expect(unsafe_code, reason = "dlmalloc leaves it to its user")]
unsafe impl Send for Heap {}

impl Allocator {
    pub const fn new() -> Self {
        Self(Mutex::new(Heap(Dlmalloc::new())))
    }

    /// Locking asks for no memory: std's lock is a futex.
    fn heap(&self) -> MutexGuard<'_, Heap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: each call is dlmalloc's own of the same contract, under the lock.
#[expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { self.heap().0.malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { self.heap().0.calloc(layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { self.heap().0.realloc(place, layout.size(), layout.align(), size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { self.heap().0.free(place, layout.size(), layout.align()) }
    }
}
