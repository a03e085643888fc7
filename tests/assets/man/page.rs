//! A manual page in the macros of man(7).

use roff::{Inline, Roff, bold, roman};

pub struct Page {
    roff: Roff,
    name: String,
    section: u8,
    /// A paragraph begins after a heading by itself.
    just_headed: bool,
}

impl Page {
    /// With what stands in every page: title and name.
    pub fn new(name: &str, section: u8, about: &str) -> Self {
        let mut roff = Roff::new();
        let source = concat!("podnet ", env!("CARGO_PKG_VERSION"));
        let manual = if section == 7 { "podnet: what it says" } else { "podnet: commands" };
        roff.control("TH", [name.to_uppercase().as_str(), &section.to_string(), date(), source, manual]);
        let mut page = Self { roff, name: name.to_owned(), section, just_headed: false };
        page.heading("NAME").text(&format!("{name} - {about}"));
        page
    }

    pub fn heading(&mut self, title: &str) -> &mut Self {
        self.roff.control("SH", [title.to_uppercase().as_str()]);
        self.just_headed = true;
        self
    }

    pub fn subheading(&mut self, title: &str) -> &mut Self {
        self.roff.control("SS", [title]);
        self
    }

    /// Filled lines; an empty line begins a paragraph.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for (nth, paragraph) in text.split("\n\n").enumerate() {
            if nth > 0 {
                self.roff.control("PP", []);
            }
            for line in lines(paragraph) {
                self.roff.text([roman(line)]);
            }
        }
        self.just_headed = false;
        self
    }

    pub fn inlines(&mut self, inlines: Vec<Inline>) -> &mut Self {
        self.roff.text(inlines);
        self
    }

    /// Lines as they are.
    pub fn verbatim(&mut self, lines: &[&str]) -> &mut Self {
        if !self.just_headed {
            self.roff.control("PP", []);
        }
        self.roff.control("RS", ["4"]).control("nf", []);
        for line in lines {
            self.roff.text([roman(*line)]);
        }
        self.roff.control("fi", []).control("RE", []);
        self
    }

    /// A word, and beside or below it what it is.
    pub fn item(&mut self, term: Vec<Inline>, text: &str) -> &mut Self {
        self.roff.control("TP", []);
        self.roff.text(term);
        self.text(text)
    }

    pub fn see_also(&mut self, pages: &[(String, u8)]) -> &mut Self {
        let others: Vec<_> =
            pages.iter().filter(|(name, section)| (name, *section) != (&self.name, self.section)).collect();
        let mut inlines = Vec::new();
        for (nth, (name, section)) in others.iter().enumerate() {
            let comma = if nth + 1 < others.len() { ", " } else { "" };
            inlines.extend([bold(name.as_str()), roman(format!("({section}){comma}"))]);
        }
        self.heading("SEE ALSO").inlines(inlines)
    }

    pub fn finished(&self) -> String {
        self.roff.to_roff()
    }
}

/// Of the newest version in the changelog; a date of today would make every page stale every day.
fn date() -> &'static str {
    let released =
        include_str!("../../../CHANGELOG.md").lines().find_map(|line| line.strip_prefix("## [")?.split_once("] - "));
    released.map_or("2026-11-24", |(_, date)| date.trim())
}

/// Broken where a reader of the source would: longer ones the formatters call bad style.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if written(line) + written(word) < 78 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// With what becomes an escape, here or when a formatter reads it (`\[u00AB]`).
fn written(text: &str) -> usize {
    let escaped = Roff::new().text([roman(text)]).to_roff();
    escaped.trim_end().chars().map(|character| if character.is_ascii() { 1 } else { 8 }).sum()
}
