//! Shell patterns as MongooseIM has them.

use std::iter::Peekable;
use std::str::Chars;

use globset::{GlobBuilder, GlobMatcher};

use super::GlobError;

/// What matches `pattern`, all of it.
pub(super) fn matcher(pattern: &str) -> Result<GlobMatcher, GlobError> {
    let glob = GlobBuilder::new(&without_extensions(pattern))
        // A localpart may hold backslashes (XEP-0106).
        .backslash_escape(false)
        .literal_separator(false)
        .build()?;
    Ok(glob.compile_matcher())
}

/// The same pattern with what the library knows beyond MongooseIM taken for the characters it is
/// made of: `{a,b}` is no choice, `**` no more than `*`, and `[^a]` holds a caret.
fn without_extensions(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '{' => plain.push_str("[{]"),
            '}' => plain.push_str("[}]"),
            '*' if plain.ends_with('*') => {}
            '[' => copy_set(&mut rest, &mut plain),
            other => plain.push(other),
        }
    }
    plain
}

/// Copies a set, from behind its `[` to its `]`.
fn copy_set(rest: &mut Peekable<Chars<'_>>, plain: &mut String) {
    let is_negated = rest.next_if_eq(&'!').is_some();
    let has_caret = rest.next_if_eq(&'^').is_some();
    if has_caret && !is_negated && rest.next_if_eq(&']').is_some() {
        plain.push('^');
        return;
    }
    plain.push('[');
    plain.extend(is_negated.then_some('!'));
    // The first character of a set is never its end.
    plain.extend(rest.next_if_eq(&']'));
    let mut is_closed = false;
    for character in rest.by_ref() {
        is_closed = character == ']';
        if is_closed {
            break;
        }
        plain.push(character);
    }
    // At the end of a set, where it is no negation.
    plain.extend(has_caret.then_some('^'));
    plain.extend(is_closed.then_some(']'));
}
