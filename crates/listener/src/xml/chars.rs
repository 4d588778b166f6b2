//! Classes of characters: XML 1.0 (fifth edition) productions `Char`, `NameStartChar`, `NameChar`
//! and `S`, without the colon, which belongs to Namespaces in XML.

/// May begin a name. Set for every byte of a multi-byte character: names with such bytes are
/// checked once more by [`is_name`].
pub(super) const NAME_START: u8 = 1;
/// May stand in a name; the same reservation.
pub(super) const NAME: u8 = 2;
/// White space.
pub(super) const SPACE: u8 = 4;
/// A control character that no document may contain.
pub(super) const FORBIDDEN: u8 = 8;
/// Decides where an unfinished tag ends, or that it cannot: a quote or an angle bracket.
pub(super) const TAG_DELIMITER: u8 = 16;

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
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => NAME_START | NAME,
        b'0'..=b'9' | b'-' | b'.' => NAME,
        b' ' | b'\t' | b'\r' | b'\n' => SPACE,
        b'"' | b'\'' | b'<' | b'>' => TAG_DELIMITER,
        0..=0x1F => FORBIDDEN,
        _ => 0,
    }
}

/// Tells if `byte` has one of the classes in `class`.
#[inline(always)]
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
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

/// True if `name` is an `NCName`.
pub(super) fn is_name(name: &[u8]) -> bool {
    let Ok(name) = simdutf8::basic::from_utf8(name) else {
        return false;
    };
    let mut chars = name.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

const fn is_name_start(char: char) -> bool {
    matches!(char,
        'a'..='z' | 'A'..='Z' | '_'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
        | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

const fn is_name_char(char: char) -> bool {
    is_name_start(char)
        || matches!(char,
            '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}
