//! How many files podnet may have open, and where their table stands.

use std::sync::{Once, OnceLock};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::rlim_t;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The limit that podnet was started with, where it has another one now.
static STARTED_WITH: OnceLock<rlim_t> = OnceLock::new();

/// A node with a thousand namespaces has a thousand of them open at once here. The table of descriptors is made large
/// while podnet is one thread: in a process of several the kernel waits for every core each time that the table doubles
/// (`synchronize_rcu` in `expand_fdtable`, fs/file.c), some ten milliseconds. To be called before the first thread; again
/// it does nothing.
pub fn make_room() {
    static MADE: Once = Once::new();
    MADE.call_once(enlarge);
}

fn enlarge() {
    const ROOM: rlim_t = 4096;
    let Ok((usual, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    remember_limit(usual);
    let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    let last = i32::try_from(most.min(ROOM)).map_or(0, |room| room - 1);
    if let Ok(some_file) = std::fs::File::open("/dev/null")
        && let Ok(last) = fcntl(&some_file, FcntlArg::F_DUPFD_CLOEXEC(last))
    {
        let _ = nix::unistd::close(last);
    }
}

/// How many files podnet may have open now.
pub fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(usual, _)| usual)
}

/// What [`restore_limit`] will restore; None where nothing was changed.
pub fn usual_limit() -> Option<rlim_t> {
    STARTED_WITH.get().copied()
}

/// Where who started this podnet had raised it already.
pub fn remember_limit(usual: rlim_t) {
    let _ = STARTED_WITH.set(usual); // the first one counts
}

/// For another program, which may go by the limit (select(2) takes 1024 descriptors at most).
pub fn restore_limit() {
    if let (Some(usual), Ok((_, most))) = (usual_limit(), getrlimit(Resource::RLIMIT_NOFILE)) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, usual.min(most), most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_large_before_it_is_needed() {
        make_room();
        let (usual, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        assert!(size.trim().parse::<rlim_t>().unwrap() >= usual.min(4096), "{size}");
    }
}
