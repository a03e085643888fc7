//! What a terminal can show: letters that its locale has no code for, and writing from right to left.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// In ASCII: what podnet itself draws by what looks like it, everything else as `?`, both as wide as it was, so
/// that columns stay where they are.
pub fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if character.is_ascii() => plain.push(character),
            '«' | '»' | '“' | '”' => plain.push('"'),
            '‘' | '’' => plain.push('\''),
            '–' | '—' | '─' | '▯' => plain.push('-'),
            '│' => plain.push('|'),
            '├' | '┌' | '┐' | '┘' | '┤' | '┼' => plain.push('+'),
            '└' => plain.push('`'),
            '▮' => plain.push('#'),
            '✖' | '✗' | '×' => plain.push('x'),
            '✔' | '✓' => plain.push('+'),
            '→' => plain.push('>'),
            '←' => plain.push('<'),
            '⇄' | '↔' => plain.push('='),
            '•' => plain.push('*'),
            '·' => plain.push('.'),
            '…' => plain.push_str("..."),
            _ => plain.extend(std::iter::repeat_n('?', character.width().unwrap_or(0))),
        }
    }
    Cow::Owned(plain)
}

/// With left-to-right marks around what is written from right to left: a terminal that turns such text would
/// otherwise turn the digits and spaces after it too, and move the columns.
pub fn steady(text: &str) -> Cow<'_, str> {
    const MARK: char = '\u{200e}';
    if !text.chars().any(is_right_to_left) {
        return Cow::Borrowed(text);
    }
    let mut marked = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        if line.chars().any(is_right_to_left) {
            marked.push(MARK);
        }
        let mut turned = false;
        for character in line.chars() {
            let turns = is_right_to_left(character);
            if turned && !turns {
                marked.push(MARK);
            }
            marked.push(character);
            turned = turns;
        }
    }
    Cow::Owned(marked)
}

/// The blocks that Unicode keeps for such scripts (`DerivedBidiClass.txt`), with their digits and marks.
fn is_right_to_left(character: char) -> bool {
    matches!(character, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn ascii_is_as_wide_as_what_it_stands_for() {
        for (text, plain) in [
            ("«web» – 漢字", "\"web\" - ????"),
            ("    └─ peer", "    `- peer"),
            ("▮▮▯ 40%", "##- 40%"),
            ("größe e\u{301}", "gr??e e"),
        ] {
            assert_eq!(ascii(text), plain);
            assert_eq!(text.width(), plain.width(), "{text}");
        }
        assert_eq!(ascii("CIDR…"), "CIDR...");
        assert!(matches!(ascii("plain"), Cow::Borrowed(_)));
    }

    /// The places of the words on a terminal that turns what is to be turned (UAX #9).
    fn place(line: &str, word: &str) -> usize {
        let bidi = unicode_bidi::BidiInfo::new(line, None);
        let shown = bidi.reorder_line(&bidi.paragraphs[0], 0..line.len());
        shown[..shown.find(word).unwrap()].width()
    }

    #[test]
    fn columns_stay_where_text_is_turned() {
        let row = |name: &str| format!("{name}{}  4026532281  10.0.0.7", " ".repeat(12 - name.width()));
        let turned = ["שלום", "قاعدة", "a-שלום", "שלום-1", "قاعدة 2"];
        assert!(turned.iter().any(|name| place(&row(name), "4026532281") != 14), "nothing would be out of place");
        for name in turned {
            let line = row(name);
            let steady = steady(&line);
            assert_eq!((place(&steady, "4026532281"), place(&steady, "10.0.0.7")), (14, 26), "{name}");
            assert_eq!(steady.width(), line.width(), "{name}");
        }
        assert!(matches!(super::steady("größe 漢字"), Cow::Borrowed(_)));
    }
}
