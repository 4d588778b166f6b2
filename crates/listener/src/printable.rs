use std::fmt::{self, Write};

/// Characters of a peer's text that a log line shows.
const SHOWN: usize = 200;

/// Text that a peer had a say in, as a log may show it: on one line, in visible characters, and
/// not too much of it, so that nobody can forge a line, hide one or fill the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars().take(SHOWN) {
            match character {
                '"' | '\'' | '\\' => f.write_char(character)?,
                // Escapes what does not print: control characters, line and paragraph separators,
                // marks that change the direction of the text.
                other => write!(f, "{}", other.escape_debug())?,
            }
        }
        if self.0.chars().nth(SHOWN).is_some() {
            f.write_char('…')?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_stays_on_its_line() {
        let text = "a \"b\" \r\n2026 ERROR x\u{1b}[31m\u{85}\u{2028}\u{202e}é";
        assert_eq!(
            Printable(text).to_string(),
            "a \"b\" \\r\\n2026 ERROR x\\u{1b}[31m\\u{85}\\u{2028}\\u{202e}é"
        );
        let long = Printable(&"é".repeat(SHOWN + 1)).to_string();
        assert_eq!(long, "é".repeat(SHOWN) + "…");
        let fits = Printable(&"é".repeat(SHOWN)).to_string();
        assert_eq!(fits, "é".repeat(SHOWN));
    }
}
