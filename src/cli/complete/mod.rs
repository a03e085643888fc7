//! What a shell asks at every TAB: which words can stand here.
//!
//! The shells' scripts ask the binary each time (`PODNET_COMPLETE=SHELL podnet -- WORD…`), so commands, flags and
//! values are always those of the binary that is installed. Whatever goes wrong, the answer is nothing, in silence.

mod shell;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap_complete::engine::{self, CompletionCandidate};

pub use shell::Shell;

use super::terminal::write_out;

/// Names the shell that asks.
const VARIABLE: &str = "PODNET_COMPLETE";

/// Answers a shell; None where none asks.
pub fn answer(arguments: &[OsString]) -> Option<ExitCode> {
    let shell = Shell::named(&std::env::var(VARIABLE).ok()?)?;
    let answer = match arguments {
        [_] => shell.script().to_owned(),
        [_, dashes, words @ ..] if dashes == "--" => {
            let line = shell.line(words);
            shell.answer(&line, candidates(&line.words))
        }
        _ => return None,
    };
    let _ = write_out(answer.as_bytes());
    Some(ExitCode::SUCCESS)
}

/// What the last of the words may become.
fn candidates(words: &[OsString]) -> Vec<CompletionCandidate> {
    let Some((typed, before)) = words.split_last() else { return Vec::new() };
    let mut candidates = match before.iter().position(|word| word == "--") {
        Some(dashes) if dashes + 1 == before.len() => values::programs(typed),
        Some(_) => Vec::new(), // the arguments of another program
        None => {
            let options = Arc::new(values::options(before));
            let mut command = values::known(super::command(), &options);
            let folder = std::env::current_dir().ok();
            let index = before.len();
            engine::complete(&mut command, words.to_vec(), index, folder.as_deref()).unwrap_or_default()
        }
    };
    candidates.retain(|candidate| is_plain(&candidate.get_value().to_string_lossy()));
    let is_flag = |candidate: &CompletionCandidate| candidate.get_value().to_string_lossy().starts_with('-');
    if typed.is_empty() && !candidates.iter().all(is_flag) {
        candidates.retain(|candidate| !is_flag(candidate));
    }
    candidates
}

/// Some shells put a candidate into the command line as it is. A name that one of them would take for more than a
/// word (interfaces can be called almost anything) is not offered.
fn is_plain(text: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@%+=,".contains(character);
    !text.is_empty() && text.chars().all(plain)
}
