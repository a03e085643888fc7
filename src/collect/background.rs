//! Work that blocks, beside what is awaited.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use tokio::runtime::Handle;
use tokio::sync::oneshot::{Receiver, channel};

/// Begins `work` on a thread of its own, which the end of the process does not wait for. Where there may be none
/// (RLIMIT_NPROC, pids.max) it is done here and now; tokio's `spawn_blocking` panics then.
pub fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (tell, told) = channel();
    let runtime = Handle::current();
    let task = Arc::new(Mutex::new(Some(move || drop(tell.send(work())))));
    let theirs = task.clone();
    let take = |task: &Mutex<Option<_>>| task.lock().unwrap_or_else(PoisonError::into_inner).take();
    let begun = Builder::new().spawn(move || {
        let _inside = runtime.enter();
        if let Some(task) = take(&theirs) {
            task();
        }
    });
    if let Some(task) = begun.is_err().then(|| take(&task)).flatten() {
        task();
    }
    told
}
