//! The podnet binary: parse, run, exit status. Everything else is in the library.

use std::process::ExitCode;

// musl's own takes a system call for almost each request.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    podnet::cli::run(std::env::args_os())
}
