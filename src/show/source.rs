//! The sources that were asked, at the end of every screen.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::Page;
use super::page::{columns_and_prose, heading};
use crate::model::source::{Asked, Status};

/// Each source that was asked: how long it took, and what it answered or why it did not. Those that answered come first.
pub fn sources(page: &Page, out: &mut dyn Write, sources: &[Asked]) -> io::Result<()> {
    heading(page, out, "SOURCES")?;
    let name = sources.iter().map(|source| source.name.width()).max().unwrap_or(0);
    let time = |source: &Asked| format!("{:.0}", source.elapsed_ms);
    let digits = sources.iter().map(|source| time(source).len()).max().unwrap_or(0);
    let row = |source: &Asked| (format!("  {:name$}  {:>digits$} ms", source.name, time(source)), answer(source));
    let (told, silent): (Vec<&Asked>, Vec<&Asked>) =
        sources.iter().partition(|source| source.status == Status::Present);
    columns_and_prose(page, out, &told.into_iter().chain(silent).map(row).collect::<Vec<_>>())
}

fn answer(source: &Asked) -> String {
    let detail = source.detail.as_deref().unwrap_or_default();
    match source.status {
        Status::Present => detail.to_owned(),
        Status::Absent => format!("absent: {detail}"),
        Status::Failed => format!("failed: {detail}"),
    }
}

/// Who was asked in vain: those that answered, those that are not here, and why the others did not, without what that means
/// and what to do.
pub fn answers(page: &Page, out: &mut dyn Write, sources: &[Asked]) -> io::Result<()> {
    let of = |status| sources.iter().filter(move |source| source.status == status);
    let names = |status| of(status).map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
    let row = |word: &str, text: String| (format!("  {word}"), text);
    let mut rows = vec![row("asked", names(Status::Present)), row("absent", names(Status::Absent))];
    rows.extend(of(Status::Failed).map(|source| {
        let why = source.detail.as_deref().unwrap_or_default();
        row("failed", format!("{}: {}", source.name, why.split(" (").next().unwrap_or(why)))
    }));
    rows.retain(|(_, text)| !text.is_empty());
    columns_and_prose(page, out, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, status: Status, detail: &str, elapsed_ms: f64) -> Asked {
        Asked { name: name.to_owned(), status, detail: Some(detail.to_owned()), elapsed_ms }
    }

    #[test]
    fn each_tells_how_long_it_took_and_what_it_answered() {
        let all = [
            asked("podman", Status::Absent, "no socket at /run/podman/podman.sock", 0.1),
            asked("docker", Status::Present, "20.10.24, 5 containers", 12.3),
            asked("cri", Status::Failed, "no answer within 2 s", 2000.4),
        ];
        let page = Page { width: Some(50), colour: false, wide: false };
        let mut text = Vec::new();
        sources(&page, &mut text, &all).unwrap();
        let expected = "
SOURCES
  docker    12 ms  20.10.24, 5 containers
  podman     0 ms  absent: no socket at
                   /run/podman/podman.sock
  cri     2000 ms  failed: no answer within 2 s
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn who_was_asked_in_vain_is_told_whole() {
        let sources = [
            asked("docker", Status::Absent, "no socket at /run/docker.sock", 1.0),
            asked("podman", Status::Absent, "", 1.0),
            asked(
                "cri",
                Status::Failed,
                "no answer within 2 s, \u{1b}[2Jand what is to be said of that (run as root)",
                1.0,
            ),
            asked("proc", Status::Present, "23 processes", 1.0),
        ];
        let mut text = Vec::new();
        answers(&Page { width: Some(40), colour: false, wide: false }, &mut text, &sources).unwrap();
        let expected = "  asked   proc
  absent  docker, podman
  failed  cri: no answer within 2 s,
          \\u{1b}[2Jand what is to be
          said of that
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
