//! Names, labels and paths come from whoever made the pod: nothing of them may drive a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with control characters, and those that turn the direction of writing, as `\u{…}`.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if plain || !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// A word longer than this is not read to its end by anybody.
const LONG: usize = 512;
/// What is left of one.
const LEFT: usize = 100;

/// Text without the rest of words that are too long for a sentence.
pub fn brief(text: &str) -> Cow<'_, str> {
    if text.len() <= LONG {
        return Cow::Borrowed(text);
    }
    let cut = |word: &str| match word.char_indices().nth(LEFT) {
        Some((at, _)) if word.len() > LONG => format!("{}…", word.get(..at).unwrap_or_default()),
        _ => word.to_owned(),
    };
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let bare = word.trim_end();
        cut(bare) + word.get(bare.len()..).unwrap_or_default()
    });
    Cow::Owned(words.collect())
}

/// JSON with what JSON itself lets through (DEL, C1, the turning ones) as `\u009b`.
pub fn harmless_json(json: &str) -> Cow<'_, str> {
    // Below that JSON has escaped everything, and what is left are its own line breaks.
    let slips_through = |character: char| character >= '\u{7f}' && is_harmful(character);
    if !json.contains(slips_through) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if slips_through(character) {
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// C0, DEL, C1; bidirectional marks, embeddings, overrides and isolates (UAX #9); line and paragraph separators.
fn is_harmful(character: char) -> bool {
    let turns =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_word_is_cut_and_a_long_sentence_is_not() {
        let long = "ä".repeat(10_000);
        assert_eq!(brief(&format!("no «{long}» here")), format!("no «{}… here", "ä".repeat(LEFT - 1)));
        let sentence = "many short words ".repeat(100);
        assert_eq!(brief(&sentence), sentence);
    }

    #[test]
    fn terminals_are_not_driven() {
        assert_eq!(harmless("a\u{1b}[2J\nb\u{9b}1m\u{202e}c"), "a\\u{1b}[2J\\u{a}b\\u{9b}1m\\u{202e}c");
        let text = "\u{1b}[2J \u{9b}31m \u{7f} \u{202e}";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let safe = harmless_json(&json);
        assert!(!safe.contains(|character| character != '\n' && is_harmful(character)), "{safe}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&safe).unwrap(), [text]);
        assert!(matches!(harmless("größe 漢字 👍"), Cow::Borrowed(_)));
    }
}
