//! Text that a terminal shows and does not obey.

/// The most letters of a text that are shown.
const LETTERS_MAX: usize = 256;

/// The text with control characters, invisible ones and changes of writing direction as `\u{..}`, and cut after 256
/// letters.
#[must_use]
pub fn escape(text: &str) -> String {
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => escape_whole(&text[..end]) + "\u{2026}",
        None => escape_whole(text),
    }
}

/// The same, and all of it.
#[must_use]
pub fn escape_whole(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\'' | '"' | '\\' => shown.push(letter),
            _ => shown.extend(letter.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_driven_by_what_is_shown() {
        assert_eq!(escape("a\u{1b}[2J\r\nb\u{202e}c\u{7f}"), "a\\u{1b}[2J\\r\\nb\\u{202e}c\\u{7f}");
        assert_eq!(escape("it's \"b\u{fc}cher\""), "it's \"b\u{fc}cher\"");
        assert_eq!(escape(&"x".repeat(300)).chars().count(), LETTERS_MAX + 1);
    }
}
