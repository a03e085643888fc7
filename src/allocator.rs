//! The allocator of the static binary: dlmalloc, behind a lock of its own.
//!
//! musl's own takes a system call for almost each request. The lock that dlmalloc brings along is pthread's, which in
//! musl takes longer than most allocations; std's sends to sleep too soon.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::Dlmalloc;

pub struct Allocator {
    taken: Apart<AtomicBool>,
    heap: UnsafeCell<Dlmalloc>,
}

/// On cache lines of its own (two, as cores fetch them by twos): who waits for the flag takes no line of the heap from who
/// uses it.
#[repr(align(128))]
struct Apart<T>(T);

// SAFETY: the heap is used by who has taken it alone, its pointers lead to memory of the process, and none of it is a
// thread's own.
#[expect(unsafe_code, reason = "dlmalloc leaves it to its user")]
unsafe impl Sync for Allocator {}

impl Allocator {
    pub const fn new() -> Self {
        Self { taken: Apart(AtomicBool::new(false)), heap: UnsafeCell::new(Dlmalloc::new()) }
    }

    /// Does that alone. Who has the heap is done with it, be it after a page fault, sooner than a thread that went to sleep
    /// for it would be awake again; or it lost its core, and may need this one.
    fn with<T>(&self, work: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        const PATIENCE: usize = 100;
        let Apart(taken) = &self.taken;
        let mut waited = 0;
        while taken.swap(true, Ordering::Acquire) {
            while taken.load(Ordering::Relaxed) {
                waited += 1;
                if waited < PATIENCE { std::hint::spin_loop() } else { std::thread::yield_now() }
            }
        }
        // SAFETY: nobody else has taken it, and an allocator may not unwind (GlobalAlloc).
        #[expect(unsafe_code, reason = "as above")]
        let done = work(unsafe { &mut *self.heap.get() });
        taken.store(false, Ordering::Release);
        done
    }
}

// SAFETY: each call is dlmalloc's own of the same contract, under the lock.
#[expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.with(|heap| unsafe { heap.realloc(place, layout.size(), layout.align(), size) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        self.with(|heap| unsafe { heap.free(place, layout.size(), layout.align()) })
    }
}
