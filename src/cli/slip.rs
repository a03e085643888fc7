//! What fingers type for `podnet exec` that learned `docker exec`: no dashes before the command, and `-it`; and several
//! targets as other commands take them, one after the other.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::alone;
use super::exec::Exec;

/// The terminal is the command's in any case.
const NEEDLESS: [&str; 3] = ["-it", "-ti", "-i"];

const EXEC: &str = "exec";

/// More words than that before a command are no slip of the finger.
const BEFORE: usize = 32;

/// The line as it is meant, where that is all that is wrong with it.
pub fn meant(usage: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let slip = matches!(usage.kind(), ErrorKind::UnknownArgument | ErrorKind::ArgumentConflict);
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    let exec = words.iter().position(|word| *word == EXEC).filter(|_| slip)?;
    let dashes = words.iter().position(|word| *word == "--");
    let line = match dashes {
        Some(at) => joined(words.split_at(at)).or_else(|| side_by_side(words, exec)),
        None => (exec + 1..words.len()).take(BEFORE).find_map(|at| joined(words.split_at(at))),
    }?;
    Some(format!("podnet {}", line.into_iter().skip(1).map(quoted).collect::<Vec<_>>().join(" ")))
}

/// The line with dashes between the two, where it is one then that says where to run what.
fn joined<'a>((before, command): (&[&'a str], &[&'a str])) -> Option<Vec<&'a str>> {
    let command = command.strip_prefix(&["--"]).unwrap_or(command);
    let mut line: Vec<&str> = before.iter().copied().filter(|word| !NEEDLESS.contains(word)).collect();
    line.push("--");
    line.extend(command);
    let (_, exec): (_, Exec) = alone(line.iter().filter(|word| **word != EXEC)).ok()?;
    let is_command = command.first().is_some_and(|word| !word.starts_with('-'));
    (is_command && exec.says_where()).then_some(line)
}

/// The line with `-t` before each of its targets, which stand behind the word `exec`.
fn side_by_side(mut line: Vec<&str>, exec: usize) -> Option<Vec<&str>> {
    for _ in 0..BEFORE {
        let target = match alone::<Exec>(line.iter().filter(|word| **word != EXEC)) {
            Ok((_, parsed)) if parsed.says_where() => return Some(line),
            Ok((_, parsed)) => parsed.target?,
            Err(usage) => match usage.get(ContextKind::InvalidArg)? {
                ContextValue::String(word) if !word.starts_with('-') => word.clone(),
                _ => return None,
            },
        };
        let place = line.iter().skip(exec).position(|word| *word == target)?;
        line.insert(exec + place, "-t");
    }
    None
}

/// Adds it to what clap says, in the place of clap's own guess.
pub fn tell(usage: &mut clap::Error, line: &str) {
    usage.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![format!("did you mean: {line}").into()]));
}

/// As a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "-_./:=,@%+".contains(character);
    let bare = !word.is_empty() && word.chars().all(plain);
    if bare { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(line: &str) -> Option<String> {
        let words: Vec<OsString> = shlex::split(line).unwrap().into_iter().map(OsString::from).collect();
        let usage = crate::cli::command().try_get_matches_from(&words).unwrap_err();
        super::meant(&usage, &words)
    }

    #[test]
    fn the_command_begins_where_the_place_is_said() {
        for (typed, line) in [
            ("podnet exec web-0 ip addr", "podnet exec web-0 -- ip addr"),
            ("podnet exec web-0 ip -br addr", "podnet exec web-0 -- ip -br addr"),
            ("podnet exec web-0 --user nobody id", "podnet exec web-0 --user nobody -- id"),
            ("podnet exec -t web-0 -t web-1 ip route", "podnet exec -t web-0 -t web-1 -- ip route"),
            ("podnet exec --all hostname", "podnet exec --all -- hostname"),
            ("podnet exec -it web-0 sh", "podnet exec web-0 -- sh"),
            ("podnet exec web-0 -i -- sh -i", "podnet exec web-0 -- sh -i"),
            ("podnet exec web-0 web-1 -- ip addr", "podnet exec -t web-0 -t web-1 -- ip addr"),
            ("podnet exec web-0 -t web-1 web-2 -- ip addr", "podnet exec -t web-0 -t web-1 -t web-2 -- ip addr"),
            ("podnet exec podnet web -- id", "podnet exec -t podnet -t web -- id"),
            ("podnet --timeout 5 exec a b -- id", "podnet --timeout 5 exec -t a -t b -- id"),
            ("podnet exec --user nobody a b c -- id", "podnet exec --user nobody -t a -t b -t c -- id"),
            ("podnet --timeout 5 exec web-0 sh -c 'a b; c'", "podnet --timeout 5 exec web-0 -- sh -c 'a b; c'"),
            ("/usr/bin/podnet exec web-0 echo it\\'s ''", r"podnet exec web-0 -- echo 'it'\''s' ''"),
        ] {
            assert_eq!(meant(typed).as_deref(), Some(line), "{typed}");
        }
    }

    #[test]
    fn other_mistakes_are_not_taken_for_that() {
        for typed in [
            "podnet exec -it web-0 --",
            "podnet exec web-0 web-1 -x -- id",
            "podnet exec web-0 web-0 -- id",
            "podnet exec -x",
            "podnet exec web-0 --al",
            "podnet exec --all -t a",
        ] {
            assert_eq!(meant(typed), None, "{typed}");
        }
    }
}
