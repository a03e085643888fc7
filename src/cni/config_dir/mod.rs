//! Which network a runtime on this node takes, and why: the directory of configurations as containerd,
//! CRI-O and others read it. All read the same files in the order of their names; they differ in what
//! they do about one that is damaged, and in how many they take.

mod pick;
mod reader;

pub use pick::{File, Pick, Standing, Unreadable, look};
pub use reader::{Reader, Rule, readers};
