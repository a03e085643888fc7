//! What a test needs from the machine, and what happens when it is not there.

use std::io::Write;
use std::path::PathBuf;

/// Whether this is root and has every program. If not the test is skipped, saying so; with
/// `PODNET_TESTS_REQUIRE_ALL=1` (continuous integration) it fails instead.
pub fn root_and(programs: &[&str]) -> bool {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root");
    }
    has(programs)
}

/// Whether every program is there; if not the test is skipped likewise.
pub fn has(programs: &[&str]) -> bool {
    match programs.iter().find(|program| find(program).is_none()) {
        Some(missing) => skip(&format!("{missing} is not installed")),
        None => true,
    }
}

/// As [`root_and`], for what a plain user can do as well.
pub fn program(name: &str) -> bool {
    find(name).is_some() || skip(&format!("{name} is not installed"))
}

/// Always false, so that it can end a check.
pub fn skip(why: &str) -> bool {
    assert!(
        std::env::var_os("PODNET_TESTS_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "may not be skipped here: {why}"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not eprintln!, whose output libtest captures and shows of failed tests only.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "skipped: {test}: {why}").unwrap();
    false
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders.into_iter().map(|folder| folder.join(program)).find(|file| file.is_file())
}
