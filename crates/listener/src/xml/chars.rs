//! Classes of characters: XML 1.0 productions `Char`, `Name` and `S`, without the colon, which
//! belongs to Namespaces in XML. In names, what the fourth and the fifth edition both allow
//! (contract X4): receivers go by the one or the other.

use super::fault::{Fault, Wrong};
use super::name_ranges::{FOLLOWING, START};

/// May begin a name. Set for every byte of a multi-byte character: names with such bytes are
/// checked once more by [`check_name`].
pub(super) const NAME_START: u8 = 1;
/// May stand in a name; the same reservation.
pub(super) const NAME: u8 = 2;
/// White space.
pub(super) const SPACE: u8 = 4;
/// A control character that no document may contain.
pub(super) const FORBIDDEN: u8 = 8;
/// Decides where an unfinished tag ends, or that it cannot: a quote or an angle bracket.
pub(super) const TAG_DELIMITER: u8 = 16;
/// May stand in the name of a namespace: the characters of URIs (RFC 3986 §2), and all beyond ASCII,
/// which IRIs have.
pub(super) const URI: u8 = 32;

/// The classes of each byte.
pub(super) static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
}

const fn class_of(byte: u8) -> u8 {
    let of_uri = match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%' => URI,
        b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@' => URI,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => URI,
        0x80.. => URI,
        _ => 0,
    };
    let of_xml = match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => NAME_START | NAME,
        b'0'..=b'9' | b'-' | b'.' => NAME,
        b' ' | b'\t' | b'\r' | b'\n' => SPACE,
        b'"' | b'\'' | b'<' | b'>' => TAG_DELIMITER,
        0..=0x1F => FORBIDDEN,
        _ => 0,
    };
    of_uri | of_xml
}

/// Tells if `byte` has one of the classes in `class`.
#[inline(always)]
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

/// Tells if all `bytes` have the class `class`, which is one. Looks at each: that is rarely in vain,
/// and cheaper without a branch for every byte.
#[inline]
pub(super) fn are(bytes: &[u8], class: u8) -> bool {
    let common = |common, &byte: &u8| common & CLASS[byte as usize];
    bytes.iter().fold(class, common) != 0
}

/// The first position from `at` on whose byte is not white space.
#[inline]
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|&byte| is(byte, SPACE)) {
        at += 1;
    }
    at
}

/// Production `Char`.
pub(super) const fn is_char(char: char) -> bool {
    match char {
        '\t' | '\n' | '\r' => true,
        '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => false,
        _ => true,
    }
}

/// Checks that `name`, which is at `at`, is an `NCName`.
#[cold]
pub(super) fn check_name(name: &[u8], at: usize) -> Result<(), Fault> {
    let Ok(name) = simdutf8::basic::from_utf8(name) else {
        return Err(Wrong::Name.at(at));
    };
    for (index, char) in name.char_indices() {
        let is_first = index == 0;
        if is_in_names(char, is_first) {
            continue;
        }
        let wrong = match is_in_late_names(char, is_first) {
            true => Wrong::LateNameCharacter,
            false => Wrong::NameCharacter,
        };
        return Err(wrong.at(at + index));
    }
    Ok(())
}

/// Tells if `char` may stand in a name, or begin one, whichever edition the reader goes by.
fn is_in_names(char: char, is_first: bool) -> bool {
    if let Ok(byte) = u8::try_from(char)
        && byte.is_ascii()
    {
        return is(byte, if is_first { NAME_START } else { NAME });
    }
    let Ok(unit) = u16::try_from(u32::from(char)) else {
        return false;
    };
    is_within(&START, unit) || !is_first && is_within(&FOLLOWING, unit)
}

/// Tells if `unit` lies in one of `ranges`, which are laid out as in [`super::name_ranges`].
fn is_within(ranges: &[u16], unit: u16) -> bool {
    ranges.partition_point(|&bound| bound <= unit) % 2 == 1
}

/// The same as [`is_in_names`] by the fifth edition alone, for characters beyond ASCII.
const fn is_in_late_names(char: char, is_first: bool) -> bool {
    let starts = matches!(char,
        '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
        | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}');
    let follows = matches!(char, '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}');
    starts || !is_first && follows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_x4_the_ranges_are_those_of_the_fourth_edition_and_within_the_fifth() {
        for (ranges, first, count) in [(&START[..], true, 34_462), (&FOLLOWING[..], false, 594)] {
            assert!(ranges.is_sorted_by(|a, b| a < b));
            let chars = ('\u{80}'..='\u{FFFF}').filter(|&char| is_within(ranges, char as u16));
            let chars: Vec<char> = chars.collect();
            assert_eq!(chars.len(), count);
            for char in chars {
                assert!(is_in_late_names(char, first), "{}", char.escape_unicode());
            }
        }
    }
}
