//! The shells: the script that each is given, how each tells the words, and how it wants the answer.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap_complete::engine::CompletionCandidate;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

/// A command line up to the cursor.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub words: Vec<OsString>,
    /// How much of the last word the shell keeps before what it is answered.
    kept: usize,
}

impl Shell {
    pub fn named(name: &str) -> Option<Self> {
        <Self as clap::ValueEnum>::from_str(name, false).ok()
    }

    /// What teaches the running shell to ask.
    pub fn script(self) -> &'static str {
        match self {
            Shell::Bash => include_str!("scripts/podnet.bash"),
            Shell::Zsh => include_str!("scripts/podnet.zsh"),
            Shell::Fish => include_str!("scripts/podnet.fish"),
            Shell::Elvish => include_str!("scripts/podnet.elv"),
            Shell::Powershell => include_str!("scripts/podnet.ps1"),
        }
    }

    /// What is installed: it asks the binary for the script, and so never is older than that.
    pub fn file(self) -> &'static str {
        match self {
            Shell::Bash => "eval \"$(PODNET_COMPLETE=bash podnet 2>/dev/null)\"\n",
            // The first TAB loads the file as a function and wants its answer too.
            Shell::Zsh => {
                "#compdef podnet kubectl-podnet\neval \"$(PODNET_COMPLETE=zsh podnet 2>/dev/null)\"\n[[ $funcstack[1] = _podnet ]] && _podnet \"$@\"\n"
            }
            Shell::Fish => "PODNET_COMPLETE=fish podnet 2>/dev/null | source\n",
            Shell::Elvish => "eval (env PODNET_COMPLETE=elvish podnet 2>/dev/null | slurp)\n",
            Shell::Powershell => {
                "$env:PODNET_COMPLETE = 'powershell'\npodnet | Out-String | Invoke-Expression\nRemove-Item Env:PODNET_COMPLETE\n"
            }
        }
    }

    pub fn line(self, words: &[OsString]) -> Line {
        let Shell::Bash = self else { return Line { words: words.to_vec(), kept: 0 } };
        let line = std::env::var_os("PODNET_COMPLETE_LINE").unwrap_or_default();
        let breaks = std::env::var_os("PODNET_COMPLETE_BREAKS").unwrap_or_default();
        joined(words, line.as_bytes(), breaks.as_bytes())
    }

    /// One candidate a line, with a tab and what it is where the shell shows that.
    pub fn answer(self, line: &Line, candidates: Vec<CompletionCandidate>) -> String {
        let mut answer = String::new();
        for candidate in candidates {
            let value = candidate.get_value().to_string_lossy();
            answer.push_str(value.get(line.kept..).unwrap_or_default());
            let note = candidate.get_help().map(ToString::to_string).unwrap_or_default();
            let note = note.lines().next().unwrap_or_default();
            if self != Shell::Bash && !note.is_empty() {
                answer.push('\t');
                answer.push_str(note);
            }
            answer.push('\n');
        }
        answer
    }
}

/// Bash cuts words at `:` and `=` too. Pieces that stand together in the line are one word; what it answers takes
/// the place of the last piece only.
fn joined(pieces: &[OsString], line: &[u8], breaks: &[u8]) -> Line {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut rest = line;
    for piece in pieces.iter().map(|piece| piece.as_bytes()) {
        let trimmed = rest.trim_ascii_start();
        let apart = words.is_empty() || trimmed.len() < rest.len();
        // The last piece may go on behind the cursor, where the line ends.
        let length = if trimmed.starts_with(piece) { piece.len() } else { trimmed.len() };
        let (piece, behind) = trimmed.split_at(length.min(trimmed.len()));
        rest = behind;
        match words.last_mut() {
            Some(word) if !apart => word.extend_from_slice(piece),
            _ => words.push(piece.to_vec()),
        }
    }
    let last = words.last().map(Vec::as_slice).unwrap_or_default();
    let quoted = last.iter().any(|byte| matches!(byte, b'"' | b'\''));
    let cut = last.iter().rposition(|byte| matches!(byte, b':' | b'=') && breaks.contains(byte) && !quoted);
    let kept = cut.map_or(0, |at| at + 1);
    Line { words: words.iter().map(|word| OsString::from_vec(unquoted(word))).collect(), kept }
}

/// As the shell would read it, where nothing in it is to be expanded.
fn unquoted(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut quote = None;
    let mut bytes = word.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            (None | Some(b'"'), b'\\') => plain.extend(bytes.next()),
            _ => plain.push(byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_bash_cut_are_whole_again() {
        let cases: &[(&str, &[&str], &[&str], usize)] = &[
            ("podnet inspect ", &["podnet", "inspect", ""], &["podnet", "inspect", ""], 0),
            ("podnet inspect pod:de", &["podnet", "inspect", "pod", ":", "de"], &["podnet", "inspect", "pod:de"], 4),
            ("podnet inspect pod:", &["podnet", "inspect", "pod", ":"], &["podnet", "inspect", "pod:"], 4),
            (
                "podnet inspect docker://3f",
                &["podnet", "inspect", "docker", "://", "3f"],
                &["podnet", "inspect", "docker://3f"],
                7,
            ),
            ("podnet  --output=js", &["podnet", "--output", "=", "js"], &["podnet", "--output=js"], 9),
            ("podnet inspect we", &["podnet", "inspect", "web"], &["podnet", "inspect", "we"], 0),
            ("podnet inspect 'pod:de", &["podnet", "inspect", "'pod:de"], &["podnet", "inspect", "pod:de"], 0),
            (r"podnet ex a\ b c", &["podnet", "ex", r"a\ b", "c"], &["podnet", "ex", "a b", "c"], 0),
            ("", &[], &[], 0),
        ];
        for (line, pieces, words, kept) in cases {
            let pieces: Vec<OsString> = pieces.iter().map(OsString::from).collect();
            let expected = Line { words: words.iter().map(OsString::from).collect(), kept: *kept };
            assert_eq!(joined(&pieces, line.as_bytes(), b" \t\n\"'@><=;|&(:"), expected, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(pieces: Vec<String>, line: String) {
            let pieces: Vec<OsString> = pieces.iter().map(OsString::from).collect();
            let _ = joined(&pieces, line.as_bytes(), b":=");
        }
    }
}
