//! Character data and attribute values: what they may contain, and where they end.

use memchr::memchr_iter;

use super::chars::{self, FORBIDDEN};
use super::fault::{Fault, Stop, Wrong};
use super::swar;

/// Checks the character data from `start` on. Gives the position of the `<` that ends it.
#[inline]
pub(super) fn run(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    let end = swar::skip_text::<false>(bytes, start);
    match bytes.get(end) {
        Some(b'<') => Ok(end),
        Some(_) => run_with_specials(bytes, start, end),
        None => Err(Stop::Partial),
    }
}

fn run_with_specials(bytes: &[u8], start: usize, at: usize) -> Result<usize, Stop> {
    let (mut at, mut ascii) = (at, true);
    loop {
        match bytes.get(at) {
            None => return Err(Stop::Partial),
            Some(b'<') => break,
            Some(b'&') => at = reference(bytes, at)?,
            Some(b'>') if bytes.get(start..at).is_some_and(|run| run.ends_with(b"]]")) => {
                return Wrong::CdataEndInText.stop(at);
            }
            Some(&byte) if chars::is(byte, FORBIDDEN) => return Wrong::ControlInText.stop(at),
            Some(byte) => {
                ascii &= byte.is_ascii();
                at += 1;
            }
        }
        at = if ascii {
            swar::skip_text::<false>(bytes, at)
        } else {
            swar::skip_text::<true>(bytes, at)
        };
    }
    if !ascii {
        characters(bytes, start, at)?;
    }
    Ok(at)
}

/// Checks the attribute value from `start` on, which follows its opening `quote`. Gives the
/// position of the closing quote.
#[inline]
pub(super) fn value(bytes: &[u8], start: usize, quote: u8) -> Result<usize, Stop> {
    let end = swar::skip_value::<false>(bytes, start, quote);
    match bytes.get(end) {
        Some(&byte) if byte == quote => Ok(end),
        Some(_) => value_with_specials(bytes, start, end, quote),
        None => Err(Stop::Partial),
    }
}

fn value_with_specials(bytes: &[u8], start: usize, at: usize, quote: u8) -> Result<usize, Stop> {
    let (mut at, mut ascii) = (at, true);
    loop {
        match bytes.get(at) {
            None => return Err(Stop::Partial),
            Some(&byte) if byte == quote => break,
            Some(b'&') => at = reference(bytes, at)?,
            Some(b'<') => return Wrong::BracketInValue.stop(at),
            Some(&byte) if chars::is(byte, FORBIDDEN) => return Wrong::ControlInValue.stop(at),
            Some(byte) => {
                ascii &= byte.is_ascii();
                at += 1;
            }
        }
        at = if ascii {
            swar::skip_value::<false>(bytes, at, quote)
        } else {
            swar::skip_value::<true>(bytes, at, quote)
        };
    }
    if !ascii {
        characters(bytes, start, at)?;
    }
    Ok(at)
}

/// Checks the content of a CDATA section, which has no markup.
pub(super) fn cdata(bytes: &[u8], start: usize, end: usize) -> Result<(), Fault> {
    let content = bytes.get(start..end).unwrap_or_default();
    match content.iter().position(|&byte| chars::is(byte, FORBIDDEN)) {
        Some(at) => Err(Wrong::ControlInText.at(start + at)),
        None => characters(bytes, start, end),
    }
}

/// Checks that `bytes[start..end]` is UTF-8 and has no characters that XML forbids, control
/// characters excepted.
#[inline(never)]
fn characters(bytes: &[u8], start: usize, end: usize) -> Result<(), Fault> {
    let run = bytes.get(start..end).unwrap_or_default();
    if simdutf8::basic::from_utf8(run).is_err() {
        let valid = std::str::from_utf8(run).map_or_else(|e| e.valid_up_to(), str::len);
        return Err(Wrong::Utf8.at(start + valid));
    }
    // U+FFFE and U+FFFF; UTF-8 itself has no surrogates.
    for at in memchr_iter(0xEF, run) {
        if matches!(run.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])) {
            return Err(Wrong::ForbiddenCharacter.at(start + at));
        }
    }
    Ok(())
}

/// Checks the reference whose `&` is at `at`. Gives the position behind its `;`.
fn reference(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    let name = bytes.get(at + 1..).unwrap_or_default();
    if name.first() == Some(&b'#') {
        return character_reference(bytes, at);
    }
    for entity in [&b"amp;"[..], b"lt;", b"gt;", b"quot;", b"apos;"] {
        if name.starts_with(entity) {
            return Ok(at + 1 + entity.len());
        }
        if entity.starts_with(name) {
            return Err(Stop::Partial);
        }
    }
    Wrong::Reference.stop(at)
}

fn character_reference(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    let hex = bytes.get(at + 2) == Some(&b'x');
    let (radix, first) = if hex { (16, at + 3) } else { (10, at + 2) };
    let (mut code, mut next) = (0_u32, first);
    while let Some(digit) = bytes.get(next).and_then(|&b| char::from(b).to_digit(radix)) {
        // Saturates far beyond the last character.
        code = code.saturating_mul(radix).saturating_add(digit);
        next += 1;
    }
    match bytes.get(next) {
        None => Err(Stop::Partial),
        Some(b';') if next > first && char::from_u32(code).is_some_and(chars::is_char) => {
            Ok(next + 1)
        }
        Some(_) => Wrong::CharacterReference.stop(at),
    }
}
