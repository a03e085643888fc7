//! The same question of many things, on a few threads: most of its time is the kernel's.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{descriptors, netns};

/// So many are asked of faster than a thread starts.
const A_SHARE: usize = 8;

const MOST_THREADS: usize = 8;

/// A thread has a few open at a time.
const DESCRIPTORS_EACH: u64 = 16;

/// How many may be asked at once.
pub fn most_at_once() -> usize {
    threads(netns::cores(), descriptors::limit())
}

fn threads(cores: usize, limit: u64) -> usize {
    let affordable = usize::try_from(limit / DESCRIPTORS_EACH).unwrap_or(usize::MAX);
    cores.min(MOST_THREADS).min(affordable).max(1)
}

/// What `question` finds of each of `things`, in no order.
pub fn ask_each<Thing: Sync, T: Send>(things: &[Thing], question: impl Fn(&Thing) -> T + Sync) -> Vec<T> {
    ask_each_beside(things, question, || ()).0
}

/// As [`ask_each`]; the calling thread does something else `first`, while others begin to ask.
pub fn ask_each_beside<Thing: Sync, T: Send, R>(
    things: &[Thing],
    question: impl Fn(&Thing) -> T + Sync,
    first: impl FnOnce() -> R,
) -> (Vec<T>, R) {
    let threads = match things.len() / A_SHARE {
        0 | 1 => 1, // and the cores need not be counted, which takes the kernel longer
        shares => most_at_once().min(shares),
    };
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::with_capacity(things.len()));
    let ask = || {
        let share = || things.chunks(A_SHARE).nth(next.fetch_add(1, Ordering::Relaxed));
        while let Some(share) = share() {
            let found: Vec<T> = share.iter().map(&question).collect();
            answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(found);
        }
    };
    let first = std::thread::scope(|scope| {
        for _ in 1..threads {
            // Fewer threads than asked for only make it slower.
            let _ = std::thread::Builder::new().spawn_scoped(scope, ask);
        }
        let first = first();
        ask();
        first
    });
    (answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner), first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_threads_than_cores_or_descriptors_for_them() {
        assert_eq!(
            [(2, 1 << 20), (64, 1 << 20), (64, 48), (64, 8)].map(|(cores, limit)| threads(cores, limit)),
            [2, 8, 3, 1]
        );
    }

    #[test]
    fn asks_each_once_whatever_the_number() {
        for count in [0, 1, 31, 32, 33, 1000] {
            let pids: Vec<u32> = (0..count).collect();
            let mut answers = ask_each(&pids, |pid| *pid);
            answers.sort_unstable();
            assert_eq!(answers, pids);
        }
    }
}
