//! podnet as who installs it has it: a copy, which the kernel keeps in larger pieces than what a linker wrote here and
//! there.

use std::sync::OnceLock;

use crate::support::scratch::Scratch;

static PATH: OnceLock<String> = OnceLock::new();

/// Where it is.
pub fn podnet() -> &'static str {
    PATH.get().unwrap()
}

/// Copies it there, for as long as what is returned is kept.
pub fn install() -> Scratch {
    let folder = Scratch::new();
    let path = folder.text("podnet");
    std::fs::copy(env!("CARGO_BIN_EXE_podnet"), &path).unwrap();
    PATH.set(path).unwrap();
    folder
}
