//! Names with and without a prefix.

use super::chars::{self, NAME, NAME_START};
use super::fault::{Fault, Stop, Wrong};
use super::swar;
use crate::Span;

/// A qualified name as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) span: Span,
    /// Position of the colon behind its prefix; 0 if it has none.
    colon: u32,
    /// Its first eight bytes, the first one lowest.
    key: u64,
}

/// Longest name in bytes, prefix included. libxml2 ends its stream over a part of more than 50000,
/// rxml over one of more than 8192 (contract X4).
const MAX_NAME: usize = 4096;

pub(super) const FROM: u64 = key(b"from");
pub(super) const ID: u64 = key(b"id");
pub(super) const IQ: u64 = key(b"iq");
pub(super) const MESSAGE: u64 = key(b"message");
pub(super) const PRESENCE: u64 = key(b"presence");
pub(super) const TO: u64 = key(b"to");
pub(super) const TYPE: u64 = key(b"type");
pub(super) const XMLNS: u64 = key(b"xmlns");
pub(super) const XML_LANG: u64 = key(b"xml:lang");

/// What identifies a name of up to eight bytes: those, the first one lowest.
pub(super) const fn key(name: &[u8]) -> u64 {
    let mut key = 0;
    let mut index = 0;
    while index < name.len() && index < 8 {
        key |= (name[index] as u64) << (8 * index);
        index += 1;
    }
    key
}

/// The range from `start` to `end`.
///
/// Positions fit: the framer never looks beyond the first 4 GiB of a buffer.
pub(super) const fn span(start: usize, end: usize) -> Span {
    Span {
        start: start as u32,
        end: end as u32,
    }
}

impl Name {
    /// The [key](key) of a name of up to eight bytes; 0 for longer ones.
    #[inline(always)]
    pub(super) const fn short(self) -> u64 {
        if self.span.end - self.span.start <= 8 {
            self.key
        } else {
            0
        }
    }

    /// Tells if it has a prefix.
    pub(super) const fn has_prefix(self) -> bool {
        self.colon != 0
    }

    /// The prefix.
    pub(super) const fn prefix(self) -> Option<Span> {
        if self.colon == 0 {
            return None;
        }
        Some(Span {
            start: self.span.start,
            end: self.colon,
        })
    }

    /// What follows the prefix.
    pub(super) const fn local(self) -> Span {
        if self.colon == 0 {
            return self.span;
        }
        Span {
            start: self.colon + 1,
            end: self.span.end,
        }
    }

    /// One of 64 values that is the same for the same name.
    #[inline(always)]
    pub(super) const fn fingerprint(self) -> u32 {
        // Multiplying by an odd number with bits all over the place mixes all into the top bits.
        (self.key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as u32
    }

    /// The position behind an end tag `</name>` whose `<` is at `at`. Nothing if what is there is
    /// another end tag, or not a whole one.
    #[inline(always)]
    pub(super) fn end_tag(self, bytes: &[u8], at: usize) -> Option<usize> {
        let len = (self.span.end - self.span.start) as usize;
        let behind = at + 2 + len;
        if let (1..=8, Some(word)) = (len, swar::load(bytes, at + 2))
            && swar::first(word, len) == self.key
            && bytes.get(behind) == Some(&b'>')
        {
            return Some(behind + 1);
        }
        end_tag(bytes, at, self.span.of(bytes))
    }

    /// Reads the name at `at`, which ends before the first byte that no name has.
    #[inline(always)]
    pub(super) fn read(bytes: &[u8], at: usize) -> Result<Self, Stop> {
        // Most names are short and of lower-case letters alone.
        if let Some(word) = swar::load(bytes, at)
            && let len @ 1.. = swar::lower_case_len(word)
            && let Some(&next) = bytes.get(at + len)
            && !chars::is(next, NAME)
            && next != b':'
        {
            return Ok(Self {
                span: span(at, at + len),
                colon: 0,
                key: swar::first(word, len),
            });
        }
        Self::read_any(bytes, at)
    }

    #[inline(never)]
    fn read_any(bytes: &[u8], at: usize) -> Result<Self, Stop> {
        let mut end = part_end(bytes, at)?;
        let mut colon = 0;
        if bytes.get(end) == Some(&b':') {
            colon = end as u32;
            end = part_end(bytes, end + 1)?;
            if bytes.get(end) == Some(&b':') {
                return Wrong::TwoColons.stop(end);
            }
        }
        if end - at > MAX_NAME {
            return Wrong::NameTooLong.stop(at);
        }
        let span = span(at, end);
        Ok(Self {
            span,
            colon,
            key: key(span.of(bytes)),
        })
    }
}

/// The position behind an end tag for `name` whose `<` is at `at`. Nothing if what is there is
/// another end tag, or not a whole one.
pub(super) fn end_tag(bytes: &[u8], at: usize, name: &[u8]) -> Option<usize> {
    let rest = bytes.get(at + 2..)?.strip_prefix(name)?;
    let spaces = chars::skip_space(rest, 0);
    (rest.get(spaces) == Some(&b'>')).then(|| at + 2 + name.len() + spaces + 1)
}

/// The end of the prefix or local name at `at`.
fn part_end(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut all = 0;
    for (len, &byte) in rest.iter().enumerate() {
        if !chars::is(byte, NAME) {
            check(&rest[..len], all, at)?;
            return Ok(at + len);
        }
        all |= byte;
    }
    Err(Stop::Partial)
}

/// Checks the start of a name, and all of it if `all`, its bytes or-ed, is not ASCII.
fn check(name: &[u8], all: u8, at: usize) -> Result<(), Fault> {
    let starts = name
        .first()
        .is_some_and(|&byte| chars::is(byte, NAME_START));
    match starts {
        true if all.is_ascii() => Ok(()),
        true => chars::check_name(name, at),
        false => Err(Wrong::Name.at(at)),
    }
}
