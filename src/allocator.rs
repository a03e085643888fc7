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

    /// Locking asks for no memory: std's lock is a futex. It gives up before who has it comes back from a page fault, and
    /// who sleeps is not awake again for as long as the allocations of a whole command take.
    fn heap(&self) -> MutexGuard<'_, Heap> {
        const PATIENCE: usize = 1000;
        for _ in 0..PATIENCE {
            if let Ok(heap) = self.0.try_lock() {
                return heap;
            }
            std::hint::spin_loop();
        }
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
