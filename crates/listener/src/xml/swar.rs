//! Eight bytes at a time: where in a run is the first byte that needs a closer look?
//!
//! Each test sets the high bit of the bytes it holds for. A borrow may set it wrongly in bytes
//! above one that is set rightly, so only the lowest bit of a result is exact: the first byte in
//! little-endian order, which is all that is asked for.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

const fn repeat(byte: u8) -> u64 {
    ONES * byte as u64
}

/// The eight bytes from `at` on, the first one lowest.
#[inline(always)]
pub(super) fn load(bytes: &[u8], at: usize) -> Option<u64> {
    let chunk = bytes.get(at..).and_then(<[u8]>::first_chunk)?;
    Some(u64::from_le_bytes(*chunk))
}

/// How many lower-case letters `word` begins with.
#[inline(always)]
pub(super) const fn lower_case_len(word: u64) -> usize {
    // Without the high bits no addition carries over into the next byte.
    let low = word & !HIGH;
    let from_a = low + repeat(0x80 - b'a');
    let beyond_z = low + repeat(0x7F - b'z');
    let letters = from_a & !beyond_z & !word & HIGH;
    (letters ^ HIGH).trailing_zeros() as usize / 8
}

/// The first `len` bytes of `word`, of which there are 1 to 8.
#[inline(always)]
pub(super) const fn first(word: u64, len: usize) -> u64 {
    word & (u64::MAX >> (64 - 8 * len))
}

/// Bytes equal to `byte`.
const fn equal(word: u64, byte: u8) -> u64 {
    let zero = word ^ repeat(byte);
    zero.wrapping_sub(ONES) & !zero & HIGH
}

/// Control characters.
const fn control(word: u64) -> u64 {
    word.wrapping_sub(repeat(0x20)) & !word & HIGH
}

/// The first position from `at` on that character data cannot just skip: `<`, `>`, `&`, a control
/// character, or, unless `ALL_UTF8`, a byte beyond ASCII; the end if there is none.
#[inline(always)]
pub(super) fn skip_text<const ALL_UTF8: bool>(bytes: &[u8], at: usize) -> usize {
    skip(bytes, at, |word| {
        // `<` and `>` differ in one bit.
        let brackets = equal(word | repeat(2), b'>');
        let wide = if ALL_UTF8 { 0 } else { word & HIGH };
        brackets | equal(word, b'&') | control(word) | wide
    })
}

/// The same for an attribute value within `quote`s, where `>` is a character like others.
#[inline(always)]
pub(super) fn skip_value<const ALL_UTF8: bool>(bytes: &[u8], at: usize, quote: u8) -> usize {
    skip(bytes, at, |word| {
        let wide = if ALL_UTF8 { 0 } else { word & HIGH };
        equal(word, quote) | equal(word, b'<') | equal(word, b'&') | control(word) | wide
    })
}

#[inline(always)]
fn skip(bytes: &[u8], mut at: usize, stops: impl Fn(u64) -> u64) -> usize {
    while let Some(word) = load(bytes, at) {
        let found = stops(word);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let stop = |&byte: &u8| stops(u64::from(byte) | repeat(b' ') << 8) & 0x80 != 0;
    at + rest.iter().position(stop).unwrap_or(rest.len())
}
