//! The page that is written on: how wide, whether in colour.

use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use unicode_width::UnicodeWidthStr;

use super::harmless;

/// Width where nothing tells it.
const USUAL_WIDTH: usize = 80;

#[derive(Clone, Debug)]
pub struct Page {
    /// Columns; None when nobody's terminal limits it (a pipe, a file).
    pub width: Option<usize>,
    pub colour: bool,
    pub wide: bool,
}

impl Page {
    /// Columns to keep within.
    pub fn columns(&self) -> usize {
        self.width.unwrap_or(USUAL_WIDTH)
    }

    /// A heading.
    pub fn bold(&self, text: impl Display) -> String {
        self.painted("1", text)
    }

    /// What is wrong; the words say so as well.
    pub fn bad(&self, text: impl Display) -> String {
        self.painted("31", text)
    }

    /// What is as it should be.
    pub fn good(&self, text: impl Display) -> String {
        self.painted("32", text)
    }

    /// What matters less.
    pub fn dim(&self, text: impl Display) -> String {
        self.painted("2", text)
    }

    fn painted(&self, code: &str, text: impl Display) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// A section, after an empty line.
pub fn heading(page: &Page, out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, "\n{}", page.bold(text))
}

/// The first line of an answer, broken between its words.
pub fn title(page: &Page, out: &mut dyn Write, text: &str) -> io::Result<()> {
    let mut lines = Vec::new();
    sentence(page, &mut lines, 0, text)?;
    writeln!(out, "{}", page.bold(String::from_utf8_lossy(&lines).trim_end()))
}

/// Writes `parts` with three spaces between them, breaking lines between parts, and inside one only where it is
/// wider than the page, each line after the first indented by `indent`. The text is untrusted.
pub fn flow(page: &Page, out: &mut dyn Write, indent: usize, parts: &[String]) -> io::Result<()> {
    const GAP: usize = 3;
    let mut used = 0;
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let part = harmless(part);
        let width = part.width();
        if used == 0 {
            write!(out, "{:indent$}", "")?;
            used = prose(page, out, indent + 2, indent, &part)?;
        } else if used + GAP + width <= page.columns() {
            write!(out, "{:GAP$}{part}", "")?;
            used += GAP + width;
        } else {
            write!(out, "\n{:inner$}", "", inner = indent + 2)?;
            used = prose(page, out, indent + 2, indent + 2, &part)?;
        }
    }
    if used > 0 { writeln!(out) } else { Ok(()) }
}

/// Writes a sentence, breaking lines between its words.
pub fn sentence(page: &Page, out: &mut dyn Write, indent: usize, text: &str) -> io::Result<()> {
    write!(out, "{:indent$}", "")?;
    prose(page, out, indent + 2, indent, &harmless(text))?;
    writeln!(out)
}

/// Columns that a text without control characters takes. Most are ASCII, which needs no look into Unicode's tables.
pub fn columns_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Rows in columns, two spaces apart, as wide as their widest cell; trailing spaces left out.
pub fn columns(out: &mut dyn Write, indent: usize, rows: &[Vec<String>]) -> io::Result<()> {
    let measured = |cell| {
        let cell = harmless(cell);
        let width = columns_of(&cell);
        (cell, width)
    };
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| measured(cell)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|(_, width)| *width).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(widest).collect();
    let mut line = String::new();
    for row in &rows {
        line.clear();
        let mut gap = indent;
        for ((cell, width), widest) in row.iter().zip(&widths) {
            line.extend(std::iter::repeat_n(' ', gap));
            line.push_str(cell);
            gap = widest + 2 - width;
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Rows in columns of which the last is prose: it is broken between its words, and goes on below where it began.
pub fn columns_and_prose(page: &Page, out: &mut dyn Write, rows: &[(String, String)]) -> io::Result<()> {
    let Some(width) = page.width else {
        let rows: Vec<Vec<String>> = rows.iter().map(|(cell, text)| vec![cell.clone(), text.clone()]).collect();
        return columns(out, 0, &rows);
    };
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.add_rows(rows.iter().map(|(cell, text)| [harmless(cell), harmless(text)]));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

/// Rows of a cell and of parts, which begin in one column and stand two spaces apart. Those that have no room in the line
/// go on below where they began.
pub fn columns_and_parts(
    page: &Page,
    out: &mut dyn Write,
    indent: usize,
    rows: &[(String, Vec<String>)],
) -> io::Result<()> {
    const GAP: usize = 2;
    let limit = page.width.unwrap_or(usize::MAX);
    let widest = rows.iter().map(|(cell, _)| harmless(cell).width()).max().unwrap_or(0);
    // Beside a cell of half a page the parts of all the others would have no room.
    let left = indent + widest.min(limit / 2) + GAP;
    for (cell, parts) in rows {
        let cell = harmless(cell);
        write!(out, "{:indent$}{cell}", "")?;
        let mut used = indent + cell.width();
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let part = harmless(part);
            let mut start = left.max(used + GAP);
            if start > left && start + part.width() > limit {
                writeln!(out)?;
                (used, start) = (0, left);
            }
            write!(out, "{:gap$}", "", gap = start - used)?;
            used = prose(page, out, left + GAP, start, &part)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Goes on in a line of which `used` columns are, breaking it between words; each further line is indented by `left`.
/// Gives the columns that are used then.
pub fn prose(page: &Page, out: &mut dyn Write, left: usize, used: usize, text: &str) -> io::Result<usize> {
    let limit = page.width.unwrap_or(usize::MAX);
    let mut at = used;
    for (nth, word) in text.split(' ').enumerate() {
        match nth {
            0 => write!(out, "{word}")?,
            _ if at + 1 + word.width() <= limit => {
                write!(out, " {word}")?;
                at += 1;
            }
            _ => {
                write!(out, "\n{:left$}{word}", "")?;
                at = left;
            }
        }
        at += word.width();
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page = Page { width: Some(40), colour: false, wide: false };

    #[test]
    fn sentences_break_between_words_and_parts_between_parts() {
        let words = ["/run/docker.sock,"; 5];
        let (mut said, mut flowed) = (Vec::new(), Vec::new());
        sentence(&PAGE, &mut said, 2, &words.join(" ")).unwrap();
        flow(&PAGE, &mut flowed, 2, &words.map(str::to_owned)).unwrap();
        for text in [said, flowed] {
            let text = String::from_utf8(text).unwrap();
            assert!(text.lines().all(|line| line.width() <= 40), "{text}");
            assert_eq!(text.split_whitespace().collect::<Vec<_>>(), words, "{text}");
        }
    }

    #[test]
    fn what_can_be_pasted_is_whole_where_it_does_not_fit() {
        let id = "3f2a91c04d5e".repeat(5);
        let mut text = Vec::new();
        flow(&PAGE, &mut text, 2, std::slice::from_ref(&id)).unwrap();
        assert!(String::from_utf8(text).unwrap().contains(&id));
    }

    #[test]
    fn a_pipe_has_no_width() {
        let long = ["word"; 100].join(" ");
        let mut text = Vec::new();
        sentence(&Page { width: None, ..PAGE }, &mut text, 0, &long).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), format!("{long}\n"));
    }

    #[test]
    fn parts_without_room_go_on_below() {
        let parts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        let hops = ["nexthop via 10.1.0.10 dev eth0", "nexthop via 10.1.0.11 dev eth0"];
        let rows = [
            ("default".to_owned(), parts(&["via 10.1.0.1", "mtu 1400"])),
            ("10.3.0.0/16".to_owned(), parts(&[&["metric 4"], &hops[..]].concat())),
            ("unreachable 2001:db8:1:2:3:4:5:6/128".to_owned(), parts(&["dev lo", "table 100"])),
            ("blackhole 10.5.0.0/16".to_owned(), Vec::new()),
        ];
        let narrow = Page { width: Some(56), ..PAGE };
        let mut text = Vec::new();
        columns_and_parts(&narrow, &mut text, 2, &rows).unwrap();
        let expected = "  default                       via 10.1.0.1  mtu 1400
  10.3.0.0/16                   metric 4
                                nexthop via 10.1.0.10
                                  dev eth0
                                nexthop via 10.1.0.11
                                  dev eth0
  unreachable 2001:db8:1:2:3:4:5:6/128  dev lo
                                table 100
  blackhole 10.5.0.0/16
";
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, expected);
    }

    #[test]
    fn prose_goes_on_below_itself() {
        let row = |cell: &str, prose: &str| (cell.to_owned(), prose.to_owned());
        let rows = [row("größe", "short"), row("x", "many words that have no room in forty columns")];
        let mut text = Vec::new();
        columns_and_prose(&PAGE, &mut text, &rows).unwrap();
        let expected = "größe  short\nx      many words that have no room in\n       forty columns\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
