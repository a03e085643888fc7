//! The sources that were asked, at the end of every screen.

use std::io::{self, Write};

use super::Page;
use super::page::{columns_and_prose, flow, heading, sentence};
use crate::model::source::{Asked, Status};

/// Which sources were asked: those that answered on one line, then a line for each that did not.
pub fn sources(page: &Page, out: &mut dyn Write, sources: &[Asked]) -> io::Result<()> {
    heading(page, out, "SOURCES")?;
    let told: Vec<String> = sources
        .iter()
        .filter(|source| source.status == Status::Present)
        .map(|source| format!("{} {:.0} ms", source.name, source.elapsed_ms))
        .collect();
    flow(page, out, 2, &told)?;
    for source in sources.iter().filter(|source| source.status != Status::Present) {
        let word = if source.status == Status::Absent { "absent" } else { "failed" };
        let why = source.detail.as_deref().unwrap_or_default();
        sentence(page, out, 2, &format!("{} {word}: {why}", source.name))?;
    }
    Ok(())
}

/// Who was asked in vain: those that answered, those that are not here, and why the others did not.
pub fn answers(page: &Page, out: &mut dyn Write, sources: &[Asked]) -> io::Result<()> {
    let of = |status| sources.iter().filter(move |source| source.status == status);
    let names = |status| of(status).map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
    let row = |word: &str, text: String| (format!("  {word}"), text);
    let mut rows = vec![row("asked", names(Status::Present)), row("absent", names(Status::Absent))];
    rows.extend(
        of(Status::Failed)
            .map(|source| row("failed", format!("{}: {}", source.name, source.detail.as_deref().unwrap_or_default()))),
    );
    rows.retain(|(_, text)| !text.is_empty());
    columns_and_prose(page, out, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_asked_in_vain_is_told_whole() {
        let asked = |name: &str, status, detail: Option<&str>| Asked {
            name: name.into(),
            status,
            detail: detail.map(str::to_owned),
            elapsed_ms: 1.0,
        };
        let sources = [
            asked("docker", Status::Absent, Some("no socket at /run/docker.sock")),
            asked("podman", Status::Absent, None),
            asked("cri", Status::Failed, Some("no answer within 2 s, \u{1b}[2Jand what is to be said of that")),
            asked("proc", Status::Present, Some("23 processes")),
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
