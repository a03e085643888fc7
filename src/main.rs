//! The podnet binary: parse, run, exit status. Everything else is in the library.

#[cfg(target_env = "musl")]
mod allocator;

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator::new();

fn main() -> ExitCode {
    podnet::cli::run(std::env::args_os())
}
